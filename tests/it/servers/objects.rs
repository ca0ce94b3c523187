//! What can be imported: tables, views, queries, partitions; names of every kind; empty tables.

use super::support::{Database, Server, duckdb, part_files, rsqoop};

/// `[[1, a], …]` from texts; `NULL` stands for NULL.
fn rows(rows: &[&[&str]]) -> Vec<Vec<Option<String>>> {
    let cell = |cell: &&str| (*cell != "NULL").then(|| (*cell).to_string());
    rows.iter().map(|r| r.iter().map(cell).collect()).collect()
}

#[test]
fn schemas_and_views_and_partitions() {
    for server in Server::ALL {
        let db = Database::new(server, "schemas");
        let (setup, schema) = match server {
            Server::Postgres => ("CREATE SCHEMA sales; ", "sales"),
            Server::Sqlite => ("", "main"),
            _ => ("DROP DATABASE IF EXISTS it_sales; CREATE DATABASE it_sales; ", "it_sales"),
        };
        db.sql(&format!(
            "{setup} CREATE TABLE {schema}.orders (id int PRIMARY KEY, a varchar(9));
             INSERT INTO {schema}.orders VALUES (1, 'x'), (2, NULL);
             CREATE VIEW v AS SELECT id * 10 AS ten, a FROM {schema}.orders;"
        ));
        let flags = ["--table", &format!("{schema}.orders"), "--as-parquetfile"];
        let files = db.import("orders", &flags).ok().read();
        assert_eq!(files.sorted(), rows(&[&["1", "x"], &["2", "NULL"]]), "{server:?}");
        let flags = ["--table", "v", "--as-parquetfile", "--split-by", "ten"];
        let files = db.import("v", &flags).ok().read();
        assert_eq!((files.files, files.names()), (4, vec!["ten", "a"]));
        assert_eq!(files.sorted(), rows(&[&["10", "x"], &["20", "NULL"]]), "{server:?}");
        db.import("none", &["--table", &format!("{schema}.ordres")])
            .refused(2, &["ordres", "orders"]);
    }
}

#[test]
fn postgres_partitions_inheritance_and_stored_views() {
    let db = Database::new(Server::Postgres, "partitions");
    db.sql(
        "CREATE TABLE p (id int, k text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
         CREATE TABLE p2 (k text, id int NOT NULL);
         ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (100) TO (200);
         INSERT INTO p SELECT i, 'k' || i FROM generate_series(0, 199) i;
         CREATE TABLE parent (id int PRIMARY KEY);
         CREATE TABLE child () INHERITS (parent);
         INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2), (3);
         CREATE MATERIALIZED VIEW m AS SELECT id FROM p WHERE id < 5;
         CREATE TABLE dropped (id int PRIMARY KEY, gone int, b text DEFAULT 'b');
         INSERT INTO dropped VALUES (1, 2);
         ALTER TABLE dropped DROP COLUMN gone, ADD COLUMN c int DEFAULT 7;",
    );
    let files = db.import("p", &["--table", "p", "--as-parquetfile"]).ok().read();
    assert_eq!((files.files, files.rows.len()), (4, 200));
    let wrong = |r: &&Vec<Option<String>>| r[1] != r[0].as_ref().map(|id| format!("k{id}"));
    assert_eq!(files.rows.iter().find(wrong), None);
    assert_eq!(db.import("parent", &["--table", "parent"]).ok().records(), 3);
    assert_eq!(db.import("m", &["--table", "m"]).ok().records(), 5);
    let files = db.import("dropped", &["--table", "dropped", "--as-parquetfile"]).ok().read();
    assert_eq!(files.names(), ["id", "b", "c"]);
    assert_eq!(files.rows, rows(&[&["1", "b", "7"]]));
}

#[test]
fn postgres_row_security_never_thins_out_an_import_silently() {
    let db = Database::new(Server::Postgres, "row_security");
    db.sql(
        "CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r SELECT generate_series(1, 10);
         ALTER TABLE r ENABLE ROW LEVEL SECURITY;
         CREATE POLICY half ON r USING (id % 2 = 0);
         GRANT SELECT ON r TO app;",
    );
    let target = db.path("out");
    let (url, out) = (db.url().replace("postgres@", "app@"), target.display().to_string());
    let run =
        rsqoop(&["import", "--connect", &url, "--table", "r", "--target-dir", &out], Some("pw"));
    assert!(run.status != 0 && run.stderr.contains("row"), "{}", run.story());
    assert!(!target.exists());
}

