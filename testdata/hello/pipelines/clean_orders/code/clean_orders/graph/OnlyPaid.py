from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from clean_orders.config.ConfigStore import *
from clean_orders.udfs.UDFs import *

def OnlyPaid(spark: SparkSession, in0: DataFrame) -> DataFrame:
    return in0.filter(
        (
          (col("status") == lit("paid"))
          & (col("amount") >= lit(Config.min_amount))
          & ~ col("customer_id").startswith("TEST-")
        )
    )
