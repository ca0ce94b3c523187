//! `eval`, `list-tables`, `list-databases` and `plan` on the servers: Sqoop 1.4.7's output forms.

use super::support::{Database, Run, Server};

fn tool(db: &Database, tool: &str, flags: &[&str]) -> Run {
    let url = db.url();
    db.rsqoop(&[&[tool, "--connect", &url], flags].concat())
}

#[test]
fn eval_prints_sqoops_box() {
    for server in Server::ALL {
        let db = Database::new(server, "eval");
        db.sql(
            "CREATE TABLE t (a int, b varchar(5), c text, d bigint);
             INSERT INTO t VALUES (1, 'x', NULL, 7), (NULL, 'abcde', 'a text of more than twenty characters', -5);",
        );
        let run = tool(&db, "eval", &["-e", "SELECT a, b, c, d FROM t ORDER BY d DESC"]).ok();
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert_eq!(lines.len(), 6, "{server:?}\n{}", run.stdout);
        let border = lines[0];
        assert!(border.chars().all(|c| c == '-'), "{server:?}\n{}", run.stdout);
        assert_eq!((lines[2], lines[5]), (border, border), "{server:?}\n{}", run.stdout);
        for line in [lines[1], lines[3]] {
            assert_eq!(line.chars().count(), border.len() + 1, "{server:?}\n{}", run.stdout);
            assert!(line.starts_with("| ") && line.ends_with(" | "), "{server:?}\n{}", run.stdout);
        }
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches(['|', ' ']).split('|').map(|c| c.trim().to_string()).collect()
        };
        assert_eq!(cells(lines[1]), ["a", "b", "c", "d"]);
        assert_eq!(cells(lines[3]), ["1", "x", "(null)", "7"]);
        assert_eq!(
            cells(lines[4]),
            ["(null)", "abcde", "a text of more than twenty characters", "-5"]
        );
    }
}

#[test]
fn eval_pads_to_the_jdbc_drivers_widths() {
    let db = Database::new(Server::Postgres, "widths");
    db.sql(
        "CREATE TABLE w (i int, v varchar(5), b boolean, l bigint, t text, ts timestamp);
         INSERT INTO w VALUES (1, 'ab', true, 5000000000, NULL, '2024-01-02 03:04:05.6');",
    );
    let sql = "SELECT i, v, b, l, t, ts FROM w";
    let run = tool(&db, "eval", &["--query", sql]).ok();
    // Widths: int 11, varchar(5) 5, bool 1, bigint 20, text and timestamp cut to 20; a border of 3 + width each and 1.
    let border = "-".repeat(11 + 5 + 1 + 20 + 20 + 20 + 6 * 3 + 1);
    let line = |cells: [&str; 6]| {
        let [i, v, b, l, t, ts] = cells;
        format!("| {i:<11} | {v:<5} | {b:<1} | {l:<20} | {t:<20} | {ts:<20} | \n")
    };
    let wanted = format!(
        "{border}\n{}{border}\n{}{border}\n",
        line(["i", "v", "b", "l", "t", "ts"]),
        line(["1", "ab", "t", "5000000000", "(null)", "2024-01-02 03:04:05.6"]),
    );
    assert_eq!(run.stdout, wanted);
}

#[test]
fn eval_changes_are_committed_and_errors_end_with_one() {
    for server in Server::ALL {
        let db = Database::new(server, "changes");
        db.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2);");
        let run = tool(&db, "eval", &["-e", "UPDATE t SET a = a + 10"]).ok();
        assert_eq!(run.stdout, "", "{server:?}");
        assert!(run.stderr.contains("2 row(s) updated."), "{server:?}: {}", run.story());
        assert_eq!(db.sql("SELECT sum(a) FROM t;").trim(), "23", "{server:?}");
        let run = tool(&db, "eval", &["-e", "SELECT nonsense FROM t"]);
        assert!([1, 2].contains(&run.status), "{server:?}: {}", run.story());
        assert!(run.stderr.contains("nonsense") && run.stdout.is_empty(), "{}", run.story());
        let run = tool(&db, "eval", &["-e", "SELECT a FROM t WHERE a > 100"]).ok();
        assert_eq!(run.stdout.lines().count(), 4, "{server:?}: an empty result has a header too");
    }
}