#[test]
fn hostile_names_are_only_names() {
    let names = [
        "select",
        "a b",
        "it's",
        "dou\"ble",
        "back`tick",
        "semi;DROP TABLE victim;--",
        "žluťoučký 漢字😀",
        "per%cent_",
        "dol$lar",
        "back\\slash",
        "MiXed",
        "/etc/passwd",
        "$CONDITIONS",
        "new\nline",
        "{brace}",
    ];
    for server in Server::ALL {
        let db = Database::new(server, "hostile");
        db.sql("CREATE TABLE victim (id int PRIMARY KEY); INSERT INTO victim VALUES (1);");
        for name in names {
            // MySQL's identifiers end at U+FFFF.
            let name =
                if server.is_mysql_family() { name.replace('😀', "") } else { name.to_string() };
            let quoted = db.quote(&name);
            db.sql(&format!(
                "CREATE TABLE {quoted} ({quoted} int PRIMARY KEY, v int);
                 INSERT INTO {quoted} VALUES (1, 10), (2, 20), (3, 30);"
            ));
            let out = format!("out{}", name.len());
            let flags = ["--table", &name, "--as-parquetfile", "--delete-target-dir", "-m", "2"];
            let files = db.import(&out, &flags).ok().read();
            assert_eq!(files.names(), [name.as_str(), "v"], "{server:?}");
            assert_eq!(
                files.sorted(),
                rows(&[&["1", "10"], &["2", "20"], &["3", "30"]]),
                "{server:?} {name}"
            );
            let flags = ["--table", &name, "--delete-target-dir", "--split-by", &name];
            let run = db
                .import(&out, &[&flags[..], &["--map-column", &format!("{name}=string")]].concat());
            assert_eq!(run.ok().records(), 3, "{server:?} {name}");
        }
        assert_eq!(db.sql("SELECT count(*) FROM victim;").trim(), "1", "{server:?}");
    }
}

#[test]
fn a_name_with_a_dot_and_names_that_differ_in_case() {
    for server in [Server::Postgres, Server::Sqlite, Server::MySql] {
        let db = Database::new(server, "dotted");
        let name = db.quote("a.b");
        db.sql(&format!(
            "CREATE TABLE {name} (id int PRIMARY KEY); INSERT INTO {name} VALUES (1), (2);"
        ));
        assert_eq!(db.import("dot", &["--table", "a.b"]).ok().records(), 2, "{server:?}");
    }
    let db = Database::new(Server::Postgres, "cases");
    db.sql(
        "CREATE TABLE t (\"A\" int, a int); INSERT INTO t VALUES (1, 2);
         CREATE TABLE \"T\" (x int); INSERT INTO \"T\" VALUES (5), (6);",
    );
    let files =
        db.import("t", &["--table", "t", "--as-parquetfile", "--columns", "a,A"]).ok().read();
    assert_eq!(files.names(), ["a", "A"]);
    assert_eq!(files.rows, rows(&[&["2", "1"]]));
    assert_eq!(db.import("T", &["--table", "T"]).ok().records(), 2);
}

#[test]
fn generated_columns_are_read_like_others() {
    for server in Server::ALL {
        let db = Database::new(server, "generated");
        let kinds: &[&str] =
            if server == Server::Postgres { &["stored"] } else { &["stored", "virtual"] };
        for kind in kinds {
            db.sql(&format!(
                "CREATE TABLE g_{kind} (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) {kind}, z int);
                 INSERT INTO g_{kind} (id, z) VALUES (1, 5), (2, 6);"
            ));
            let out = format!("g_{kind}");
            let files = db.import(&out, &["--table", &out, "--as-parquetfile"]).ok().read();
            assert_eq!(files.names(), ["id", "twice", "z"], "{server:?} {kind}");
            assert_eq!(
                files.sorted(),
                rows(&[&["1", "2", "5"], &["2", "4", "6"]]),
                "{server:?} {kind}"
            );
        }
    }
}

/// `SELECT *` decides which columns a table has; an invisible one is had by naming it in a query.
#[test]
fn invisible_columns_are_left_to_queries() {
    for server in Server::MYSQL_FAMILY {
        let db = Database::new(server, "invisible");
        db.sql(
            "CREATE TABLE i (id int PRIMARY KEY, hidden int INVISIBLE, c int);
             INSERT INTO i (id, hidden, c) VALUES (1, 2, 3);
             CREATE TABLE k (id int DEFAULT 0 INVISIBLE PRIMARY KEY, c int);
             INSERT INTO k (id, c) VALUES (1, 3), (2, 4);",
        );
        let files = db.import("i", &["--table", "i", "--as-parquetfile"]).ok().read();
        assert_eq!((files.names(), &files.rows), (vec!["id", "c"], &rows(&[&["1", "3"]])));
        db.import("no", &["--table", "i", "--columns", "id,hidden"]).refused(2, &["hidden"]);
        let query = "SELECT id, hidden FROM i WHERE $CONDITIONS";
        let files = db.import("q", &["-e", query, "--as-parquetfile", "-m", "1"]).ok().read();
        assert_eq!(files.rows, rows(&[&["1", "2"]]), "{server:?}");
        let files = db.import("k", &["--table", "k", "--as-parquetfile"]).ok().read();
        assert_eq!((files.names(), files.rows.len()), (vec!["c"], 2), "{server:?}");
    }
}

