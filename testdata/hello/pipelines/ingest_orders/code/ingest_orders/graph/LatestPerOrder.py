from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from ingest_orders.config.ConfigStore import *
from ingest_orders.udfs.UDFs import *

def LatestPerOrder(spark: SparkSession, in0: DataFrame) -> DataFrame:
    return in0\
        .withColumn(
          "row_number",
          row_number().over(Window.partitionBy("order_id").orderBy(col("ordered_at").desc()))
        )\
        .filter(col("row_number") == lit(1))\
        .drop("row_number")
