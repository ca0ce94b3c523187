//! What happens to the target directory: it is complete or absent, refused, added to, replaced.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{
    Dir, assert_complete, bytes, clean_environment, finish, manifest, names, run, sorted_lines,
    wait_until,
};

/// Ten rows; the second table has a value in its last row that cannot be imported.
const TABLES: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
    INSERT INTO t SELECT i, 'row ' || i FROM n;
    CREATE TABLE bad (id INTEGER PRIMARY KEY, n INTEGER);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
    INSERT INTO bad SELECT i, CASE WHEN i < 50000 THEN i ELSE 'x' END FROM n;";

/// A query that gives rows for some seconds.
const SLOW: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000000)
    SELECT i FROM n WHERE $CONDITIONS";

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    names(dir).into_iter().map(|n| (n.clone(), fs::read(dir.join(n)).unwrap())).collect()
}

/// Names in the test's directory that are no one's business: hidden ones.
fn leftovers(dir: &Dir) -> Vec<String> {
    names(dir.root()).into_iter().filter(|n| n.starts_with('.')).collect()
}

#[test]
fn a_new_target_has_parts_manifest_and_marker() {
    let dir = Dir::with_db(TABLES);
    dir.import("t", &["--target-dir", "out"]);
    let out = dir.path("out");
    let parts = ["part-m-00000", "part-m-00001", "part-m-00002", "part-m-00003"];
    assert_eq!(names(&out), [&["_SUCCESS", "_manifest.json"], &parts[..]].concat());
    assert_eq!(assert_complete(&out), 10);
    assert_eq!(fs::metadata(out.join("_SUCCESS")).unwrap().len(), 0);
    let manifest = manifest(&out);
    assert_eq!(manifest["version"], 1);
    assert_eq!(manifest["runs"][0]["relation"], "t");
    assert_eq!(manifest["runs"][0]["source"], "sqlite:t.db");
    assert_eq!(manifest["runs"][0]["columns"][1]["native_type"], "TEXT");
    assert_eq!(leftovers(&dir), [""; 0]);
}

#[test]
fn an_existing_target_is_refused_before_anything_is_read() {
    let dir = Dir::with_db(TABLES);
    fs::create_dir(dir.path("empty")).unwrap();
    dir.import("t", &["--target-dir", "out"]);
    let before = dir.listing();
    for target in ["out", "empty", "./out", "out/", "out/."] {
        let args = ["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", target];
        assert_eq!(dir.run(&args).status, 2, "{target}");
    }
    assert_eq!(dir.listing(), before);
}

