from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from customer_report.config.ConfigStore import *
from customer_report.udfs.UDFs import *

def silver_orders(spark: SparkSession) -> DataFrame:
    return spark.read.table(f"{Config.catalog}.silver.orders")