#[test]
fn tables_are_listed_one_a_line() {
    for server in Server::ALL {
        let db = Database::new(server, "tables");
        db.sql("CREATE TABLE zeta (a int); CREATE TABLE alpha (a int); CREATE VIEW view_of AS SELECT a FROM zeta;");
        let run = tool(&db, "list-tables", &[]).ok();
        let mut names: Vec<&str> = run.stdout.lines().collect();
        names.sort_unstable();
        // Sqoop's PostgreSQL manager leaves views out, MySQL's includes them.
        let without = names.iter().filter(|n| **n != "view_of").copied().collect::<Vec<_>>();
        assert_eq!(without, ["alpha", "zeta"], "{server:?}");
        match server {
            Server::Postgres => assert_eq!(names, ["alpha", "zeta"]),
            Server::Sqlite => {}
            _ => assert!(names.contains(&"view_of"), "{server:?}"),
        }
    }
    let db = Database::new(Server::Postgres, "tables_schema");
    db.sql("CREATE SCHEMA sales; CREATE TABLE sales.inside (a int); CREATE TABLE outside (a int);");
    assert_eq!(tool(&db, "list-tables", &["--schema", "sales"]).ok().stdout, "inside\n");
    let url = format!("{}?currentSchema=sales", db.url());
    assert_eq!(db.rsqoop(&["list-tables", "--connect", &url]).ok().stdout, "inside\n");
    assert_eq!(db.import_from(&url, "out", &["--table", "inside"]).ok().records(), 0);
}

#[test]
fn databases_are_listed_one_a_line() {
    for server in Server::NETWORK {
        let db = Database::new(server, "databases");
        let run = tool(&db, "list-databases", &[]).ok();
        let names: Vec<&str> = run.stdout.lines().collect();
        assert!(names.contains(&db.name.as_str()), "{server:?}: {}", run.stdout);
        let standard = if server == Server::Postgres { "template1" } else { "information_schema" };
        assert!(
            names.iter().any(|n| n.eq_ignore_ascii_case(standard)),
            "{server:?}: {}",
            run.stdout
        );
        assert!(
            names.iter().all(|n| n.trim() == *n && !n.is_empty()),
            "{server:?}: {}",
            run.stdout
        );
    }
}

#[test]
fn a_plan_says_what_would_run_and_changes_nothing() {
    for server in Server::ALL {
        let db = Database::new(server, "plan");
        let rows: Vec<String> = (1..=100).map(|i| format!("({i}, 'x')")).collect();
        db.sql(&format!(
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(9)); INSERT INTO t VALUES {};",
            rows.join(",")
        ));
        let target = db.path("out").display().to_string();
        let flags = ["--table", "t", "--target-dir", &target, "--as-parquetfile", "-m", "2"];
        let url = db.url();
        let text =
            db.rsqoop(&[&["plan", "import", "--connect", &url], &flags[..]].concat()).ok().stdout;
        let native = if server == Server::Postgres { "character varying(9)" } else { "varchar(9)" };
        for word in
            ["id", native, "STRING", "primary key", "part-m-00000.parquet", "part-m-00001.parquet"]
        {
            assert!(
                text.to_lowercase().contains(&word.to_lowercase()),
                "{server:?}: {word} in\n{text}"
            );
        }
        let json = db
            .rsqoop(&[&["import", "--connect", &url, "--dry-run", "--json"], &flags[..]].concat())
            .ok();
        let plan: serde_json::Value = serde_json::from_str(&json.stdout).expect("a plan in JSON");
        assert_eq!(plan["workers"], 2);
        assert_eq!(plan["files"].as_array().map(Vec::len), Some(2));
        let splits = plan["splits"].as_array().expect("splits");
        assert!(splits.len() >= 2, "{server:?}: {splits:?}");
        // Each statement runs as it is printed, and together they give all rows.
        let count: usize = splits
            .iter()
            .map(|s| db.sql(&format!("{};", s["sql"].as_str().expect("SQL"))).lines().count())
            .sum();
        assert_eq!(count, 100, "{server:?}: {splits:?}");
        assert!(!db.path("out").exists());
    }
}
