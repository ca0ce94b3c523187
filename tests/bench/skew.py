"""Measures how long workers idle on a lopsided table: 95 % of its rows lie in the top 1 % of its key range.

Called by `tests/bench/run --skew`. Imports the table with -m 4 into Parquet and prints, per source, the longest
idle time of any worker as a share of the time in which rows were read, from rsqoop's own report.
Writes skew.json.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

from sources import PASSWORD, MariaDb, Postgres, Sqlite, close_sources

ROWS = 3_000_000
WORKERS = 4
# The goal of the project: no worker idles longer than this share of the time.
GOAL = 0.05

# The first 5 % of the rows are spread over 99 % of the keys, which go up to 10^10.
SPARSE = ROWS // 20


def key(i):
    return f"CASE WHEN {i} <= {SPARSE} THEN {i} * {9_900_000_000 // SPARSE} ELSE 9900000000 + ({i} - {SPARSE}) * 30 END"


class SkewedPostgres(Postgres):
    def load(self, csv):
        self.admin(
            f"CREATE TABLE skewed AS SELECT ({key('i')})::bigint AS id, md5(i::text) AS a, md5((i * 7)::text) AS b, "
            f"i * 1.25 AS n, now() AS t FROM generate_series(1, {ROWS}::bigint) AS i",
            "ALTER TABLE skewed ADD PRIMARY KEY (id)",
            "CREATE TABLE unknown AS SELECT * FROM skewed", "ALTER TABLE unknown ADD PRIMARY KEY (id)",
            "VACUUM (ANALYZE) skewed", "CHECKPOINT")


class SkewedMariaDb(MariaDb):
    def load(self, csv):
        self.admin(f"""CREATE DATABASE bench; USE bench;
            CREATE USER bench@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO bench@'%';
            CREATE TABLE skewed (id bigint PRIMARY KEY, a char(32), b char(32), n decimal(14,2), t datetime);
            INSERT INTO skewed SELECT {key('seq')},
              md5(seq), md5(seq * 7), seq * 1.25, now() FROM seq_1_to_{ROWS};
            ANALYZE TABLE skewed""")


class SkewedSqlite(Sqlite):
    def script(self, csv):
        return f"""CREATE TABLE skewed (id INTEGER PRIMARY KEY, a TEXT, b TEXT, n DECIMAL(14,2), t TIMESTAMP);
WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {ROWS})
INSERT INTO skewed SELECT {key('i')}, hex(i * 2654435761 % 4294967296) || 'aaaaaaaaaaaaaaaaaaaaaaaa',
  hex(i * 40503 % 65536) || 'bbbbbbbbbbbbbbbbbbbbbbbbbbbb', i, '2026-01-01 00:00:00' FROM s;
"""


def measure(program, url, table, work):
    out, report = f"{work}/out", f"{work}/report.json"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([program, "import", "--connect", url, "--table", table, "-m", str(WORKERS), "--as-parquetfile",
                    "--target-dir", out, "--report", report, "--quiet"], check=True, timeout=600)
    shutil.rmtree(out, ignore_errors=True)
    with open(report) as file:
        found = json.load(file)
    if found["rows"] != ROWS or found["not_verified"]:
        raise SystemExit(f"{table}: {found['rows']} rows of {ROWS}, not verified: {found['not_verified']}")
    seconds = found["read_seconds"]
    return {
        "seconds": seconds,
        "idle": max(worker["idle_seconds"] for worker in found["workers"]) / seconds,
        "rows": [worker["rows"] for worker in found["workers"]],
        "statements": len(found["splits"]),
    }


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run --skew", description=__doc__.splitlines()[0])
    parser.add_argument("-n", "--rounds", type=int, default=5, help="rounds; the table shows medians (default 5)")
    options = parser.parse_args()
    work = f"{os.path.abspath(os.environ['RSQOOP_BENCH_DIR'])}/skew"
    program = os.environ.get("RSQOOP_BENCH_PROGRAM", "rsqoop")
    os.makedirs(work, exist_ok=True)
    sources = {"PostgreSQL": SkewedPostgres(f"{work}/pg"), "MariaDB": SkewedMariaDb(f"{work}/mariadb"),
               "SQLite": SkewedSqlite(f"{work}/sqlite")}
    jobs = [("PostgreSQL", "skewed", "analysed"), ("PostgreSQL", "unknown", "never analysed"),
            ("MariaDB", "skewed", "analysed"), ("SQLite", "skewed", "never analysed")]
    results = {job: [] for job in jobs}
    try:
        for source in sources.values():
            source.prepare(None)
        for number in range(1, options.rounds + 1):
            for job in jobs:
                found = measure(program, sources[job[0]].url, job[1], work)
                results[job].append(found)
                print(f"round {number}  {job[0]:<10}  {job[2]:<14}  {found['seconds']:6.2f} s  "
                      f"idle {found['idle']:6.2%}", file=sys.stderr, flush=True)
    finally:
        close_sources(sources)
    with open(f"{work}/skew.json", "w") as file:
        json.dump([{"source": s, "table": t, "runs": runs} for (s, _, t), runs in results.items()], file, indent=1)
    print(f"{ROWS:,} rows, 95 % of them in the top 1 % of the key range, -m {WORKERS}, medians of {options.rounds}\n")
    print("| Source | Statistics | Read s | Longest idle of a worker | Worst round | Statements |\n|---|---|--:|--:|--:|--:|")
    reached = True
    for (source, _, statistics_are), runs in results.items():
        idle = statistics.median(run["idle"] for run in runs)
        reached &= idle <= GOAL
        print(f"| {source} | {statistics_are} | {statistics.median(r['seconds'] for r in runs):.2f} | {idle:.2%} | "
              f"{max(r['idle'] for r in runs):.2%} | {statistics.median(r['statements'] for r in runs):.0f} |")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
