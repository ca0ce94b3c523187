"""The peer: DuckDB copies the table to Parquet.  duck.py postgres|sqlite CONNECTION OUT_DIRECTORY"""

import glob
import os
import sys

import duckdb

kind, connection, out = sys.argv[1:]
site = os.path.dirname(os.path.dirname(duckdb.__file__))
name = f"{kind}_scanner"
extension = glob.glob(f"{site}/duckdb_extension_{name}/extensions/*/{name}.duckdb_extension")[0]
db = duckdb.connect(config={"autoinstall_known_extensions": "false"})
db.execute(f"LOAD '{extension}'")
db.execute("SET preserve_insertion_order=false")
db.execute(f"ATTACH '{connection}' AS source (TYPE {kind}, READ_ONLY)")
db.execute(f"COPY (SELECT * FROM source.lineitem_id) TO '{out}/part.parquet' (FORMAT parquet, COMPRESSION zstd)")
