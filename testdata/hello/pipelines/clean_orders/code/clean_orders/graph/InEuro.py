from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from clean_orders.config.ConfigStore import *
from clean_orders.udfs.UDFs import *

def InEuro(spark: SparkSession, in0: DataFrame) -> DataFrame:
    return in0.select(
        col("order_id"), 
        col("customer_id"), 
        col("ordered_at"), 
        to_date(col("ordered_at")).alias("order_date"), 
        in_euro(col("amount"), col("currency")).alias("amount_eur")
    )
