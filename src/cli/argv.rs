//! Keeps passwords out of the process table, and other programs' settings out of the connection.
//!
//! Anybody on the machine can read a process's arguments. A password among them is moved into an
//! anonymous memory file, and the program starts itself again in the same process without it.
//! Variables that libpq's programs read go the same way: a job must do the same in cron, in CI and
//! in a shell, and what it needs stands in its URL.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rsqoop_connector::{ConnectTarget, Error, ErrorKind, Result, Secret};
use rustix::fs::{MemfdFlags, memfd_create};

/// Tells the restarted program where its password is: `FD,ORIGIN`.
const HANDOVER: &str = "RSQOOP_PASSWORD_FD";

/// Variables of libpq that the PostgreSQL driver would read; see `connectors/postgres`.
const LIBPQ_VARIABLES: [&str; 3] = ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"];

/// Where a handed-over password came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// `--password`.
    Flag,
    /// The connection URL.
    Url,
}

/// Restarts the program without passwords in its arguments and without libpq's variables, if there
/// are any.
///
/// # Errors
/// `Config` when the restart is not possible; the run does not go on with a readable password.
pub(super) fn hide_secrets(args: &[OsString]) -> Result<()> {
    let taken = take_secret(args);
    let variables: Vec<&str> =
        LIBPQ_VARIABLES.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    if taken.is_none() && variables.is_empty() {
        return Ok(());
    }
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Config, "the password cannot be taken out of the process table")
            .hint("use --password-file, -P or RSQOOP_PASSWORD instead of --password")
            .source(error)
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg0(&args[0]);
    for variable in variables {
        command.env_remove(variable);
    }
    match taken {
        None => command.args(&args[1..]),
        Some((clean, secret, origin)) => {
            let mut file = File::from(
                memfd_create("rsqoop", MemfdFlags::empty()).map_err(|e| failed(e.into()))?,
            );
            file.write_all(secret.expose().as_bytes()).map_err(failed)?;
            file.rewind().map_err(failed)?;
            let origin = if origin == Origin::Flag { "flag" } else { "url" };
            // The descriptor must outlive this program image.
            let descriptor = file.into_raw_fd();
            command.args(&clean[1..]).env(HANDOVER, format!("{descriptor},{origin}"))
        }
    };
    Err(failed(command.exec()))
}

/// The arguments with two dashes before every long flag: Sqoop takes one as well (`-connect URL`).
pub(super) fn with_two_dashes(mut args: Vec<OsString>, long_flags: &[String]) -> Vec<OsString> {
    for arg in args.iter_mut().skip(1).take_while(|arg| *arg != "--") {
        let Some(rest) = arg.to_str().and_then(|a| a.strip_prefix('-')) else { continue };
        let name = rest.split('=').next().unwrap_or(rest);
        if name.len() > 1 && long_flags.iter().any(|flag| flag == name) {
            *arg = OsString::from(format!("--{rest}"));
        }
    }
    args
}

/// The password that [`hide_secrets`] took out of the arguments.
pub(super) fn handed_over() -> Result<Option<(Secret, Origin)>> {
    let Ok(handover) = std::env::var(HANDOVER) else { return Ok(None) };
    let unusable = || {
        Error::new(ErrorKind::Config, format!("the variable {HANDOVER} is not usable"))
            .hint("it is for rsqoop's own use: unset it")
    };
    let (fd, origin) = handover.split_once(',').ok_or_else(unusable)?;
    let fd: u32 = fd.parse().map_err(|_| unusable())?;
    let text = std::fs::read_to_string(format!("/proc/self/fd/{fd}")).map_err(|_| unusable())?;
    let origin = if origin == "flag" { Origin::Flag } else { Origin::Url };
    Ok(Some((Secret::new(text), origin)))
}

/// The arguments without any password, and the password that counts: the flag's, else the URL's.
fn take_secret(args: &[OsString]) -> Option<(Vec<OsString>, Secret, Origin)> {
    let mut clean = Vec::with_capacity(args.len());
    let mut from_flag = None;
    let mut from_url = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.to_str() {
            Some("--") => {
                clean.push(arg.clone());
                clean.extend(rest.by_ref().cloned());
            }
            Some("--password") => match rest.next() {
                Some(value) => from_flag = from_flag.or_else(|| value.to_str().map(Secret::new)),
                None => clean.push(arg.clone()),
            },
            Some("--connect") => {
                clean.push(arg.clone());
                if let Some(url) = rest.next() {
                    clean.push(clean_url(url, &mut from_url, ""));
                }
            }
            Some(text) if text.starts_with("--password=") => {
                from_flag = from_flag.or_else(|| Some(Secret::new(&text["--password=".len()..])));
            }
            Some(text) if text.starts_with("--connect=") => {
                let url = OsString::from(&text["--connect=".len()..]);
                clean.push(clean_url(&url, &mut from_url, "--connect="));
            }
            _ => clean.push(arg.clone()),
        }
    }
    match (from_flag, from_url) {
        (Some(secret), _) => Some((clean, secret, Origin::Flag)),
        (None, Some(secret)) => Some((clean, secret, Origin::Url)),
        (None, None) => None,
    }
}

