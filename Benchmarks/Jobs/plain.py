"""Plain Python: one process, one dictionary.

Usage: plain.py wordcount|groupsum INPUT OUTPUT
"""

import sys
from collections import Counter, defaultdict


def word_count(path):
    counts = Counter()
    with open(path, "rb") as file:
        # A megabyte of lines at a time: a call of `update` for each line costs more than its words.
        while lines := file.readlines(1 << 20):
            counts.update(b"".join(lines).split())
    return counts


def group_sum(path):
    sums = defaultdict(int)
    with open(path, "rb") as file:
        for line in file:
            key, value = line.split(b"\t")
            sums[key] += int(value)
    return sums


task, source, target = sys.argv[1:]
answer = word_count(source) if task == "wordcount" else group_sum(source)
with open(target, "wb") as output:
    output.writelines(b"%s\t%d\n" % item for item in answer.items())
