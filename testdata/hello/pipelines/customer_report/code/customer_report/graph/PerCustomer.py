from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from customer_report.config.ConfigStore import *
from customer_report.udfs.UDFs import *

def PerCustomer(spark: SparkSession, in0: DataFrame) -> DataFrame:
    df1 = in0.groupBy(col("customer_id"), date_trunc(Config.period, col("order_date")).alias("period_start"))

    return df1.agg(
        sum(col("amount_eur")).alias("spent_eur"), 
        count(col("order_id")).alias("orders"), 
        max(col("order_date")).alias("last_order")
    )
