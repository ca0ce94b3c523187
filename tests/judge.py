"""The second opinion: reads what rsqoop wrote with programs that share no code with it.

    judge.py parquet PATH...   one JSON object: rows, schema (as pyarrow and as the file's footer say), values.
                               DuckDB has to see the same number of rows and the same NULL counts.
    judge.py text PATH...      the bytes of text files, decompressed by extension: .gz .bz2 .deflate .zst,
                               and Hadoop's block framing for .snappy and .lz4

A PATH that is a directory stands for its files in order of name, without those that begin with `_` or `.`.
Run with the Python in RSQOOP_TEST_PYTHON.
"""

import bz2
import gzip
import json
import os
import struct
import sys
import zlib

import duckdb
import lz4.block
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for name in sorted(os.listdir(path)):
                if not name.startswith(("_", ".")):
                    yield from files([os.path.join(path, name)])
        else:
            yield path


def moment(number, unit):
    """Microseconds (or days) since 1970 as text; counted by hand, for Python's dates end at year 9999."""
    micros = number if unit == "us" else number * {"ms": 1000, "s": 1_000_000}[unit]
    seconds, fraction = divmod(micros, 1_000_000)
    days, second = divmod(seconds, 86400)
    return f"{day(days)} {clock(second, fraction)}"


def clock(second, fraction):
    text = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{text}.{fraction:06}" if fraction else text


def day(days):
    """Proleptic Gregorian date; years before 1 as 0000, -0001 and so on."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    return f"{'-' if year < 0 else ''}{abs(year):04}-{month:02}-{day_of_year - (153 * shifted + 2) // 5 + 1:02}"


def plain(array):
    """A column as JSON values that lose nothing: text for numbers, dates and times, hex for bytes."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return array.to_pylist()
    if pa.types.is_timestamp(kind):
        return [v if v is None else moment(v, kind.unit) for v in array.cast(pa.int64()).to_pylist()]
    if pa.types.is_date32(kind):
        return [v if v is None else day(v) for v in array.cast(pa.int32()).to_pylist()]
    if pa.types.is_time64(kind):
        micros = array.cast(pa.int64()).to_pylist()
        return [v if v is None else clock(*divmod(v, 1_000_000)) for v in micros]
    if pa.types.is_list(kind):
        return [plain(v.values) if v.is_valid else None for v in array]
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_large_binary(kind):
        return [v if v is None else v.hex() for v in array.to_pylist()]
    if pa.types.is_decimal(kind):
        return [v if v is None else format(v, "f") for v in array.to_pylist()]
    return [v if v is None else repr(v) if isinstance(v, float) else str(v) for v in array.to_pylist()]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def judge_parquet(paths):
    tables = [pq.ParquetFile(path) for path in paths]
    first = tables[0]
    for path, table in zip(paths, tables):
        if table.schema_arrow != first.schema_arrow:
            sys.exit(f"{path}: schema differs from {paths[0]}")
    whole = pa.concat_tables([table.read() for table in tables])
    names = whole.column_names
    nulls = ", ".join(f"count(*) - count({quoted(name)})" for name in names)
    seen = duckdb.execute(f"SELECT count(*), {nulls} FROM read_parquet(?)", [paths]).fetchone()
    counted = (whole.num_rows, *(column.null_count for column in whole.columns))
    if seen != counted:
        sys.exit(f"DuckDB sees rows and NULLs {seen}, pyarrow {counted}")
    # a list's leaf is at NAME.list.element
    footer = {c.path.removesuffix(".list.element"): c for c in map(first.schema.column, range(len(first.schema)))}
    columns = [plain(column.combine_chunks()) for column in whole.columns]
    metadata = {k.decode(): v.decode() for k, v in (first.metadata.metadata or {}).items() if k != b"ARROW:schema"}
    return {
        "files": len(paths),
        "rows": whole.num_rows,
        "schema": [
            {
                "name": field.name,
                "arrow": str(field.type),
                "nullable": field.nullable,
                "physical": footer[field.name].physical_type,
                "logical": str(footer[field.name].logical_type),
                "metadata": {k.decode(): v.decode() for k, v in (field.metadata or {}).items()},
            }
            for field in whole.schema
        ],
        "codecs": sorted({
            first.metadata.row_group(0).column(i).compression for i in range(len(first.schema))
        }) if first.num_row_groups else [],
        "metadata": metadata,
        "values": [list(row) for row in zip(*columns)],
    }


def hadoop_blocks(data, decompress):
    """Blocks of: length of the block's plain bytes, then chunks of length and compressed bytes."""
    out, place = [], 0
    while place < len(data):
        (left,) = struct.unpack_from(">I", data, place)
        place += 4
        while left > 0:
            (size,) = struct.unpack_from(">I", data, place)
            chunk = decompress(data[place + 4 : place + 4 + size], left)
            place += 4 + size
            left -= len(chunk)
            out.append(chunk)
        if left < 0:
            sys.exit("a block holds more than it says")
    return b"".join(out)


def snappy_chunk(chunk, _left):
    # The raw format begins with the plain length as a varint.
    size = shift = place = 0
    while True:
        size |= (chunk[place] & 0x7F) << shift
        shift += 7
        place += 1
        if chunk[place - 1] < 0x80:
            break
    return pa.decompress(chunk, size, codec="snappy", asbytes=True)


def lz4_chunk(chunk, left):
    return lz4.block.decompress(chunk, uncompressed_size=left)


def judge_text(path):
    with open(path, "rb") as file:
        data = file.read()
    extension = os.path.splitext(path)[1]
    if extension == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    readers = {
        ".gz": gzip.decompress,
        ".bz2": bz2.decompress,
        ".deflate": zlib.decompress,
        ".snappy": lambda d: hadoop_blocks(d, snappy_chunk),
        ".lz4": lambda d: hadoop_blocks(d, lz4_chunk),
    }
    return readers.get(extension, bytes)(data)


def main(what, *paths):
    found = list(files(paths))
    if what == "parquet":
        if not found:
            sys.exit("no file")
        json.dump(judge_parquet(found), sys.stdout, ensure_ascii=False)
    elif what == "text":
        for path in found:
            sys.stdout.buffer.write(judge_text(path))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
