from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from revenue_by_day.config.ConfigStore import *
from revenue_by_day.udfs.UDFs import *

def gold_revenue_by_day(spark: SparkSession, in0: DataFrame):
    in0.write.format("delta").mode("overwrite").saveAsTable(f"{Config.catalog}.gold.revenue_by_day")
