from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from revenue_by_day.config.ConfigStore import *
from revenue_by_day.udfs.UDFs import *
from prophecy.utils import *
from revenue_by_day.graph import *

def pipeline(spark: SparkSession) -> None:
    df_silver_orders = silver_orders(spark)
    df_ByDay = ByDay(spark, df_silver_orders)
    df_WithWeekAverage = WithWeekAverage(spark, df_ByDay)
    gold_revenue_by_day(spark, df_WithWeekAverage)

def main():
    spark = SparkSession.builder\
                .config("spark.default.parallelism", "4")\
                .enableHiveSupport()\
                .appName("revenue_by_day")\
                .getOrCreate()
    Utils.initializeFromArgs(spark, parse_args())
    spark.conf.set("prophecy.metadata.pipeline.uri", "pipelines/revenue_by_day")
    registerUDFs(spark)
    
    MetricsCollector.instrument(spark = spark, pipelineId = "pipelines/revenue_by_day", config = Config)(pipeline)

if __name__ == "__main__":
    main()
