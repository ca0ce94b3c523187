"""Reads with pyarrow and DuckDB what rsqoop wrote: the independent judge of the server tests.

One JSON request a line on standard input, one JSON answer a line on standard output. Dates, times and
decimals are printed from the stored integers, since Python's own objects cannot hold all of them
(years outside 1 to 9999, 24:00:00). Knows nothing of what a test expects.
"""

import decimal
import hashlib
import json
import struct
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

decimal.getcontext().prec = 100
FLOAT_MAX = 3.4028235677973366e38  # above it `struct` refuses; readers' own largest is smaller


def parts(folder, ending=""):
    return sorted(str(p) for p in Path(folder).iterdir() if p.name.startswith("part-m-") and p.name.endswith(ending))


def civil(days):
    days += 719468
    era, day_of_era = divmod(days, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    return "%s%04d-%02d-%02d" % ("-" if year < 0 else "", abs(year), month, day_of_year - (153 * shifted + 2) // 5 + 1)


def clock(micros):
    seconds, micros = divmod(micros, 1_000_000)
    return "%02d:%02d:%02d.%06d" % (seconds // 3600, seconds // 60 % 60, seconds % 60, micros)


def real(value, narrow):
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if narrow:
        for digits in range(1, 10):
            text = "%.*g" % (digits, value)
            if abs(float(text)) <= FLOAT_MAX and struct.pack("<f", float(text)) == struct.pack("<f", value):
                return repr(float(text))
    return repr(value)


def values(array):
    """The values of an Arrow array as texts, None for NULL."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return [h and "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:])) for h in values(array.storage)]
        return values(array.storage)
    if pa.types.is_list(kind):
        items, offsets = values(array.values), array.offsets.to_pylist()
        null = array.is_null().to_pylist()
        return [
            None if null[i] else "[" + "|".join("NULL" if v is None else v for v in items[offsets[i] : offsets[i + 1]]) + "]"
            for i in range(len(array))
        ]
    if pa.types.is_date32(kind):
        return [None if v is None else civil(v) for v in array.cast(pa.int32()).to_pylist()]
    if pa.types.is_time64(kind):
        return [None if v is None else clock(v) for v in array.cast(pa.int64()).to_pylist()]
    if pa.types.is_timestamp(kind):
        zone = "Z" if kind.tz else ""
        split = [v if v is None else divmod(v, 86_400_000_000) for v in array.cast(pa.int64()).to_pylist()]
        return [None if v is None else civil(v[0]) + " " + clock(v[1]) + zone for v in split]
    if pa.types.is_decimal(kind):
        return [None if v is None else format(v, "f") for v in array.to_pylist()]
    if pa.types.is_floating(kind):
        narrow = pa.types.is_float32(kind)
        return [None if v is None else real(v, narrow) for v in array.to_pylist()]
    if pa.types.is_boolean(kind):
        return [None if v is None else str(v).lower() for v in array.to_pylist()]
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if v is None else v.hex() for v in array.to_pylist()]
    if pa.types.is_string(kind) or pa.types.is_integer(kind):
        return [None if v is None else str(v) for v in array.to_pylist()]
    raise TypeError("no text for " + str(kind))


def table_values(table):
    return [[v for chunk in column.chunks for v in values(chunk)] for column in table.columns]


def logical(column):
    """Parquet's own type of a leaf, in short words: INT64 TIMESTAMP(us,utc)."""
    name = column.physical_type
    if name == "FIXED_LEN_BYTE_ARRAY":
        name += "(%d)" % column.length
    info = json.loads(column.logical_type.to_json())
    kind = info["Type"]
    if kind == "None":
        return name
    if kind == "Int":
        return name + " INT(%d,%s)" % (info["bitWidth"], "signed" if info["isSigned"] else "unsigned")
    if kind == "Decimal":
        return name + " DECIMAL(%d,%d)" % (info["precision"], info["scale"])
    if kind in ("Timestamp", "Time"):
        unit = {"microseconds": "us"}.get(info["timeUnit"], info["timeUnit"])
        return name + " %s(%s,%s)" % (kind.upper(), unit, "utc" if info["isAdjustedToUTC"] else "local")
    return name + " " + kind.upper()


def parquet_types(path):
    file = pq.ParquetFile(path)
    leaves = {}
    for index in range(len(file.schema)):
        leaf = file.schema.column(index)
        top = leaf.path.split(".")[0] if leaf.max_repetition_level else leaf.path
        text = logical(leaf)
        leaves[top] = "LIST<" + text + ">" if leaf.max_repetition_level else text
    return [
        {
            "name": field.name,
            "type": leaves.get(field.name, "?"),
            "required": not field.nullable,
            "native": ((field.metadata or {}).get(b"rsqoop.native_type") or b"").decode(),
        }
        for field in file.schema_arrow
    ]


def read(request):
    """Types and values of a Parquet dataset; DuckDB must be able to read it too."""
    files = parts(request["dir"], ".parquet")
    types = [parquet_types(f) for f in files]
    assert all(t == types[0] for t in types), "the part files differ in their types"
    columns = [table_values(pq.read_table(f)) for f in files]
    rows = [list(row) for part in columns for row in zip(*part)]
    with duckdb.connect() as connection:
        seen = connection.execute("select * from read_parquet(?)", [files]).to_arrow_table().num_rows
    assert seen == len(rows), "DuckDB reads %d rows, pyarrow %d" % (seen, len(rows))
    return {"files": len(files), "columns": types[0], "rows": rows}


def digest(request):
    """Whether two datasets hold the same rows, without moving them: a hash of the sorted rows."""
    files = parts(request["dir"], ".parquet")
    rows = [json.dumps(row) for f in files for row in zip(*table_values(pq.read_table(f)))]
    rows.sort()
    return {"files": len(files), "rows": len(rows), "digest": hashlib.sha256("\n".join(rows).encode()).hexdigest()}


def query(request):
    """Rows of a DuckDB query as texts."""
    with duckdb.connect() as connection:
        rows = connection.execute(request["sql"]).fetchall()
    return {"rows": [[None if v is None else str(v) for v in row] for row in rows]}


OPERATIONS = {"read": read, "digest": digest, "query": query}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = OPERATIONS[request["op"]](request)
    except Exception as error:  # the test shows it
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
