//! Tables large enough for the ways that small ones never see: statistics, samples, index dives, page
//! ranges. Analysed, never analysed, and with statistics of rows that are gone. Every file set must
//! hold the rows that the database's own client counts, once each, and the same content as `-m 1`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::support::{Database, Run, Server, duckdb};

const ROWS: u64 = 120_000;

/// Rows, different ids, their sum, and a checksum of whole rows.
fn content(run: &Run) -> Vec<String> {
    let files = format!("{}/part-m-*.parquet", run.target.display());
    let rows = duckdb(&format!(
        "SELECT count(*), count(DISTINCT id), sum(id), bit_xor(hash(t)) FROM read_parquet('{files}') t"
    ));
    rows[0].iter().map(|cell| cell.clone().unwrap_or_default()).collect()
}

/// What the database's own client says of the ids.
fn counted(db: &Database, table: &str) -> Vec<String> {
    let answer = db.sql(&format!("SELECT count(*), count(DISTINCT id), sum(id) FROM {table};"));
    answer.trim().split('\t').map(str::to_string).collect()
}

/// Imports by every key, with 4 or 16 workers in turn, and compares with one worker's files.
fn compare(db: &Database, table: &str, keys: &[&str], flags: &[&str], state: &str) {
    let import = |out: &str, workers: &str, by: &[&str]| {
        let out = format!("{table}-{state}-{out}");
        let all = [&["--table", table, "--as-parquetfile", "-m", workers], flags, by].concat();
        db.import(&out, &all).ok()
    };
    let wanted = content(&import("whole", "1", &[]));
    assert_eq!(wanted[..3], counted(db, table), "{:?} {table}, {state}", db.server);
    for (index, key) in keys.iter().enumerate() {
        let workers = ["4", "16"][index % 2];
        let by: &[&str] = if key.is_empty() { &[] } else { &["--split-by", key] };
        let run = import(&index.to_string(), workers, by);
        assert_eq!(content(&run), wanted, "{:?} {table} by {key:?}, {state}", db.server);
        std::fs::remove_dir_all(&run.target).expect("it can be removed");
    }
}

/// `n`: the numbers from 1 to `ROWS`, in no order.
fn numbers(db: &Database) {
    super::numbers(db);
    db.sql(&format!(
        "CREATE TABLE big (i int); INSERT INTO big SELECT a.i + 600 * (b.i - 1) FROM n a \
         JOIN n b ON b.i <= {} ORDER BY (a.i * 7919 + b.i * 104729) % 1009;",
        ROWS / 600
    ));
}

/// The table `t`: keys that are lopsided, repeated, infinite and NULL; `shift` moves them all.
fn postgres_rows(shift: &str) -> String {
    format!(
        "INSERT INTO t SELECT i,
           CASE WHEN i % 10 = 0 THEN NULL WHEN i <= 6000 THEN i * 16000000::bigint
             ELSE 96000000000 + i END + {shift}::bigint * 1000000000000,
           CASE WHEN i % 50 = 0 THEN NULL WHEN i % 3 = 0 THEN 'Same' ELSE md5(({shift} + i)::text) END,
           CASE i % 1000 WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity'
             ELSE timestamptz '2024-01-01 00:00:00Z' + {shift} * interval '9 years' + i * interval '7 s' END,
           CASE WHEN i % 7 = 0 THEN 'NaN' WHEN i % 1001 = 1 THEN '-Infinity' ELSE {shift} * 1e9 + i / 7.0 END,
           md5(({shift} * 7 + i)::text)::uuid, (i % 1000 + {shift} * 5000) / 8.0, i % 3 = 0, repeat('x', 200)
         FROM big;"
    )
}

const POSTGRES_KEYS: [&str; 10] =
    ["", "skewed", "word", "at", "real", "u", "price", "flag", "lower(word)", "skewed % 1000"];

