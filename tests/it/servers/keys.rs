//! Metamorphic: whatever the key, `-m 1`, `-m 4` and `-m 16` give the same rows, none lost and none
//! twice, and as many part files as workers. Every tenth key is NULL.

mod large;
mod lists;

use super::support::{Database, Server};
use lists::Key;

const ROWS: usize = 600;
const WORKERS: [&str; 3] = ["1", "4", "16"];

/// Fills `n` with the numbers from 1, from which all keys are made.
fn numbers(db: &Database) {
    let values: Vec<String> = (1..=ROWS).map(|i| format!("({i})")).collect();
    db.sql(&format!(
        "CREATE TABLE n (i int PRIMARY KEY); INSERT INTO n VALUES {};",
        values.join(",")
    ));
}

/// What is wrong with splitting `table` as `flags` say; nothing when all is well.
fn differences(db: &Database, table: &str, flags: &[&str]) -> Option<String> {
    let mut first = None;
    for workers in WORKERS {
        let mut all = vec!["--table", table, "--as-parquetfile", "-m", workers];
        all.extend_from_slice(flags);
        let run = db.import(&format!("{table}_{workers}"), &all);
        if run.status != 0 {
            return Some(run.story());
        }
        let found = run.digest();
        if found.files.to_string() != workers || found.rows != ROWS {
            return Some(format!("{} rows in {} files\n{}", found.rows, found.files, run.story()));
        }
        match &first {
            None => first = Some(found.digest),
            Some(wanted) if *wanted == found.digest => {}
            Some(_) => return Some(format!("other rows than with -m 1\n{}", run.story())),
        }
    }
    None
}

fn check(server: Server, test: &str, setup: &str, keys: &[Key]) {
    let db = Database::new(server, test);
    numbers(&db);
    db.sql(setup);
    let mut wrong = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let table = format!("k{index}");
        db.sql(&format!(
            "{setup_each} CREATE TABLE {table} (id int NOT NULL, k {ddl});
             INSERT INTO {table} SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE {expr} END FROM n;",
            setup_each =
                if server.is_mysql_family() { "SET sql_mode = 'PIPES_AS_CONCAT';" } else { "" },
            ddl = key.ddl,
            expr = key.expr,
        ));
        let mut flags = vec!["--split-by", key.split_by];
        flags.extend_from_slice(key.flags);
        if let Some(difference) = differences(&db, &table, &flags) {
            wrong.push(format!("{} ({}): {difference}", key.ddl, key.expr));
        }
    }
    assert!(wrong.is_empty(), "{server:?}, {} keys:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn postgres_numbers_and_times_split_without_loss() {
    check(Server::Postgres, "keys_numbers", "", lists::POSTGRES_NUMBERS);
}

#[test]
fn postgres_texts_and_others_split_without_loss() {
    check(Server::Postgres, "keys_texts", lists::POSTGRES_SETUP, lists::POSTGRES_TEXTS);
}

#[test]
fn mariadb_keys_split_without_loss() {
    check(Server::MariaDb, "keys", "", lists::MYSQL);
    check(Server::MariaDb, "keys_own", "", lists::MARIADB);
}

#[test]
fn mysql_keys_split_without_loss() {
    check(Server::MySql, "keys", "", lists::MYSQL);
}

#[test]
fn sqlite_keys_split_without_loss() {
    check(Server::Sqlite, "keys", "", lists::SQLITE);
}

/// Primary keys, of one column and of several: no flag names them.
#[test]
fn primary_keys_split_without_loss() {
    for server in Server::ALL {
        let db = Database::new(server, "primary");
        numbers(&db);
        let text = if server.is_mysql_family() {
            "varchar(40) COLLATE utf8mb4_general_ci"
        } else {
            "varchar(40)"
        };
        let key =
            if server.is_mysql_family() { "concat('k''\\\\é', i)" } else { "'k''\\é' || i" };
        db.sql(&format!(
            "CREATE TABLE one (a bigint PRIMARY KEY, b int);
             INSERT INTO one SELECT i * 1000003, i FROM n;
             CREATE TABLE words (w {text} PRIMARY KEY, b int);
             INSERT INTO words SELECT {key}, i FROM n;
             CREATE TABLE two (b int NOT NULL, a int NOT NULL, c int, PRIMARY KEY (a, b));
             INSERT INTO two SELECT i, i % 3, i FROM n;
             CREATE TABLE mixed (b int NOT NULL, a {text} NOT NULL, PRIMARY KEY (a, b));
             INSERT INTO mixed SELECT i, {key} FROM n;"
        ));
        for table in ["one", "words", "two", "mixed"] {
            if let Some(difference) = differences(&db, table, &[]) {
                panic!("{server:?} {table}: {difference}");
            }
        }
    }
}

