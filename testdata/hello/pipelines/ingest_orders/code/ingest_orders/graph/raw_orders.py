from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from ingest_orders.config.ConfigStore import *
from ingest_orders.udfs.UDFs import *

def raw_orders(spark: SparkSession) -> DataFrame:
    return spark.read\
        .schema(
          StructType([
            StructField("order_id", StringType(), True), StructField("customer_id", StringType(), True), StructField("ordered_at", StringType(), True), StructField("amount", StringType(), True), StructField("currency", StringType(), True), StructField("status", StringType(), True)
        ])
        )\
        .option("header", True)\
        .option("sep", ",")\
        .csv(f"{Config.landing}")
