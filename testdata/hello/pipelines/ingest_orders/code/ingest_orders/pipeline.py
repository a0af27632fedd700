from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from ingest_orders.config.ConfigStore import *
from ingest_orders.udfs.UDFs import *
from prophecy.utils import *
from ingest_orders.graph import *

def pipeline(spark: SparkSession) -> None:
    df_raw_orders = raw_orders(spark)
    df_ParseOrders = ParseOrders(spark, df_raw_orders)
    df_LatestPerOrder = LatestPerOrder(spark, df_ParseOrders)
    bronze_orders(spark, df_LatestPerOrder)

def main():
    spark = SparkSession.builder\
                .config("spark.default.parallelism", "4")\
                .enableHiveSupport()\
                .appName("ingest_orders")\
                .getOrCreate()
    Utils.initializeFromArgs(spark, parse_args())
    spark.conf.set("prophecy.metadata.pipeline.uri", "pipelines/ingest_orders")
    registerUDFs(spark)
    
    MetricsCollector.instrument(spark = spark, pipelineId = "pipelines/ingest_orders", config = Config)(pipeline)

if __name__ == "__main__":
    main()
