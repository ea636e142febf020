"""PySpark: data frames on local[2], the answer saved as a directory of parts.

Usage: pyspark_job.py wordcount|groupsum INPUT OUTPUT
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, concat_ws, explode, split, sum as total

task, source, target = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.memory", "4g")
    .config("spark.driver.extraJavaOptions", "-XX:+UseParallelGC")
    .config("spark.ui.enabled", "false")
    # The defaults are made for clusters: three parts of 300 MB for two threads, and 200 to shuffle.
    .config("spark.sql.files.maxPartitionBytes", "32m")
    .config("spark.sql.shuffle.partitions", "8")
    .getOrCreate()
)
lines = spark.read.text(source)
if task == "wordcount":
    answer = lines.select(explode(split("value", " ")).alias("key")).groupBy("key").count()
else:
    # Takes less processor time than `read.csv` with a schema.
    fields = split("value", "\t")
    pairs = lines.select(fields[0].alias("key"), fields[1].cast("long").alias("number"))
    answer = pairs.groupBy("key").agg(total("number").alias("count"))
answer.select(concat_ws("\t", col("key"), col("count").cast("string"))).write.text(target)

# The Java process is waited for, so that its time and its memory are counted.
gateway = spark.sparkContext._gateway
spark.stop()
gateway.shutdown()
gateway.proc.stdin.close()
gateway.proc.wait()
