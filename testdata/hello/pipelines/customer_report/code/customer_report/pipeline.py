from pyspark.sql import *
from pyspark.sql.functions import *
from pyspark.sql.types import *
from customer_report.config.ConfigStore import *
from customer_report.udfs.UDFs import *
from prophecy.utils import *
from customer_report.graph import *

def pipeline(spark: SparkSession) -> None:
    df_silver_orders = silver_orders(spark)
    df_PerCustomer = PerCustomer(spark, df_silver_orders)
    df_customers = customers(spark)
    df_WithNames = WithNames(spark, df_PerCustomer, df_customers)
    df_TopCustomers = TopCustomers(spark, df_WithNames)
    gold_customer_report(spark, df_TopCustomers)

def main():
    spark = SparkSession.builder\
                .config("spark.default.parallelism", "4")\
                .enableHiveSupport()\
                .appName("customer_report")\
                .getOrCreate()
    Utils.initializeFromArgs(spark, parse_args())
    spark.conf.set("prophecy.metadata.pipeline.uri", "pipelines/customer_report")
    registerUDFs(spark)
    
    MetricsCollector.instrument(spark = spark, pipelineId = "pipelines/customer_report", config = Config)(pipeline)

if __name__ == "__main__":
    main()
