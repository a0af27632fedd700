from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from revenue_by_day.config.ConfigStore import *
from revenue_by_day.udfs.UDFs import *

def ByDay(spark: SparkSession, in0: DataFrame) -> DataFrame:
    df1 = in0.groupBy(col("order_date"))

    return df1.agg(
        sum(col("amount_eur")).alias("revenue_eur"), 
        count(col("order_id")).alias("orders"), 
        countDistinct(col("customer_id")).alias("customers")
    )