#[test]
fn append_goes_on_counting_and_leaves_old_files_as_they_are() {
    let dir = Dir::with_db(TABLES);
    let out = dir.path("out");
    dir.import("t", &["--target-dir", "out"]);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    fs::create_dir(out.join("sub")).unwrap();
    fs::write(out.join("sub/deep.txt"), "deep").unwrap();
    symlink("notes.txt", out.join("link")).unwrap();
    let old: Vec<(String, Vec<u8>)> = (0..4)
        .map(|n| format!("part-m-{n:05}"))
        .map(|n| (n.clone(), fs::read(out.join(n)).unwrap()))
        .collect();
    let first_run = manifest(&out)["runs"][0]["run_id"].clone();
    dir.import("t", &["--target-dir", "out", "--append", "-m", "2", "--where", "id <= 3"]);
    dir.import("t", &["--target-dir", "out", "--append", "-m", "1", "--compress"]);
    for (name, bytes) in old {
        assert_eq!(fs::read(out.join(&name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(out.join("sub/deep.txt")).unwrap(), "deep");
    assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("notes.txt"));
    let new = ["part-m-00004", "part-m-00005", "part-m-00006.gz"];
    for name in new {
        assert!(out.join(name).is_file(), "{name} in {:?}", names(&out));
    }
    assert_eq!(assert_complete(&out), 23);
    let manifest = manifest(&out);
    assert_eq!(manifest["runs"].as_array().unwrap().len(), 3);
    assert_eq!(manifest["files"].as_array().unwrap().len(), 7);
    assert_eq!(manifest["runs"][0]["run_id"], first_run);
    assert_eq!(manifest["files"][0]["run_id"], first_run);
    assert_eq!(manifest["files"][4]["name"], "part-m-00004");
    assert_ne!(manifest["files"][4]["run_id"], first_run);
    assert_eq!(leftovers(&dir), [""; 0]);
}

#[test]
fn append_works_on_an_absent_target_and_on_files_of_others() {
    let dir = Dir::with_db(TABLES);
    dir.import("t", &["--target-dir", "new", "--append"]);
    assert_eq!(assert_complete(&dir.path("new")), 10);
    // Sqoop's own output: no manifest.
    fs::create_dir(dir.path("sqoop")).unwrap();
    fs::write(dir.path("sqoop/part-m-00007"), "1,old\n").unwrap();
    fs::write(dir.path("sqoop/_SUCCESS"), "").unwrap();
    dir.import("t", &["--target-dir", "sqoop", "--append", "-m", "1"]);
    assert_eq!(fs::read_to_string(dir.path("sqoop/part-m-00007")).unwrap(), "1,old\n");
    assert!(dir.path("sqoop/part-m-00008").is_file(), "{:?}", names(&dir.path("sqoop")));
}

#[test]
fn append_refuses_a_manifest_it_does_not_understand_before_it_reads() {
    let dir = Dir::with_db(TABLES);
    dir.import("t", &["--target-dir", "out"]);
    for (text, message) in [
        ("{\"version\": 99, \"shards\": []}", "its version 99 is newer than this rsqoop"),
        ("{\"version\": 1}", "missing field"),
        ("", "EOF while parsing"),
    ] {
        fs::write(dir.path("out/_manifest.json"), text).unwrap();
        let before = dir.listing();
        // The database is not even looked for.
        let args = ["import", "--connect", "sqlite:no.db", "--table", "t", "--target-dir", "out"];
        let run = dir.run(&[&args[..], &["--append"]].concat());
        assert_eq!(run.status, 1, "{}", run.stderr);
        assert!(run.stderr.contains("the target's manifest cannot be used"), "{}", run.stderr);
        assert!(run.stderr.contains(message), "{}", run.stderr);
        assert!(run.stderr.contains("  file: out/_manifest.json\n"), "{}", run.stderr);
        assert_eq!(dir.listing(), before);
    }
}

#[test]
fn too_few_open_files_is_a_clear_error() {
    let dir = Dir::with_db(TABLES);
    let before = dir.listing();
    for limit in [12, 20, 40] {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -n {limit}; exec \"$0\" import --connect sqlite:t.db --table t --target-dir out -m 60"),
            env!("CARGO_BIN_EXE_rsqoop"),
        ]);
        clean_environment(&mut command);
        command.current_dir(dir.root());
        let run = run(command);
        assert!([1, 3].contains(&run.status), "{limit}: {} {}", run.status, run.stderr);
        assert!(run.stderr.contains("open"), "{limit}: {}", run.stderr);
        assert!(run.stderr.lines().count() < 20, "{}", run.stderr);
        assert_eq!(dir.listing(), before, "{limit}");
    }
}

#[test]
fn a_failed_run_leaves_no_trace() {
    let dir = Dir::with_db(TABLES);
    let before = dir.listing();
    for more in [
        &["--target-dir", "out"][..],
        &["--target-dir", "deep/er/and/deeper/out"],
        &["--target-dir", "out", "--as-parquetfile"],
        &["--target-dir", "out", "--append"],
        &["--target-dir", "out", "--delete-target-dir"],
        &["--warehouse-dir", "w"],
    ] {
        let import = ["import", "--connect", "sqlite:t.db", "--table", "bad"];
        let run = dir.run(&[&import, more].concat());
        assert_eq!(run.status, 1, "{more:?}: {}", run.stderr);
        assert!(run.stderr.contains("id = 50000"), "{}", run.stderr);
        assert_eq!(dir.listing(), before, "{more:?}");
    }
}

