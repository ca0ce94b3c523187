"""What the footers of Parquet files promise, as pyarrow reads them, and the types DuckDB makes of them.

    footers.py footers PATH...   one JSON object: `files`, one entry a file, and `duckdb`, the column types.
"""

import json
import sys

import duckdb
import pyarrow.parquet as pq


def column(chunk, has_min_max):
    stats = chunk.statistics
    return {
        "codec": chunk.compression,
        "encodings": sorted(chunk.encodings),
        "offset_index": chunk.has_offset_index,
        "column_index": chunk.has_column_index,
        "min_max": has_min_max,
        "nulls": stats.null_count if stats and stats.has_null_count else None,
    }


def footer(path):
    meta = pq.ParquetFile(path).metadata
    # DuckDB's view: it skips row groups by what it finds here.
    known = duckdb.execute(
        "SELECT path_in_schema, stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL "
        "FROM parquet_metadata(?) WHERE row_group_id = 0",
        [path],
    ).fetchall()
    has_min_max = dict(known)
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    return {
        "rows": meta.num_rows,
        "created_by": meta.created_by,
        "row_groups": [group.num_rows for group in groups],
        "columns": {
            group.column(i).path_in_schema: column(group.column(i), has_min_max[group.column(i).path_in_schema])
            for group in groups[:1]
            for i in range(group.num_columns)
        },
    }


def main(_what, *paths):
    described = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [list(paths)]).fetchall()
    answer = {
        "files": [footer(path) for path in paths],
        "duckdb": {row[0]: row[1] for row in described},
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