#[test]
fn postgres_large_tables_split_without_loss() {
    let db = Database::new(Server::Postgres, "large");
    numbers(&db);
    let table = "CREATE TABLE t (id int PRIMARY KEY, skewed bigint, word text, at timestamptz, \
        real double precision, u uuid, price numeric(10,3), flag boolean, pad text) \
        WITH (autovacuum_enabled = false);";
    db.sql(&format!("{table} {}", postgres_rows("0")));
    // Tenant 1 has 99 % of the rows of a key of four columns.
    db.sql(
        "CREATE TABLE c (tenant int, word text COLLATE \"C\", day date, id int, PRIMARY KEY (tenant, word, day, id))
           WITH (autovacuum_enabled = false);
         INSERT INTO c SELECT CASE WHEN i % 100 = 0 THEN i ELSE 1 END, left(md5((i % 999)::text), 4),
           date '2024-01-01' + i % 30, i FROM big ORDER BY 1, 2, 3, 4;",
    );
    // Parquet's timestamps have no infinity.
    let flags = ["--map-column", "at=string"];
    compare(&db, "t", &POSTGRES_KEYS, &flags, "never-analysed");
    compare(&db, "c", &["", ""], &[], "never-analysed");
    db.sql("ANALYZE t; ANALYZE c;");
    compare(&db, "t", &POSTGRES_KEYS, &flags, "analysed");
    compare(&db, "c", &["", "", "word"], &[], "analysed");
    // Statistics of rows that are gone, of a table that seems to have its size still.
    db.sql(&format!(
        "TRUNCATE t; {} UPDATE pg_class SET relpages = pg_relation_size(oid) / 8192, \
         reltuples = {ROWS} WHERE relname IN ('t', 't_pkey'); \
         CREATE VIEW v AS SELECT t.*, c.tenant FROM t JOIN c USING (id);",
        postgres_rows("1")
    ));
    compare(&db, "t", &POSTGRES_KEYS, &flags, "wrong");
    compare(&db, "v", &["id", "at", "word", "tenant % 10"], &flags, "view");
}

#[test]
fn postgres_page_ranges_are_taken_where_the_key_is_far_from_the_heap() {
    let db = Database::new(Server::Postgres, "pages");
    numbers(&db);
    db.sql(
        "CREATE TABLE far (id int PRIMARY KEY, pad text) WITH (autovacuum_enabled = false);
         INSERT INTO far SELECT i, repeat('x', 300) FROM big ORDER BY md5(i::text);
         CREATE TABLE parts (id int, k int, pad text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
         CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1, 2, 3);
         CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
         INSERT INTO parts SELECT i, CASE WHEN i % 100 = 0 THEN 0 ELSE 1 + i % 7 END, repeat('y', 300)
           FROM big ORDER BY md5(i::text);
         CREATE TABLE near (id int PRIMARY KEY, pad text);
         INSERT INTO near SELECT i, repeat('z', 300) FROM big ORDER BY i;
         ANALYZE;",
    );
    for (table, by) in [("far", "ctid"), ("parts", "ctid"), ("near", "\"id\"")] {
        let plan = ["import", "--connect", &db.url(), "--dry-run", "--json", "--table", table];
        let run = db.rsqoop(&[&plan[..], &["--target-dir", "nowhere"]].concat()).ok();
        let plan: serde_json::Value = serde_json::from_str(&run.stdout).expect("a plan in JSON");
        assert_eq!(plan["split_by"], by, "{table}: {}", run.stdout);
        compare(&db, table, &["", ""], &[], "analysed");
        // Holes, moved rows, and a tail that nobody counted.
        db.sql(&format!(
            "DELETE FROM {table} WHERE id % 5 = 1; UPDATE {table} SET pad = pad || 'w' WHERE id % 3 = 0;"
        ));
        compare(&db, table, &["", "", "id"], &[], "churned");
    }
}