#[test]
fn the_old_target_survives_a_run_that_fails() {
    let dir = Dir::with_db(TABLES);
    let out = dir.path("out");
    dir.import("t", &["--target-dir", "out"]);
    fs::write(out.join("mine"), "x").unwrap();
    let (before, listing) = (contents(&out), dir.listing());
    for flag in ["--delete-target-dir", "--append"] {
        let args = ["import", "--connect", "sqlite:t.db", "--table", "bad", "--target-dir", "out"];
        let run = dir.run(&[&args[..], &[flag]].concat());
        assert_eq!(run.status, 1, "{}", run.stderr);
        assert_eq!(contents(&out), before, "{flag}");
        assert_eq!(dir.listing(), listing, "{flag}");
    }
}

#[test]
fn delete_target_dir_replaces_everything_at_the_end() {
    let dir = Dir::with_db(TABLES);
    let out = dir.path("out");
    dir.import("t", &["--target-dir", "out", "-m", "8"]);
    fs::write(out.join("old"), "x").unwrap();
    dir.import("t", &["--target-dir", "out", "--delete-target-dir", "-m", "1"]);
    assert_eq!(names(&out), ["_SUCCESS", "_manifest.json", "part-m-00000"]);
    assert_eq!(assert_complete(&out), 10);
    assert_eq!(manifest(&out)["runs"].as_array().unwrap().len(), 1);
    dir.import("t", &["--target-dir", "absent", "--delete-target-dir"]);
    assert_eq!(assert_complete(&dir.path("absent")), 10);
    assert_eq!(leftovers(&dir), [""; 0]);
}

#[test]
fn a_symbolic_link_stays_one() {
    let dir = Dir::with_db(TABLES);
    fs::create_dir_all(dir.path("disk/data")).unwrap();
    symlink("disk/data", dir.path("out")).unwrap();
    let refused =
        dir.run(&["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", "out"]);
    assert_eq!(refused.status, 2);
    for (flag, rows) in [("--delete-target-dir", 10), ("--append", 20)] {
        dir.import("t", &["--target-dir", "out", flag]);
        assert_eq!(fs::read_link(dir.path("out")).unwrap(), Path::new("disk/data"), "{flag}");
        assert_eq!(assert_complete(&dir.path("disk/data")), rows, "{flag}");
    }
    assert_eq!(names(&dir.path("disk")), ["data"]);
    assert_eq!(leftovers(&dir), [""; 0]);
}

#[test]
fn every_spelling_of_a_path_is_the_same_place() {
    let dir = Dir::with_db(TABLES);
    fs::create_dir(dir.path("sub")).unwrap();
    let absolute = dir.path("i").to_string_lossy().into_owned();
    for (target, place) in [
        ("a/", "a"),
        ("./b", "b"),
        ("c/.", "c"),
        ("./d//e/", "d/e"),
        ("sub/../f", "f"),
        ("g h", "g h"),
        ("ünï-日本", "ünï-日本"),
        (absolute.as_str(), "i"),
    ] {
        dir.import("t", &["--target-dir", target]);
        assert_eq!(assert_complete(&dir.path(place)), 10, "{target}");
        assert_eq!(leftovers(&dir), [""; 0], "{target}");
        // And the second time it is found again.
        let args = ["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", target];
        assert_eq!(dir.run(&args).status, 2, "{target}");
        dir.import("t", &["--target-dir", target, "--append"]);
        assert_eq!(assert_complete(&dir.path(place)), 20, "{target}");
    }
    assert_eq!(names(&dir.path("sub")), [""; 0]);
}

