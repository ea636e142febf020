"""DuckDB: SQL over the file, two threads, the answer copied into a file.

Usage: duckdb_job.py wordcount|groupsum INPUT OUTPUT
"""

import sys

import duckdb

# Types, delimiter and quoting are given: nothing is guessed from a sample.
OPTIONS = "header = false, quote = '', escape = '', auto_detect = false"

QUERIES = {
    # A line has no tab, so that it is one column.
    "wordcount": f"""
        SELECT word, count(*)
        FROM (
            SELECT unnest(string_split(line, ' ')) AS word
            FROM read_csv($source, columns = {{'line': 'VARCHAR'}}, delim = '\t', {OPTIONS})
        )
        GROUP BY word""",
    "groupsum": f"""
        SELECT key, sum(value)::BIGINT
        FROM read_csv(
            $source, columns = {{'key': 'VARCHAR', 'value': 'INTEGER'}}, delim = '\t', {OPTIONS})
        GROUP BY key""",
}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


task, source, target = sys.argv[1:]
query = QUERIES[task].replace("$source", quoted(source))
database = duckdb.connect(config={"threads": 2, "preserve_insertion_order": False})
database.execute(
    f"COPY ({query}) TO {quoted(target)} (FORMAT csv, DELIMITER '\t', HEADER false)"
)
