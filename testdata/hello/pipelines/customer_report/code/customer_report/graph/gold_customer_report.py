from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from customer_report.config.ConfigStore import *
from customer_report.udfs.UDFs import *

def gold_customer_report(spark: SparkSession, in0: DataFrame):
    in0.write.format("delta").mode("overwrite").saveAsTable(f"{Config.catalog}.gold.customer_report")
