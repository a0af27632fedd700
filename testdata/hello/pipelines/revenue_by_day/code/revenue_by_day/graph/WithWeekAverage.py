from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from revenue_by_day.config.ConfigStore import *
from revenue_by_day.udfs.UDFs import *

def WithWeekAverage(spark: SparkSession, in0: DataFrame) -> DataFrame:
    return in0\
        .withColumn(
          "week_average_eur",
          avg(col("revenue_eur")).over(Window.orderBy(col("order_date").asc()).rowsBetween(-7, -1))
        )\
        .filter(col("order_date") >= date_sub(current_date(), int(Config.days)))
