from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from prophecy.utils import *
from prophecy.libs import typed_lit
from customer_report.config.ConfigStore import *
from customer_report.udfs.UDFs import *

def WithNames(spark: SparkSession, in0: DataFrame, in1: DataFrame) -> DataFrame:
    return in0\
        .alias("in0")\
        .join(in1.alias("in1"), (col("in0.customer_id") == col("in1.customer_id")), "left_outer")\
        .select(col("in0.*"), col("in1.name").alias("name"), col("in1.city").alias("city"))