/// Rows that move to other pages while they are read, and pages that are cleaned.
#[test]
fn postgres_page_ranges_hold_the_snapshot_while_rows_move() {
    let db = Database::new(Server::Postgres, "moving");
    numbers(&db);
    db.sql(
        "CREATE TABLE m (id int, v bigint, pad text);
         INSERT INTO m SELECT i, 100, repeat('x', 150) FROM big;
         CREATE INDEX ON m (v); CREATE INDEX ON m (id);",
    );
    let wanted = counted(&db, "m");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for lot in 0..2 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut from = lot * 60_000;
                while !stop.load(Ordering::Relaxed) {
                    from = (from + 997) % 119_000;
                    // Within one transaction the sum stays; every row gets a new place.
                    let (a, b) = (from + 1, from + 500);
                    db.sql(&format!(
                        "BEGIN; UPDATE m SET v = v + CASE WHEN id % 2 = 0 THEN 1 ELSE -1 END \
                         WHERE id BETWEEN {a} AND {b}; COMMIT;{}",
                        if from % 10 == 0 { " VACUUM m;" } else { "" }
                    ));
                }
            });
        }
        let check = || {
            for round in 0..6 {
                let workers = ["4", "16", "1"][round % 3];
                let flags = ["--table", "m", "--as-parquetfile", "-m", workers];
                let run = db.import(&format!("m{round}"), &flags).ok();
                let files = format!("{}/part-m-*.parquet", run.target.display());
                let found = duckdb(&format!(
                    "SELECT count(*), count(DISTINCT id), sum(id), sum(v) FROM read_parquet('{files}')"
                ));
                let found: Vec<&str> = found[0].iter().flatten().map(String::as_str).collect();
                assert_eq!(found[..3], wanted, "round {round}");
                assert_eq!(found[3], (ROWS * 100).to_string(), "round {round}");
            }
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn mysql_family_large_tables_split_without_loss() {
    for server in Server::MYSQL_FAMILY {
        let db = Database::new(server, "large");
        numbers(&db);
        let rows = |shift: &str| {
            format!(
                "INSERT INTO t SELECT i,
                   CASE WHEN i % 10 = 0 THEN NULL WHEN i <= 6000 THEN i * 16000000
                     ELSE 96000000000 + i END + {shift} * 1000000000000,
                   CASE WHEN i % 50 = 0 THEN NULL WHEN i % 3 = 0 THEN 'Same' ELSE left(sha2({shift} + i, 256), 32) END,
                   '2024-01-01' + INTERVAL {shift} * 9 YEAR + INTERVAL i * 7 SECOND, {shift} * 1e9 + i / 7e0,
                   18446744073709551615 - i * {shift} - i, (i % 1000 + {shift} * 5000) / 8, unhex(left(sha2(i + {shift}, 256), 32))
                 FROM big;"
            )
        };
        db.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, skewed bigint, word varchar(40), at datetime(3), r double, \
             top bigint unsigned, price decimal(10,3), raw binary(16), \
             KEY (skewed), KEY (word), KEY (at), KEY (top), KEY (raw)) STATS_AUTO_RECALC = 0;{}",
            rows("0")
        ));
        let keys = ["", "skewed", "word", "at", "r", "top", "price", "raw", "skewed % 100"];
        db.sql(
            "CREATE TABLE c (tenant int, word varchar(9) COLLATE utf8mb4_general_ci, day date, id int,
               PRIMARY KEY (tenant, word, day, id)) STATS_AUTO_RECALC = 0;
             INSERT INTO c SELECT CASE WHEN i % 100 = 0 THEN i ELSE 1 END, left(sha2(i % 999, 256), 4),
               '2024-01-01' + INTERVAL i % 30 DAY, i FROM big;",
        );
        compare(&db, "t", &keys, &[], "never-analysed");
        compare(&db, "c", &["", ""], &[], "never-analysed");
        db.sql("ANALYZE TABLE t; ANALYZE TABLE c;");
        compare(&db, "c", &["", "", "word"], &[], "analysed");
        compare(&db, "t", &keys[..6], &[], "analysed");
        db.sql(&format!("DELETE FROM t;{}", rows("1")));
        compare(&db, "t", &keys[..6], &[], "wrong");
    }
}

#[test]
fn sqlite_large_tables_split_without_loss() {
    let db = Database::new(Server::Sqlite, "large");
    numbers(&db);
    let rows = |shift: i64| {
        format!(
            "INSERT INTO t SELECT i, CASE WHEN i % 10 = 0 THEN NULL WHEN i <= 6000 THEN i * 16000000 \
             ELSE 96000000000 + i END + {shift} * 1000000000000, \
             CASE WHEN i % 50 = 0 THEN NULL WHEN i % 3 = 0 THEN 'Same' ELSE hex(i * 7919 + {shift}) END, \
             CASE WHEN i % 999 = 1 THEN 9e999 ELSE {shift} * 1e9 + i / 7.0 END, CAST(hex(i * 31) AS BLOB) FROM big;"
        )
    };
    db.sql(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, skewed BIGINT, word TEXT COLLATE NOCASE, r REAL, raw BLOB);
         CREATE INDEX t_s ON t (skewed); CREATE INDEX t_w ON t (word); {}
         CREATE TABLE w (a TEXT, id INT, PRIMARY KEY (a, id)) WITHOUT ROWID;
         INSERT INTO w SELECT CASE WHEN i % 100 THEN 'most' ELSE hex(i) END, i FROM big;
         CREATE TABLE none (id INT, a TEXT); INSERT INTO none SELECT i, hex(i) FROM big;",
        rows(0)
    ));
    let keys = ["", "skewed", "word", "r", "raw", "skewed % 100"];
    compare(&db, "t", &keys, &[], "never-analysed");
    for table in ["w", "none"] {
        compare(&db, table, &["", ""], &[], "never-analysed");
    }
    db.sql("ANALYZE;");
    compare(&db, "t", &keys, &[], "analysed");
    db.sql(&format!("DELETE FROM t;{}", rows(1)));
    compare(&db, "t", &keys, &[], "wrong");
}
