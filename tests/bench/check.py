"""An independent reader (pyarrow) of what a tool wrote.  check.py EXPECTED_JSON DIRECTORY
Exit 0 when rows, sums and extremes of all Parquet files together are those of the source; one column
is read at a time, so the memory needed stays small."""

import decimal
import glob
import json
import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq

from sources import same


def main(expected_path, directory):
    with open(expected_path) as file:
        expected = json.load(file)
    paths = sorted(
        path for path in glob.glob(f"{directory}/**/*", recursive=True)
        if path.endswith(".parquet") or "/part-" in path
    )

    def column(name):
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(columns=[name]):
                yield batch.column(0)

    def total(name):
        return sum((decimal.Decimal(str(pc.sum(c).as_py() or 0)) for c in column(name)), decimal.Decimal(0))

    found = [
        sum(pq.read_metadata(path).num_rows for path in paths),
        total("id"),
        total("l_extendedprice"),
        min(str(pc.min(c)) for c in column("l_shipdate")),
        max(str(pc.max(c)) for c in column("l_receiptdate")),
        sum(pc.sum(pc.utf8_length(c)).as_py() or 0 for c in column("l_comment")),
    ]
    if not same(expected, found):
        sys.exit(f"expected {expected}, found {[str(value) for value in found]}")


main(*sys.argv[1:])