fn clean_url(url: &OsString, found: &mut Option<Secret>, prefix: &str) -> OsString {
    match url.to_str().and_then(split_url) {
        Some((clean, secret)) => {
            // Even without a password the arguments have changed, and the program starts again.
            *found = Some(secret.unwrap_or_else(|| Secret::new("")));
            OsString::from(format!("{prefix}{clean}"))
        }
        None => {
            let mut whole = OsString::from(prefix);
            whole.push(url);
            whole
        }
    }
}

/// A URL without its password, and the password decoded; `None` when it has none. Passwords of key
/// stores leave it too: none of the connectors has a use for them.
fn split_url(url: &str) -> Option<(String, Option<Secret>)> {
    let target = ConnectTarget::parse(url).ok()?;
    if target.password.is_none() && !target.params.iter().any(|(k, _)| is_secret(k)) {
        return None;
    }
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (url, None),
    };
    // scheme://user:password@host → scheme://user@host, by the same rule as ConnectTarget.
    let base = match base.split_once("//") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((credentials, place)) => {
                let user = credentials.split(':').next().unwrap_or("");
                format!("{scheme}//{user}@{place}")
            }
            None => base.to_string(),
        },
        None => base.to_string(),
    };
    let kept: Vec<&str> = query
        .unwrap_or("")
        .split('&')
        .filter(|p| !p.is_empty() && !p.split('=').next().is_some_and(is_secret))
        .collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Some((format!("{base}{query}"), target.password))
}

fn is_secret(name: &str) -> bool {
    ConnectTarget::is_secret_param(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(args: &[&str]) -> Option<(Vec<String>, String, Origin)> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        take_secret(&args).map(|(clean, secret, origin)| {
            let clean = clean.into_iter().map(|a| a.into_string().unwrap()).collect();
            (clean, secret.expose().to_string(), origin)
        })
    }

    #[test]
    fn a_long_flag_may_have_one_dash() {
        let flags: Vec<String> = ["connect", "m", "where", "append"].map(String::from).to_vec();
        let args = [
            "r",
            "import",
            "-connect=x",
            "-m",
            "4",
            "-m4",
            "-where",
            "-append",
            "-x",
            "--",
            "-append",
        ];
        let got = with_two_dashes(args.map(OsString::from).to_vec(), &flags);
        let want = [
            "r",
            "import",
            "--connect=x",
            "-m",
            "4",
            "-m4",
            "--where",
            "--append",
            "-x",
            "--",
            "-append",
        ];
        assert_eq!(got, want.map(OsString::from));
    }

    #[test]
    fn passwords_leave_the_arguments_in_every_spelling() {
        for (args, clean, secret) in [
            (vec!["r", "import", "--password", "x"], vec!["r", "import"], "x"),
            (vec!["r", "--password=x y", "-m", "1"], vec!["r", "-m", "1"], "x y"),
            (
                vec!["r", "--connect", "postgres://u:p%20w@h/d?sslmode=require"],
                vec!["r", "--connect", "postgres://u@h/d?sslmode=require"],
                "p w",
            ),
            (
                vec!["r", "--connect=jdbc:mysql://h/d?password=geheim&useSSL=true&user=u"],
                vec!["r", "--connect=jdbc:mysql://h/d?useSSL=true&user=u"],
                "geheim",
            ),
            (
                vec!["r", "--connect", "postgres://u:a@h/d", "--password", "b"],
                vec!["r", "--connect", "postgres://u@h/d"],
                "b",
            ),
        ] {
            let (got, got_secret, _) = taken(&args).unwrap();
            assert_eq!(
                (got.iter().map(String::as_str).collect::<Vec<_>>(), got_secret.as_str()),
                (clean, secret)
            );
        }
        assert!(
            taken(&["r", "import", "--connect", "sqlite:a.db", "--password-file", "f"]).is_none()
        );
        assert!(taken(&["r", "eval", "--query", "x", "--", "--password", "y"]).is_none());
    }
}
