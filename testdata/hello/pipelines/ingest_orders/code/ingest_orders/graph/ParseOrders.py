from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from ingest_orders.config.ConfigStore import *
from ingest_orders.udfs.UDFs import *

def ParseOrders(spark: SparkSession, in0: DataFrame) -> DataFrame:
    return in0.select(
        trim(col("order_id")).alias("order_id"), 
        trim(col("customer_id")).alias("customer_id"), 
        to_timestamp(col("ordered_at"), "yyyy-MM-dd HH:mm:ss").alias("ordered_at"), 
        col("amount").cast(DecimalType(12, 2)).alias("amount"), 
        upper(trim(col("currency"))).alias("currency"), 
        lower(trim(col("status"))).alias("status")
    )
