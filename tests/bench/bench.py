"""Measures rsqoop beside its peers on the same data, in interleaved rounds, and checks what each wrote.

Called by tests/bench/run. Prints one Markdown table and writes all measurements to results.json.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys

import measure
from sources import PASSWORD, TABLE, close_sources, open_sources

HERE = os.path.dirname(os.path.abspath(__file__))
RANGES = 4


def key_ranges(rows):
    """RANGES equal ranges of the key, first and last id of each."""
    return [(1 + rows * i // RANGES, rows * (i + 1) // RANGES) for i in range(RANGES)]


def jobs(options, rows):
    """(source, tool, writes Parquet, make the commands from the source and the output directory)"""

    def rsqoop(source, out):
        return [[options.program, "import", "--connect", source.url, "--table", TABLE, "--split-by", "id",
                 "-m", str(RANGES), "--as-parquetfile", "--target-dir", out]]

    def duck(kind, connection):
        return lambda source, out: [[sys.executable, f"{HERE}/duck.py", kind, connection(source), out]]

    def in_ranges(statement):
        return lambda source, out: [
            source.client(statement.format(f"SELECT * FROM {TABLE} WHERE id BETWEEN {low} AND {high}"))
            for low, high in key_ranges(rows)]

    copy = "COPY ({}) TO STDOUT (FORMAT binary)"
    duck_pg = duck("postgres", lambda s: f"host=127.0.0.1 port={s.port} user=bench password={PASSWORD} dbname=postgres")
    return [
        ("PostgreSQL", "rsqoop", True, rsqoop),
        ("PostgreSQL", "DuckDB", True, duck_pg),
        ("PostgreSQL", "COPY binary, 4 ranges, no output", False, in_ranges(copy)),
        ("PostgreSQL", "COPY binary, whole, no output", False,
         lambda source, out: [source.client(copy.format(f"SELECT * FROM {TABLE}"))]),
        ("MariaDB", "rsqoop", True, rsqoop),
        ("MariaDB", "mariadb client, 4 ranges, no output", False, in_ranges("{}")),
        ("SQLite", "rsqoop", True, rsqoop),
        ("SQLite", "DuckDB", True, duck("sqlite", lambda s: s.path)),
        ("SQLite", "sqlite3 shell, no output", False,
         lambda source, out: [source.client(f"SELECT * FROM {TABLE}")]),
    ]


def size_mb(directory):
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(directory) for name in names) / 1e6


def measure_once(job, sources, facts_path, options):
    source_name, tool, writes, commands = job
    source = sources[source_name]
    out = f"{options.work}/out"
    shutil.rmtree(out, ignore_errors=True)
    # rsqoop makes its target itself; the others want it there
    target = f"{out}/target"
    os.makedirs(out if tool == "rsqoop" else target)
    os.sync()
    log = f"{options.work}/{source_name}-{tool.split(',')[0]}.log".replace(" ", "-")
    server = source.process.pid if source.process else None
    cost = measure.run(commands(source, target), server, log, options.limit)
    cost.update(source=source_name, tool=tool, out_mb=None, check="failed: see " + log)
    if cost["ok"]:
        cost["check"] = "-"
        if writes:
            cost["out_mb"] = size_mb(target)
            checked = subprocess.run([sys.executable, f"{HERE}/check.py", facts_path, target],
                                     stderr=subprocess.PIPE, text=True)
            cost["check"] = "same" if checked.returncode == 0 else "DIFFERS: " + checked.stderr.strip()[-200:]
    if not options.keep:
        shutil.rmtree(out)
    return cost


def median_rows(results):
    """One row per job: medians of the runs that worked, and the worst check."""
    rows = {}
    for result in results:
        rows.setdefault((result["source"], result["tool"]), []).append(result)
    table = []
    for (source, tool), runs in rows.items():
        good = [run for run in runs if run["ok"]]
        row = {"source": source, "tool": tool, "runs": len(good),
               "check": next((r["check"] for r in runs if r["check"] not in ("same", "-")), runs[0]["check"])}
        for key in ("wall_s", "client_cpu_s", "server_cpu_s", "peak_mb", "out_mb", "others"):
            values = [run[key] for run in good if run[key] is not None]
            row[key] = statistics.median(values) if values else None
        table.append(row)
    return table


def markdown(table):
    """Ratios are each tool's figure divided by rsqoop's for the same source: above 1, rsqoop needs less."""
    def number(value, digits):
        return "" if value is None else f"{value:.{digits}f}"

    base = {row["source"]: row for row in table if row["tool"] == "rsqoop" and row["runs"]}

    def ratio(row, figure):
        reference = base.get(row["source"])
        return f"{figure(row) / figure(reference):.2f}" if reference and row["runs"] else ""

    lines = ["| Source | Tool | Wall s | ÷ rsqoop | Client CPU s | ÷ rsqoop | Server CPU s | Peak MB | Out MB "
             "| Others | Runs | Data |", "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    for row in table:
        lines.append("| " + " | ".join([
            row["source"], row["tool"], number(row["wall_s"], 2), ratio(row, lambda r: r["wall_s"]),
            number(row["client_cpu_s"], 2), ratio(row, lambda r: r["client_cpu_s"]),
            number(row["server_cpu_s"], 2), number(row["peak_mb"], 0), number(row["out_mb"], 1),
            number(row["others"], 2), str(row["runs"]), row["check"]]) + " |")
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1, help="TPC-H scale: 1 is 6 million rows (default)")
    parser.add_argument("-n", "--rounds", type=int, default=3, help="rounds; the table shows medians (default 3)")
    parser.add_argument("--only", default="", metavar="REGEX", help="jobs whose 'SOURCE TOOL' matches")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a run is ended")
    parser.add_argument("--keep", action="store_true", help="keep what the last run wrote")
    options = parser.parse_args()
    options.work = os.path.abspath(os.environ["RSQOOP_BENCH_DIR"])
    options.program = os.environ.get("RSQOOP_BENCH_PROGRAM", "rsqoop")
    return options


def main():
    options = parse()
    # so that the servers are stopped on the way out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [job for job in jobs(options, 0) if re.search(options.only, f"{job[0]} {job[1]}", re.IGNORECASE)]
    if not wanted:
        sys.exit("no job matches --only")
    names = list(dict.fromkeys(job[0] for job in wanted))
    sources, facts_path = open_sources(options.work, options.scale, sys.executable, names)
    results = []
    try:
        with open(facts_path) as file:
            rows = int(json.load(file)[0])
        chosen = [job for job in jobs(options, rows) if any(job[:2] == w[:2] for w in wanted)]
        for round_number in range(1, options.rounds + 1):
            for job in chosen:
                cost = measure_once(job, sources, facts_path, options)
                results.append(cost)
                print(f"round {round_number}  {cost['source']:<10}  {cost['tool']:<36}  {cost['wall_s']:7.2f} s  "
                      f"client {cost['client_cpu_s']:6.2f}  server {cost['server_cpu_s']:6.2f}  {cost['check']}",
                      file=sys.stderr, flush=True)
    finally:
        close_sources(sources)
    table = median_rows(results)
    with open(f"{options.work}/results.json", "w") as file:
        json.dump({"scale": options.scale, "rows": rows, "medians": table, "runs": results}, file, indent=1)
    print(f"{TABLE}, {rows:,} rows, {os.cpu_count()} cores shared with the server, medians of {options.rounds}\n")
    print(markdown(table))
    return 0 if all(row["check"] in ("same", "-") for row in table) else 1


if __name__ == "__main__":
    sys.exit(main())
