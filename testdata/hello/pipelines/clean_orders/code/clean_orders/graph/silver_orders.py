from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from clean_orders.config.ConfigStore import *
from clean_orders.udfs.UDFs import *

def silver_orders(spark: SparkSession, in0: DataFrame):
    in0.write.format("delta").mode("overwrite").saveAsTable(f"{Config.catalog}.silver.orders")
