"""The source databases of the benchmark: private PostgreSQL and MariaDB servers and a SQLite file, each
with TPC-H's `lineitem` plus a single-column key, as table lineitem_id. Data stay between runs; the
servers run only while the benchmark does.
"""

import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

TABLE = "lineitem_id"
PASSWORD = "bench"
COLUMNS = """id bigint NOT NULL PRIMARY KEY, l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL,
 l_suppkey bigint NOT NULL, l_linenumber int NOT NULL, l_quantity decimal(15,2) NOT NULL,
 l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL, l_tax decimal(15,2) NOT NULL,
 l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL,
 l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL,
 l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL"""
# What every copy of the table has to agree on; {length} is a function that counts characters.
FACTS = """SELECT count(*), sum(id), sum(l_extendedprice), min(l_shipdate), max(l_receiptdate),
 sum({length}(l_comment)) FROM lineitem_id"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_server():
    """Arguments for subprocess: servers refuse to run as root, so root starts them as nobody."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def output(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def make_csv(folder, scale, python):
    """lineitem with a running number in front, as one CSV file."""
    path = f"{folder}/{TABLE}.csv"
    if os.path.exists(path):
        return path
    generator = os.path.join(os.path.dirname(python), "tpchgen-cli")
    subprocess.run([generator, "csv", "-s", str(scale), "--overwrite", "--tables=lineitem", "-o", folder], check=True)
    with open(f"{folder}/lineitem.csv", "rb") as source, open(path + ".new", "wb") as target:
        for number, line in enumerate(source):
            target.write((b"%d," % number if number else b"id,") + line)
    os.rename(path + ".new", path)
    os.remove(f"{folder}/lineitem.csv")
    return path


class Server:
    """A private server: made and loaded once, started for each run of the benchmark."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None

    def prepare(self, csv):
        self.loaded = os.path.exists(f"{self.folder}/loaded")
        if not self.loaded:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.makedirs(self.folder)
            if os.getuid() == 0:
                shutil.chown(self.folder, "nobody")
            self.create()
        with open(f"{self.folder}/server.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd=self.folder, **as_server()
            )
        self.wait_until_ready()
        if not self.loaded:
            self.load(csv)
            with open(f"{self.folder}/loaded", "w"):
                pass

    def wait_until_ready(self):
        for _ in range(600):
            try:
                # Through the socket in our own folder: no other server can answer there.
                self.admin("SELECT 1")
                return
            except subprocess.CalledProcessError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise SystemExit(f"server did not start: see {self.folder}/server.log")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            self.process.wait(timeout=120)


class Postgres(Server):
    stop_signal = signal.SIGINT

    def __init__(self, folder):
        super().__init__(folder)
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4]))[-1]
        self.url = f"postgresql://bench:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def create(self):
        with open(f"{self.folder}/password", "w") as file:
            file.write(PASSWORD)
        subprocess.run(
            [f"{self.bin}/initdb", "-D", f"{self.folder}/data", "-U", "bench", "--auth-local=trust",
             "--auth-host=scram-sha-256", f"--pwfile={self.folder}/password", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **as_server()
        )

    def command(self):
        settings = ("listen_addresses=127.0.0.1 fsync=off synchronous_commit=off full_page_writes=off "
                    "shared_buffers=2GB maintenance_work_mem=512MB max_wal_size=8GB autovacuum=off").split()
        return [f"{self.bin}/postgres", "-D", f"{self.folder}/data", "-p", str(self.port), "-k", self.folder] + [
            word for setting in settings for word in ("-c", setting)]

    def admin(self, *statements):
        words = [word for statement in statements for word in ("-c", statement)]
        return output(["psql", "-XAtq", "-F,", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port),
                       "-U", "bench", "-d", "postgres", *words], stderr=subprocess.DEVNULL)

    def load(self, csv):
        self.admin(f"CREATE TABLE {TABLE} ({COLUMNS})", f"\\copy {TABLE} FROM '{csv}' (FORMAT csv, HEADER)",
                   f"VACUUM (ANALYZE, FREEZE) {TABLE}", "CHECKPOINT")

    def facts(self):
        return self.admin(FACTS.format(length="length")).split(",")

    def client(self, query):
        return ["psql", "-Xq", self.url, "-c", query]


class MariaDb(Server):
    stop_signal = signal.SIGTERM

    def __init__(self, folder):
        super().__init__(folder)
        self.url = f"mysql://bench:{PASSWORD}@127.0.0.1:{self.port}/bench"

    def create(self):
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={self.folder}/data", "--skip-test-db",
                        "--auth-root-authentication-method=normal"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_server())

    def command(self):
        return ["mariadbd", "--no-defaults", f"--datadir={self.folder}/data", f"--socket={self.folder}/s.sock",
                f"--pid-file={self.folder}/pid", "--bind-address=127.0.0.1", f"--port={self.port}",
                "--skip-name-resolve", "--local-infile=1", "--innodb-buffer-pool-size=3G",
                "--innodb-log-file-size=1G", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
                "--innodb-flush-method=nosync", "--character-set-server=utf8mb4"]

    def admin(self, statement):
        return output(["mariadb", "--no-defaults", "-BN", "--local-infile=1", "-S", f"{self.folder}/s.sock", "-u",
                       "root", "-e", statement], stderr=subprocess.DEVNULL)

    def load(self, csv):
        self.admin(f"""CREATE DATABASE bench; USE bench; CREATE TABLE {TABLE} ({COLUMNS});
            CREATE USER bench@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO bench@'%';
            SET unique_checks=0; LOAD DATA LOCAL INFILE '{csv}' INTO TABLE {TABLE} FIELDS TERMINATED BY ','
            OPTIONALLY ENCLOSED BY '"' ESCAPED BY '' IGNORE 1 LINES; ANALYZE TABLE {TABLE}""")

    def facts(self):
        return self.admin("USE bench; " + FACTS.format(length="char_length")).split("\t")

    def client(self, query):
        return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-ubench", f"-p{PASSWORD}",
                "--quick", "-BN", "bench", "-e", query]


class Sqlite:
    process = None

    def __init__(self, folder):
        self.path = f"{folder}.db"
        self.url = f"sqlite://{self.path}"

    def prepare(self, csv):
        if os.path.exists(self.path):
            return
        new = self.path + ".new"
        if os.path.exists(new):
            os.remove(new)
        script = f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;\n{self.script(csv)}"
        subprocess.run(["sqlite3", "-bail", new], input=script, text=True, check=True, stdout=subprocess.DEVNULL)
        os.rename(new, self.path)

    def script(self, csv):
        columns = COLUMNS.replace("id bigint NOT NULL PRIMARY KEY", "id INTEGER PRIMARY KEY", 1).replace("\n", "")
        return f"""CREATE TABLE {TABLE} ({columns});
