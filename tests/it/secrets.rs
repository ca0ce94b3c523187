//! A password shows up nowhere: not in the process table, not in output, not in any file.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::servers::support::{Address, Database, Server};
use crate::support::{Dir, PASSWORD, Run, clean_environment, finish, leftovers};

/// Reads rows for about a second.
const SLOW: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000)
    SELECT i FROM n WHERE $CONDITIONS";

/// The program needs this long to start and take its password out of the process table.
const GRACE: Duration = Duration::from_millis(100);

/// Longest a run may take.
const LIMIT: Duration = Duration::from_secs(30);

/// What anybody on the machine can read of a process.
fn visible(child: &Child) -> Option<Vec<u8>> {
    let mut all = fs::read(format!("/proc/{}/cmdline", child.id())).ok()?;
    all.extend(fs::read(format!("/proc/{}/comm", child.id())).unwrap_or_default());
    Some(all)
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle.as_bytes())
}

/// Looks at a running program until it ends; the samples taken after the grace period, and what
/// it did.
fn watch(mut child: Child) -> (usize, Run) {
    let started = Instant::now();
    let mut samples = 0;
    while child.try_wait().unwrap().is_none() {
        let age = started.elapsed();
        let Some(seen) = visible(&child) else { break };
        if age > LIMIT {
            child.kill().unwrap();
            panic!("still running after {age:?}: {}", finish(child).stderr);
        }
        if age > GRACE && !seen.is_empty() {
            samples += 1;
            let shown = String::from_utf8_lossy(&seen).replace('\0', " ");
            assert!(!holds(&seen, PASSWORD), "after {age:?}: {shown}");
            assert!(seen.starts_with(b"/") || holds(&seen, "rsqoop"), "{shown}");
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    (samples, finish(child))
}

/// No file below a directory holds the password, but for those named.
fn assert_nowhere(dir: &Path, but: &[&str]) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if but.contains(&name.as_str()) {
            continue;
        }
        assert!(!name.contains(PASSWORD), "{name}");
        if entry.file_type().unwrap().is_dir() {
            assert_nowhere(&entry.path(), but);
        } else {
            assert!(!holds(&fs::read(entry.path()).unwrap(), PASSWORD), "{name}");
        }
    }
}

