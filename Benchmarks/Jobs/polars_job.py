"""Polars: a lazy scan on the streaming engine, two threads, the answer sunk into a file.

Usage: polars_job.py wordcount|groupsum INPUT OUTPUT
"""

import os
import sys

os.environ["POLARS_MAX_THREADS"] = "2"

import polars  # noqa: E402  The number of threads is read when this is imported.
from polars import col  # noqa: E402

task, source, target = sys.argv[1:]


def scan(**columns):
    return polars.scan_csv(
        source, has_header=False, separator="\t", quote_char=None, schema=columns
    )


if task == "wordcount":
    words = scan(line=polars.String).select(col("line").str.split(" ").explode())
    answer = words.group_by("line").agg(polars.len())
else:
    answer = scan(key=polars.String, value=polars.Int64).group_by("key").agg(col("value").sum())
answer.sink_csv(target, include_header=False, separator="\t", engine="streaming")
