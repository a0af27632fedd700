from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *

def registerUDFs(spark: SparkSession):
    pass
