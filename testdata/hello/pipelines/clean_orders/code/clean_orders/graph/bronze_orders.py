from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from clean_orders.config.ConfigStore import *
from clean_orders.udfs.UDFs import *

def bronze_orders(spark: SparkSession) -> DataFrame:
    return spark.read.table(f"{Config.catalog}.bronze.orders")