#[test]
fn permissions_are_those_of_any_new_file() {
    let dir = Dir::with_db(TABLES);
    for (mask, dir_mode, file_mode) in
        [("022", 0o755, 0o644), ("077", 0o700, 0o600), ("002", 0o775, 0o664)]
    {
        let target = format!("out{mask}");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("umask {mask}; exec \"$0\" import --connect sqlite:t.db --table t --target-dir {target}/in"),
            env!("CARGO_BIN_EXE_rsqoop"),
        ]);
        clean_environment(&mut command);
        command.current_dir(dir.root());
        assert_eq!(run(command).status, 0);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let out = dir.path(&target).join("in");
        for place in [dir.path(&target), out.clone()] {
            assert_eq!(mode(&place), dir_mode, "{} under umask {mask}", place.display());
        }
        for name in names(&out) {
            assert_eq!(mode(&out.join(&name)), file_mode, "{name} under umask {mask}");
        }
    }
    // A replaced directory keeps the permissions somebody gave it.
    dir.import("t", &["--target-dir", "kept"]);
    fs::set_permissions(dir.path("kept"), fs::Permissions::from_mode(0o750)).unwrap();
    for flag in ["--delete-target-dir", "--append"] {
        dir.import("t", &["--target-dir", "kept", flag]);
        let mode = fs::metadata(dir.path("kept")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o750, "{flag}");
    }
}

