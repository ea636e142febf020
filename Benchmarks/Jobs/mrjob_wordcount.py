"""mrjob: how often each word stands in a text.

Usage: mrjob_wordcount.py -r local INPUT >OUTPUT
"""

from collections import Counter

from mrjob.job import MRJob
from mrjob.protocol import TextProtocol


class WordCount(MRJob):
    """Counts in the mapper: a combiner, in a process of its own, takes twice the time."""

    OUTPUT_PROTOCOL = TextProtocol

    def mapper_init(self):
        self.counts = Counter()

    def mapper(self, _, line):
        self.counts.update(line.split())

    def mapper_final(self):
        yield from self.counts.items()

    def reducer(self, word, counts):
        yield word, str(sum(counts))


if __name__ == "__main__":
    WordCount.run()