fn spawn(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Every way to hand over a password: flags before the others, flags after them, whether the
/// variable is set.
fn ways(url: &str) -> Vec<(Vec<String>, bool)> {
    let secret = |text: &str| vec![text.replace("PW", PASSWORD)];
    let with_url = |parameter: &str| {
        let mark = if url.contains('?') { '&' } else { '?' };
        vec![format!("--connect={url}{mark}{parameter}={PASSWORD}")]
    };
    let plain = format!("--connect={url}");
    vec![
        ([vec![plain.clone()], secret("--password=PW")].concat(), false),
        ([vec![plain.clone(), "--password".to_string()], secret("PW")].concat(), false),
        (with_url("password"), false),
        (vec![plain.clone(), "--password-file".to_string(), "pw".to_string()], false),
        (vec![plain], true),
    ]
}

fn start(dir: &Dir, way: &(Vec<String>, bool), more: &[&str]) -> Child {
    let (flags, variable) = way;
    let args: Vec<&str> =
        [&["import"], &flags.iter().map(String::as_str).collect::<Vec<_>>()[..], more].concat();
    let mut command = dir.command(&args);
    if *variable {
        command.env("RSQOOP_PASSWORD", PASSWORD);
    }
    spawn(command)
}

fn with_password_file() -> Dir {
    let dir = Dir::with_db("CREATE TABLE t (id INTEGER PRIMARY KEY);");
    fs::write(dir.path("pw"), format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(dir.path("pw"), fs::Permissions::from_mode(0o600)).unwrap();
    dir
}

#[test]
fn a_running_import_never_shows_its_password() {
    for way in ways("sqlite:t.db") {
        let dir = with_password_file();
        let more = ["--query", SLOW, "--target-dir", "out", "--report", "report.json", "--verbose"];
        let (samples, run) = watch(start(&dir, &way, &more));
        assert_eq!(run.status, 0, "{way:?}: {}", run.stderr);
        assert!(samples > 10, "{way:?}: only {samples} looks");
        let output = run.stdout + &run.stderr;
        assert!(!output.contains(PASSWORD), "{way:?}: {output}");
        assert!(dir.path("report.json").is_file() && dir.path("out/_manifest.json").is_file());
        assert_nowhere(dir.root(), &["pw"]);
    }
}

#[test]
fn a_run_that_cannot_connect_never_shows_its_password() {
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    // PostgreSQL's driver counts the timeout in seconds, MySQL's in milliseconds.
    for (scheme, second) in [("postgresql", 1), ("mysql", 1000)] {
        let url = format!("{scheme}://joe@127.0.0.1:{port}/shop?connectTimeout={second}");
        let in_url = format!("{scheme}://joe:{PASSWORD}@127.0.0.1:{port}/shop");
        let mut all = ways(&url);
        all.push((vec![format!("--connect={in_url}")], false));
        all.push((vec!["--connect".to_string(), format!("jdbc:{in_url}")], false));
        // All at once: each waits for its deadline.
        let dir = with_password_file();
        std::thread::scope(|scope| {
            for (index, way) in all.iter().enumerate() {
                let dir = &dir;
                scope.spawn(move || {
                    let (target, report) = (format!("out{index}"), format!("{index}.json"));
                    let more =
                        ["--table=t", "--target-dir", &target, "--report", &report, "--verbose"];
                    let (samples, run) = watch(start(dir, way, &more));
                    assert_eq!(run.status, 3, "{way:?}: {}", run.stderr);
                    assert!(samples > 10, "{way:?}: only {samples} looks");
                    let output = run.stdout + &run.stderr;
                    assert!(!output.contains(PASSWORD), "{way:?}: {output}");
                });
            }
        });
        assert_nowhere(dir.root(), &["pw"]);
        assert!(!dir.path("out0").exists());
    }
}

#[test]
fn mistakes_beside_a_password_do_not_show_it() {
    let dir = with_password_file();
    let url = format!("sqlite:t.db?password={PASSWORD}");
    for args in [
        &["import", "--connect", &url, "--tabel", "t"][..],
        &["import", "--connect", &url, "--table", "t", "--target-dir", "t.db", "--verbose"],
        &["import", "--connect", &url, "--table", "x", "--target-dir", "out", "--verbose"],
        &["import", "--connect", "sqlite:t.db", "--password", PASSWORD, "--bogus"],
        &["improt", "--connect", "sqlite:t.db", "--password", PASSWORD],
        &["eval", "--connect", &url, "--query", "SELEC", "--verbose"],
        &["list-tables", "--connect", "sqlite:no.db", "--password", PASSWORD, "--verbose"],
        &["import", &format!("--conect={url}"), "--table", "t"],
        &["import", "--connect", &format!("sqlite:?password={PASSWORD}"), "--table", "t"],
        &["import", "--connect", "sqlite:t.db", &format!("--pasword={PASSWORD}"), "--table", "t"],
    ] {
        let run = dir.run(args);
        assert!([2, 3].contains(&run.status), "{args:?}: {}", run.stderr);
        assert!(!(run.stdout + &run.stderr).contains(PASSWORD), "{args:?}");
    }
    let plan = ["plan", "import", "--connect", &url, "--table", "t", "--target-dir", "out"];
    for more in [&[][..], &["--json", "--verbose"]] {
        let run = dir.ok(&[&plan[..], more].concat());
        assert!(!(run.stdout + &run.stderr).contains(PASSWORD), "{more:?}");
    }
}

#[test]
fn a_password_on_the_command_line_gets_a_warning() {
    let dir = with_password_file();
    let run = dir.import("t", &["--target-dir", "out", "--password", PASSWORD]);
    assert!(run.stderr.starts_with("warning: a password on the command line is insecure"));
    let run = dir.import("t", &["--target-dir", "out2", "--password-file", "pw"]);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

/// Its record, its receipts and its claim stay for the next run.
#[test]
fn what_a_killed_run_leaves_does_not_hold_its_password() {
    std::thread::scope(|scope| {
        for way in ways("sqlite:t.db") {
            scope.spawn(move || {
                let dir = with_password_file();
                let rows = "WITH RECURSIVE n (i) AS
                    (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                    INSERT INTO t SELECT i FROM n;";
                dir.sqlite("t.db", rows);
                let more = [
                    &["--table", "t", "--target-dir", "out", "-m", "2", "--split-limit", "500"][..],
                    &["--max-rows-per-second", "2000", "--resume", "mixed"],
                ];
                let mut child = start(&dir, &way, &more.concat());
                crate::support::wait_until("a receipt", || {
                    crate::support::leftovers(dir.root()).iter().any(|name| {
                        let state = dir.path(name).join(".rsqoop-state");
                        fs::read_dir(state).is_ok_and(|entries| entries.flatten().count() > 1)
                    })
                });
                child.kill().unwrap();
                finish(child);
                assert_nowhere(dir.root(), &["pw"]);
                // Nor does it need one to say what it has left.
                let shown = dir.ok(&["runs", "list"]).stdout;
                assert!(shown.contains("dead") && !shown.contains(PASSWORD), "{shown}");
            });
        }
    });
}

// ---- on servers ----

/// How a person hands over the password of an account on a server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    UrlLogin,
    UrlParameter,
    Flag,
    File,
    Variable,
    Prompt,
}

const WAYS: [Way; 6] =
    [Way::UrlLogin, Way::UrlParameter, Way::Flag, Way::File, Way::Variable, Way::Prompt];

/// The account whose password all of these tests know.
const ACCOUNT: &str = "it_secret";

fn account(server: Server) -> Database {
    let db = Database::new(server, "secret");
    db.sql("CREATE TABLE t (id int PRIMARY KEY, a varchar(20));");
    let rows: Vec<String> = (1..=6000).map(|i| format!("({i},'row {i}')")).collect();
    db.sql(&format!("INSERT INTO t VALUES {};", rows.join(",")));
    db.sql(&match server {
        Server::Postgres => format!(
            "DROP ROLE IF EXISTS {ACCOUNT}; CREATE ROLE {ACCOUNT} LOGIN PASSWORD '{PASSWORD}';
             GRANT SELECT ON t TO {ACCOUNT};"
        ),
        _ => format!(
            "DROP USER IF EXISTS {ACCOUNT}@'%'; CREATE USER {ACCOUNT}@'%' IDENTIFIED BY '{PASSWORD}';
             GRANT ALL ON *.* TO {ACCOUNT}@'%';"
        ),
    });
    db
}

/// The command that imports `t` of the server, its password handed over in this way.
fn server_command(db: &Database, dir: &Dir, way: Way, more: &[&str]) -> Command {
    let Address { scheme, host, port, .. } = db.server.address();
    let place = format!("{host}:{port}/{}", db.name);
    let mut args = vec!["import".to_string(), "--connect".to_string()];
    args.push(match way {
        Way::UrlLogin => format!("{scheme}://{ACCOUNT}:{PASSWORD}@{place}"),
        Way::UrlParameter => format!("{scheme}://{place}?user={ACCOUNT}&password={PASSWORD}"),
        _ => format!("{scheme}://{ACCOUNT}@{place}"),
    });
    args.extend(["--table", "t", "--verbose", "-m", "2"].map(String::from));
    args.extend(["--split-limit", "200", "--resume", "mixed"].map(String::from));
    args.extend(more.iter().map(ToString::to_string));
    match way {
        Way::Flag => args.extend(["--password".to_string(), PASSWORD.to_string()]),
        Way::File => args.extend(["--password-file".to_string(), "pw".to_string()]),
        Way::Prompt => args.push("-P".to_string()),
        _ => {}
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = dir.command(&args);
    if way == Way::Variable {
        command.env("RSQOOP_PASSWORD", PASSWORD);
    }
    command
}

/// Starts it; at a prompt a terminal of its own types the password. Gives the process that the
/// caller may end, and all that the terminal shows.
fn start_on_server(mut command: Command, way: Way) -> Child {
    if way != Way::Prompt {
        return spawn(command);
    }
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut terminal = Command::new("script");
    // `exec`, so that the program and not a shell is what the terminal waits for.
    terminal.args(["-qec", &format!("exec {}", words.join(" ")), "/dev/null"]);
    terminal.current_dir(command.get_current_dir().expect("it has one"));
    clean_environment(&mut terminal);
    terminal.env("TERM", "xterm").env("SHELL", "/bin/sh");
    terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command = terminal;
    let mut child = command.spawn().expect("`script` of util-linux");
    let mut seen = Vec::new();
    while !seen.ends_with(b"Enter password: ") {
        let mut byte = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut byte).expect("the prompt comes");
        seen.push(byte[0]);
    }
    // The terminal stays as long as its input does, so that is kept.
    child.stdin.as_mut().unwrap().write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    child
}

/// Looks at all processes that work in a directory: what everybody can read of them, and their
/// environments unless the password was put there.
fn look_at_processes(dir: &Path, way: Way) -> usize {
    let mut looks = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        if fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == dir) {
            for file in ["cmdline", "comm", "environ"] {
                let seen = fs::read(process.join(file)).unwrap_or_default();
                if file != "environ" || way != Way::Variable {
                    let shown = String::from_utf8_lossy(&seen).replace('\0', " ");
                    assert!(!holds(&seen, PASSWORD), "{way:?}: {file}: {shown}");
                }
                looks += 1;
            }
        }
    }
    looks
}

/// As [`assert_nowhere`], beside a run that makes and removes files.
fn look_at_files(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look_at_files(&path);
        } else if entry.file_name() != "pw" {
            let bytes = fs::read(&path).unwrap_or_default();
            assert!(!holds(&bytes, PASSWORD), "{}", path.display());
        }
    }
}