#[test]
fn of_two_runs_on_one_target_exactly_one_wins() {
    let dir = Dir::with_db(TABLES);
    let start = || {
        let args = ["import", "--connect", "sqlite:t.db", "--query", SLOW, "--target-dir", "x/out"];
        let mut command = dir.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first = start();
    wait_until("the first run claims its target", || {
        dir.path("x").is_dir() && names(&dir.path("x")).len() == 2
    });
    let second = finish(start());
    assert_eq!(second.status, 4, "{}", second.stderr);
    assert!(second.stderr.contains("another run is writing to this target"), "{}", second.stderr);
    assert!(second.stderr.contains("  held by: run "), "{}", second.stderr);
    let first = finish(first);
    assert_eq!(first.status, 0, "{}", first.stderr);
    assert_eq!(assert_complete(&dir.path("x/out")), 8_000_000);
    assert_eq!(names(&dir.path("x")), ["out"]);
}

#[test]
fn runs_that_start_together_never_mix() {
    let dir = Dir::with_db(TABLES);
    for round in 0..15 {
        let target = format!("deep{round}/out");
        let args = ["import", "--connect", "sqlite:t.db", "--table", "t", "--target-dir", &target];
        let children: Vec<_> = (0..4)
            .map(|_| {
                let mut command = dir.command(&args);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let runs: Vec<_> = children.into_iter().map(finish).collect();
        let won = runs.iter().filter(|r| r.status == 0).count();
        assert_eq!(won, 1, "{runs:?}");
        assert!(runs.iter().all(|r| [0, 2, 4].contains(&r.status)), "{runs:?}");
        assert_eq!(assert_complete(&dir.path(&target)), 10);
        assert_eq!(names(dir.path(&target).parent().unwrap()), ["out"], "round {round}");
    }
}

#[test]
fn appends_that_start_together_lose_nothing() {
    let dir = Dir::with_db(TABLES);
    dir.import("t", &["--target-dir", "out", "-m", "1"]);
    for _ in 0..10 {
        let before = assert_complete(&dir.path("out"));
        let args = [
            "import",
            "--connect",
            "sqlite:t.db",
            "--table",
            "t",
            "--target-dir",
            "out",
            "--append",
        ];
        let children: Vec<_> = (0..3)
            .map(|_| {
                let mut command = dir.command(&args);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let runs: Vec<_> = children.into_iter().map(finish).collect();
        let won = runs.iter().filter(|r| r.status == 0).count();
        assert!(won >= 1 && runs.iter().all(|r| [0, 4].contains(&r.status)), "{runs:?}");
        let rows = assert_complete(&dir.path("out"));
        assert_eq!(rows, before + 10 * won as u64, "{runs:?}");
        assert_eq!(sorted_lines(&dir.path("out")).len() as u64, rows);
    }
    assert_eq!(leftovers(&dir), [""; 0]);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let dir = Dir::with_db(TABLES);
    let args = ["import", "--connect", "sqlite:t.db", "--query", SLOW, "--target-dir", "out"];
    let mut child = dir.command(&args).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the run makes its staging directory", || leftovers(&dir).len() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.path("out").exists());
    assert_eq!(leftovers(&dir).len(), 2, "a killed run cannot tidy up");
    // A run on another target has no business with it.
    dir.import("t", &["--target-dir", "other"]);
    assert_eq!(leftovers(&dir).len(), 2);
    dir.import("t", &["--target-dir", "out"]);
    assert_eq!(leftovers(&dir), [""; 0]);
    assert_eq!(assert_complete(&dir.path("out")), 10);
}

#[test]
fn a_warehouse_holds_one_directory_a_table() {
    let dir = Dir::with_db(TABLES);
    dir.import("t", &["--warehouse-dir", "w/deep"]);
    assert_eq!(assert_complete(&dir.path("w/deep/t")), 10);
    dir.import("t", &["--warehouse-dir", "w", "--as-parquetfile"]);
    assert_eq!(assert_complete(&dir.path("w/t")), 10);
    dir.import("main.t", &[]);
    assert_eq!(assert_complete(&dir.path("t")), 10);
}

#[test]
fn a_hostile_table_name_cannot_leave_its_warehouse() {
    let hostile = [
        ("../../escape", "%2E.%2F..%2Fescape"),
        ("..", "%2E."),
        (".", "%2E"),
        ("_SUCCESS", "_SUCCESS"),
        (".hidden", "%2Ehidden"),
        ("-rf", "%2Drf"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("two words", "two words"),
        ("quote\"d", "quote\"d"),
        ("semi; DROP TABLE t", "semi; DROP TABLE t"),
        ("new\nline", "new\nline"),
        ("日本", "日本"),
    ];
    let dir = Dir::new();
    for (table, place) in hostile {
        let quoted = table.replace('"', "\"\"");
        dir.sqlite(
            "t.db",
            &format!("CREATE TABLE \"{quoted}\" (a INTEGER); INSERT INTO \"{quoted}\" VALUES (7);"),
        );
        let name = format!("--table={table}");
        let args = ["import", "--connect", "sqlite:t.db", &name, "--warehouse-dir", "w/w/w"];
        let run = dir.run(&args);
        assert_eq!(run.status, 0, "{table:?}: {}", run.stderr);
        assert_eq!(names(&dir.path("w/w/w")), [place], "{table:?}");
        assert_eq!(bytes(&dir.path("w/w/w").join(place)), b"7\n", "{table:?}");
        assert_eq!(names(dir.root()), ["t.db", "w"], "{table:?}");
        fs::remove_dir_all(dir.path("w")).unwrap();
    }
}

#[test]
fn a_report_tells_of_success_and_of_failure() {
    let dir = Dir::with_db(TABLES);
    dir.import("t", &["--target-dir", "out", "--report", "report.json"]);
    let report = crate::support::json(&fs::read_to_string(dir.path("report.json")).unwrap());
    assert_eq!((&report["status"], &report["rows"]), (&"done".into(), &10.into()));
    assert_eq!(report["files"].as_array().unwrap().len(), 4);
    assert_eq!(report["error"], serde_json::Value::Null);
    let args = ["import", "--connect", "sqlite:t.db", "--table", "bad", "--target-dir", "x"];
    let run = dir.run(&[&args[..], &["--report", "report.json"]].concat());
    assert_eq!(run.status, 1);
    let report = crate::support::json(&fs::read_to_string(dir.path("report.json")).unwrap());
    assert_eq!((&report["status"], &report["error"]["kind"]), (&"failed".into(), &"data".into()));
    assert_eq!(report["error"]["exit_status"], 1);
}