#[test]
fn without_a_key_rows_are_read_by_where_they_lie_or_by_one_worker() {
    for server in Server::ALL {
        let db = Database::new(server, "keyless");
        db.sql("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2), (NULL, NULL), (1, 2);");
        let places = matches!(server, Server::Postgres | Server::Sqlite);
        for (flags, files) in [
            (&["--table", "t"][..], if places { 4 } else { 1 }),
            (&["--table", "t", "--autoreset-to-one-mapper"], 1),
        ] {
            let run = db.import("t", &[flags, &["--delete-target-dir"]].concat()).ok();
            assert_eq!((run.records(), part_files(&run.target).len()), (3, files), "{server:?}");
            let note = run.stderr.lines().find(|l| l.contains("primary key"));
            assert_eq!(note.is_some(), files == 1, "{}", run.story());
            assert!(note.is_none_or(|l| l.contains("--split-by")), "{}", run.story());
        }
    }
}

#[test]
fn an_empty_table_gives_as_many_files_as_workers() {
    for server in Server::ALL {
        let db = Database::new(server, "empty");
        db.sql("CREATE TABLE e (id int PRIMARY KEY, t varchar(9)); CREATE TABLE w (id int PRIMARY KEY); INSERT INTO w VALUES (1);");
        for workers in ["1", "4"] {
            let out = format!("p{workers}");
            let run = db.import(&out, &["--table", "e", "--as-parquetfile", "-m", workers]).ok();
            let files = run.read();
            assert_eq!(
                (files.files.to_string().as_str(), files.rows.len()),
                (workers, 0),
                "{server:?}"
            );
            assert_eq!(files.names(), ["id", "t"]);
            assert!(
                run.target.join("_SUCCESS").exists() && run.target.join("_manifest.json").exists()
            );
            let run = db.import(&format!("t{workers}"), &["--table", "e", "-m", workers]).ok();
            let names: Vec<_> = part_files(&run.target);
            assert_eq!(names.len().to_string(), workers, "{server:?}");
            assert!(names.iter().all(|p| p.metadata().unwrap().len() == 0), "{server:?}");
        }
        let none =
            db.import("none", &["--table", "w", "--where", "id > 5", "--as-parquetfile"]).ok();
        assert_eq!(none.records(), 0);
        assert_eq!(none.read().files, 4);
    }
}

#[test]
fn queries_columns_and_conditions() {
    for server in Server::ALL {
        let db = Database::new(server, "queries");
        db.sql(
            "CREATE TABLE c (id int PRIMARY KEY, name varchar(20));
             CREATE TABLE o (id int PRIMARY KEY, c int, n decimal(8,2));
             INSERT INTO c VALUES (1, 'Ann'), (2, 'it''s');
             INSERT INTO o VALUES (10, 1, 1.5), (11, 2, 2.25), (12, 1, NULL), (13, 9, 4);",
        );
        let join = "SELECT o.id, c.name, o.n FROM o JOIN c ON c.id = o.c WHERE $CONDITIONS";
        let wanted =
            rows(&[&["10", "Ann", "1.50"], &["11", "it's", "2.25"], &["12", "Ann", "NULL"]]);
        for flags in [
            &["-m", "1"][..],
            &["-m", "4", "--split-by", "o.id"],
            &["--split-by", "o.id", "-m", "3"],
        ] {
            let all = [&["-e", join, "--as-parquetfile", "--delete-target-dir"], flags].concat();
            let files = db.import("join", &all).ok().read();
            assert_eq!(files.names(), ["id", "name", "n"], "{server:?}");
            assert_eq!(files.sorted(), wanted, "{server:?} {flags:?}");
        }
        let twice = "SELECT c.id, o.id FROM o JOIN c ON c.id = o.c WHERE $CONDITIONS";
        db.import("twice", &["-e", twice, "-m", "1"]).refused(2, &["id"]);
        db.import("no_conditions", &["-e", "SELECT 1 AS a"]).refused(2, &["$CONDITIONS"]);
        let flags =
            ["--table", "o", "--columns", "n, id", "--where", "c = 1 OR c = 9", "--as-parquetfile"];
        let files = db.import("some", &flags).ok().read();
        assert_eq!(files.names(), ["n", "id"]);
        let wanted = rows(&[&["NULL", "12"], &["1.50", "10"], &["4.00", "13"]]);
        assert_eq!(files.sorted(), wanted, "{server:?}");
        db.import("unknown", &["--table", "o", "--columns", "idd"]).refused(2, &["idd", "id"]);
        db.import("broken", &["--table", "o", "--where", "nonsense = 1"])
            .refused_any(&["nonsense"]);
    }
}

