from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from customer_report.config.ConfigStore import *
from customer_report.udfs.UDFs import *

def TopCustomers(spark: SparkSession, in0: DataFrame) -> DataFrame:
    return in0\
        .withColumn(
          "rank",
          rank().over(Window.partitionBy("period_start").orderBy(col("spent_eur").desc()))
        )\
        .filter(col("rank") <= lit(Config.top))