fn receipts(dir: &Dir) -> bool {
    leftovers(dir.root()).iter().any(|name| {
        let state = dir.path(name).join(".rsqoop-state");
        fs::read_dir(state).into_iter().flatten().flatten().any(|e| {
            e.file_name().to_string_lossy().ends_with(".receipts")
                && e.metadata().is_ok_and(|m| m.len() > 0)
        })
    })
}

/// A run that is killed on its way and one that goes on with it: neither shows the password.
fn keeps_its_password(db: &Database, way: Way) {
    let dir = with_password_file();
    let target = ["--target-dir", "out", "--report", "report.json"];
    let slow = [&target[..], &["--max-rows-per-second", "1500"]].concat();
    let mut child = start_on_server(server_command(db, &dir, way, &slow), way);
    let (begun, mut looks) = (Instant::now(), 0);
    while !receipts(&dir) {
        assert!(child.try_wait().unwrap().is_none(), "{way:?}: {:?}", finish(child));
        assert!(begun.elapsed() < LIMIT, "{way:?}: no rows became safe");
        if begun.elapsed() > GRACE {
            looks += look_at_processes(dir.root(), way);
            look_at_files(dir.root());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(looks > 20, "{way:?}: only {looks} looks");
    end_in(dir.root());
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(!dir.path("out").exists());
    look_at_files(dir.root());
    for tool in [&["runs", "list"][..], &["runs", "show"]] {
        let run_id = leftovers(dir.root())
            .iter()
            .find(|n| dir.path(n).is_dir())
            .and_then(|n| n.rsplit('-').next().map(String::from))
            .expect("the run left something");
        let args = if tool[1] == "show" { [tool, &[&run_id]].concat() } else { tool.to_vec() };
        let shown = dir.ok(&args).stdout;
        assert!(!shown.contains(PASSWORD), "{way:?}: {shown}");
    }
    let mut again = start_on_server(server_command(db, &dir, way, &target), way);
    if way == Way::Prompt {
        // What the terminal shows is all on its standard output.
        let mut shown = String::new();
        again.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
        assert!(shown.contains("Retrieved 6000 records"), "{shown}");
        assert!(!shown.contains(PASSWORD), "{shown}");
        drop(again.stdin.take());
        again.wait().unwrap();
    } else {
        let run = finish(again);
        assert_eq!(run.status, 0, "{way:?}: {}", run.stderr);
        assert!(run.stderr.contains("going on with run"), "{way:?}: {}", run.stderr);
        assert!(!(run.stdout + &run.stderr).contains(PASSWORD), "{way:?}");
    }
    assert!(dir.path("out/_manifest.json").is_file() && dir.path("report.json").is_file());
    assert_nowhere(dir.root(), &["pw"]);
}

/// Kills the program that works in a directory, whoever its parent is.
fn end_in(dir: &Path) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let process = entry.path();
        let here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == dir);
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let number = entry.file_name().to_string_lossy().parse::<i32>().ok();
        if let (true, "rsqoop", Some(pid)) = (here, name.trim(), number.and_then(Pid::from_raw)) {
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
}

#[test]
fn runs_on_servers_keep_their_password_however_it_is_given() {
    for server in Server::NETWORK {
        let db = account(server);
        std::thread::scope(|scope| {
            for way in WAYS {
                let db = &db;
                scope.spawn(move || keeps_its_password(db, way));
            }
        });
    }
}