.import --csv --skip 1 '{csv}' {TABLE}
ANALYZE;
"""

    def facts(self):
        return output(["sqlite3", "-readonly", "-csv", self.path, FACTS.format(length="length")]).split(",")

    def client(self, query):
        return ["sqlite3", "-readonly", "-list", self.path, query]

    def stop(self):
        pass


def same(left, right):
    """Whether two lists of facts agree; a source or reader with doubles for decimals may differ in noise."""
    def plain(value):
        value = str(value)[:10] if str(value)[4:5] == "-" else value
        try:
            return round(float(value), 1)
        except ValueError:
            return value

    return [plain(v) for v in left] == [plain(v) for v in right]


def open_sources(work, scale, python, names):
    """Starts the named sources, loading them first where that was never done; checks that they agree."""
    folder = f"{work}/scale-{scale:g}"
    os.makedirs(folder, exist_ok=True)
    csv = make_csv(folder, scale, python)
    kinds = {"PostgreSQL": ("pg", Postgres), "MariaDB": ("mariadb", MariaDb), "SQLite": ("sqlite", Sqlite)}
    opened, expected = {}, None
    facts_path = f"{folder}/facts.json"
    try:
        for name in names:
            part, kind = kinds[name]
            source = opened[name] = kind(f"{folder}/{part}")
            source.prepare(csv)
            facts = source.facts()
            expected = expected or facts
            if not same(expected, facts):
                raise SystemExit(f"{name} holds other data than the first source: {facts} != {expected}")
    except BaseException:
        close_sources(opened)
        raise
    with open(facts_path, "w") as file:
        json.dump(expected, file)
    return opened, facts_path


def close_sources(opened):
    for source in opened.values():
        source.stop()