/// Whatever holds the rows, analysed or never: partitions of unequal size, parents and children, views,
/// tables without any key, keys of three columns, and rows that were moved about.
#[test]
fn relations_of_every_kind_split_without_loss() {
    let db = Database::new(Server::Postgres, "relations");
    numbers(&db);
    db.sql(
        "CREATE TYPE size AS ENUM ('small', 'medium', 'large');
         CREATE TABLE three (s size, d date, u uuid, i int, PRIMARY KEY (s, d, u));
         INSERT INTO three SELECT (ARRAY['small', 'medium', 'large'])[1 + i % 3]::size,
           date '2020-01-01' + i % 7, md5(i::text)::uuid, i FROM n;
         CREATE TABLE parted (i int, t text) PARTITION BY RANGE (i);
         CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (10);
         CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (10) TO (500);
         CREATE TABLE parted_c PARTITION OF parted FOR VALUES FROM (500) TO (MAXVALUE);
         INSERT INTO parted SELECT i, repeat('x', 200) FROM n;
         CREATE TABLE parent (i int, t text);
         CREATE TABLE child (extra int) INHERITS (parent);
         INSERT INTO parent SELECT i, repeat('y', 300) FROM n WHERE i <= 100;
         INSERT INTO child SELECT i, repeat('z', 300), i FROM n WHERE i > 100;
         CREATE TABLE heap (i int, t text);
         INSERT INTO heap SELECT i, repeat('h', 400) FROM n;
         UPDATE heap SET i = i WHERE i % 3 = 0; DELETE FROM heap WHERE i % 2 = 0;
         INSERT INTO heap SELECT i, 'again' FROM n WHERE i % 2 = 0;
         CREATE VIEW seen AS SELECT a.i, b.i AS j FROM n a JOIN n b USING (i);
         CREATE MATERIALIZED VIEW stored AS SELECT i, i * 2 AS j FROM n;",
    );
    for (table, flags) in [
        ("three", &[][..]),
        ("parted", &[]),
        ("parent", &[]),
        ("heap", &[]),
        ("stored", &[]),
        ("seen", &["--split-by", "i"]),
        ("heap", &["--split-by", "i % 7", "--delete-target-dir"]),
    ] {
        assert_eq!(differences(&db, table, flags), None, "{table} {flags:?}");
    }
    db.sql("ANALYZE;");
    for table in ["three", "parted", "parent", "heap", "stored"] {
        let flags = ["--delete-target-dir"];
        assert_eq!(differences(&db, table, &flags), None, "{table}, analysed");
    }
    for server in [Server::Sqlite, Server::MariaDb, Server::MySql] {
        let db = Database::new(server, "relations");
        numbers(&db);
        db.sql(
            "CREATE TABLE three (s varchar(9) NOT NULL, d date NOT NULL, u int NOT NULL, i int,
               PRIMARY KEY (s, d, u));
             INSERT INTO three SELECT CASE i % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B' ELSE 'é''x' END,
               '2020-01-05', i, i FROM n;
             CREATE TABLE heap (i int, t varchar(40)); INSERT INTO heap SELECT i, 'x' FROM n;
             CREATE VIEW seen AS SELECT a.i, b.i AS j FROM n a JOIN n b USING (i);",
        );
        assert_eq!(differences(&db, "three", &[]), None, "{server:?}");
        assert_eq!(differences(&db, "seen", &["--split-by", "i"]), None, "{server:?}");
        if server == Server::Sqlite {
            assert_eq!(differences(&db, "heap", &[]), None, "by rowid");
        }
    }
}

/// Rows really spread: four workers have rows each.
#[test]
fn evenly_spread_keys_reach_all_part_files() {
    for server in Server::ALL {
        let db = Database::new(server, "spread");
        numbers(&db);
        let run = db.import("n", &["--table", "n", "-m", "4"]).ok();
        let counts: Vec<usize> = super::support::part_files(&run.target)
            .iter()
            .map(|p| std::fs::read_to_string(p).unwrap().lines().count())
            .collect();
        // A worker that is done early takes more; the first splits are fixed.
        assert!(counts.len() == 4 && counts.iter().all(|n| *n >= 75), "{server:?}: {counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), ROWS, "{server:?}");
    }
}

#[test]
fn a_split_limit_and_a_boundary_query_are_honoured() {
    for server in Server::ALL {
        let db = Database::new(server, "limits");
        numbers(&db);
        let flags = ["--split-limit", "50"];
        assert_eq!(differences(&db, "n", &flags), None, "{server:?}");
        let boundary =
            ["--table", "n", "--boundary-query", "SELECT 101, 200", "-m", "4", "--split-by", "i"];
        assert_eq!(db.import("bounded", &boundary).ok().records(), 100, "{server:?}");
        // With bounds that hold everything nothing is lost.
        let boundary = ["--boundary-query", "SELECT min(i), max(i) FROM n", "--split-by", "i"];
        assert_eq!(
            differences(&db, "n", &[&boundary[..], &["--delete-target-dir"]].concat()),
            None
        );
    }
}

#[test]
fn a_key_that_cannot_be_cut_is_refused_with_the_way_out() {
    let json = [(Server::Postgres, "json"), (Server::Postgres, "int[]"), (Server::MySql, "json")];
    for (server, ddl) in json {
        let db = Database::new(server, "uncut");
        db.sql(&format!("CREATE TABLE u (id int, k {ddl});"));
        db.import("u", &["--table", "u", "--split-by", "k"]).refused(2, &["--split-by k", "-m 1"]);
    }
}
