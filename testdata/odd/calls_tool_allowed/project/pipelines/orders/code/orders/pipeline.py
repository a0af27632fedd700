from pyspark.sql import SparkSession


def main():
    spark = SparkSession.builder.appName("orders").getOrCreate()
    spark.range(1).count()


if __name__ == "__main__":
    main()
