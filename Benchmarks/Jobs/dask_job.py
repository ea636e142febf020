"""Dask: a bag of lines, reduced by two worker processes.

Usage: dask_job.py wordcount|groupsum INPUT OUTPUT
"""

import os
import sys
from collections import Counter, defaultdict

import dask
from dask import bag

# A dictionary a partition takes less time than `frequencies` and `foldby`, which work item by item;
# and one partition a worker leaves the fewest dictionaries to be sent and merged.
WORKERS = 2


def word_counts(lines):
    counts = Counter()
    for line in lines:
        counts.update(line.split())
    return counts


def key_sums(lines):
    sums = defaultdict(int)
    for line in lines:
        key, value = line.split("\t")
        sums[key] += int(value)
    return sums


def merged(parts):
    first, *others = parts
    for other in others:
        for key, value in other.items():
            first[key] += value
    return first


def main():
    task, source, target = sys.argv[1:]
    lines = bag.read_text(source, blocksize=-(-os.path.getsize(source) // WORKERS))
    answer = lines.reduction(word_counts if task == "wordcount" else key_sums, merged)
    with dask.config.set(scheduler="processes", num_workers=WORKERS):
        # By default a worker is given six tasks at a time: here, all of them.
        result = answer.compute(chunksize=1)
    with open(target, "w") as output:
        output.writelines(f"{key}\t{value}\n" for key, value in result.items())


if __name__ == "__main__":
    main()
