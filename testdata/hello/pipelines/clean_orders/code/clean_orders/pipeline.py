from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from clean_orders.config.ConfigStore import *
from clean_orders.udfs.UDFs import *
from prophecy.utils import *
from clean_orders.graph import *

def pipeline(spark: SparkSession) -> None:
    df_bronze_orders = bronze_orders(spark)
    df_OnlyPaid = OnlyPaid(spark, df_bronze_orders)
    df_InEuro = InEuro(spark, df_OnlyPaid)
    silver_orders(spark, df_InEuro)

def main():
    spark = SparkSession.builder\
                .config("spark.default.parallelism", "4")\
                .enableHiveSupport()\
                .appName("clean_orders")\
                .getOrCreate()
    Utils.initializeFromArgs(spark, parse_args())
    spark.conf.set("prophecy.metadata.pipeline.uri", "pipelines/clean_orders")
    registerUDFs(spark)
    
    MetricsCollector.instrument(spark = spark, pipelineId = "pipelines/clean_orders", config = Config)(pipeline)

if __name__ == "__main__":
    main()