#[test]
fn a_second_statement_is_never_run() {
    for server in Server::ALL {
        let db = Database::new(server, "second");
        db.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1);");
        let condition = "1 = 1); DROP TABLE t; --";
        db.import("where", &["--table", "t", "--where", condition]).refused_any(&[]);
        let query = "SELECT id FROM t WHERE $CONDITIONS; DROP TABLE t";
        db.import("query", &["-e", query, "-m", "1"]).refused_any(&[]);
        assert_eq!(db.sql("SELECT count(*) FROM t;").trim(), "1", "{server:?}");
    }
}

#[test]
fn a_query_whose_key_is_another_column_inside_is_read_once() {
    for server in Server::ALL {
        let db = Database::new(server, "inner_key");
        let values: Vec<String> = (1..=600).map(|i| format!("({i})")).collect();
        db.sql(&format!(
            "CREATE TABLE n (id int PRIMARY KEY); INSERT INTO n VALUES {};",
            values.join(",")
        ));
        let text = if server.is_mysql_family() { "CHAR" } else { "VARCHAR(9)" };
        // By the result's order 10 comes before 2, by the table's it does not.
        let query = format!("SELECT CAST(id AS {text}) AS id FROM n WHERE $CONDITIONS");
        for workers in ["1", "3", "8"] {
            let flags = ["--query", &query, "--split-by", "id", "--as-parquetfile", "-m", workers];
            let files = db.import(&format!("out{workers}"), &flags).ok().read();
            let mut ids = files.column("id");
            ids.sort();
            ids.dedup();
            assert_eq!((files.rows.len(), ids.len()), (600, 600), "{server:?} -m {workers}");
        }
    }
}

#[test]
fn postgres_rows_can_be_split_by_a_composite() {
    let db = Database::new(Server::Postgres, "composite_key");
    db.sql(
        "CREATE TYPE pair AS (a text, b int);
         CREATE TABLE c AS SELECT i AS id, row('(' || i % 7 || ',x)', i % 3)::pair AS k FROM generate_series(1, 300) i;",
    );
    let flags = ["--table", "c", "--split-by", "k", "--as-parquetfile", "-m", "4"];
    assert_eq!(db.import("c", &flags).ok().read().rows.len(), 300);
}

#[test]
fn duckdb_finds_not_a_number_where_it_looks_for_large_ones() {
    let db = Database::new(Server::Postgres, "nan");
    db.sql(
        "CREATE TABLE f AS SELECT i AS id, CASE WHEN i % 4 = 0 THEN 'NaN' ELSE i / 1000.0 END::float8 AS f
         FROM generate_series(1, 4000) i;",
    );
    let run = db.import("f", &["--table", "f", "--as-parquetfile", "-m", "1"]).ok();
    assert_eq!(run.records(), 4000);
    let files = db.path("f").join("*.parquet");
    let count = |condition: &str| {
        let sql = format!("SELECT count(*) FROM '{}' WHERE {condition}", files.display());
        duckdb(&sql)[0][0].clone().unwrap()
    };
    // To DuckDB NaN is larger than any number.
    assert_eq!(count("f > 100"), "1000");
    assert_eq!(count("f < 'NaN'::double"), "3000");
}

#[test]
fn mysql_session_variables_do_not_turn_characters_into_question_marks() {
    for server in [Server::MariaDb, Server::MySql] {
        let db = Database::new(server, "charset_variable");
        db.sql(
            "CREATE TABLE t (id int PRIMARY KEY, s varchar(9)) CHARACTER SET utf8mb4;
             INSERT INTO t VALUES (1, _utf8mb4 x'E68FBC');",
        );
        for variable in ["character_set_results=latin1", "character_set_connection=latin1"] {
            let url = format!("{}?sessionVariables={variable}", db.url());
            let flags = ["--table", "t", "--as-parquetfile", "--split-by", "s"];
            let files = db.import_from(&url, variable, &flags).ok().read();
            assert_eq!(files.column("s"), ["\u{63fc}"], "{server:?} {variable}");
        }
    }
}
