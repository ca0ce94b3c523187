//! Flags that say where to connect and as whom.

use std::env::VarError;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use rsqoop_connector::{ConnectTarget, Error, ErrorKind, Result, Secret};

use super::argv::{self, Origin};
use super::console::Console;
use super::prompt;
use crate::Engine;
use crate::store::plain;

/// Longest password file that is read.
const PASSWORD_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectArgs {
    /// Database URL: postgresql://host/db, mysql://host/db, mariadb://host/db, sqlite:FILE, or the
    /// jdbc: spelling of these
    #[arg(long, value_name = "URL")]
    connect: String,
    /// User name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// File that holds the password; one line end after it is not part of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password", "prompt"])]
    password_file: Option<PathBuf>,
    /// Ask for the password on the terminal
    #[arg(short = 'P', id = "prompt", conflicts_with = "password")]
    prompt: bool,
    /// The password itself; better: --password-file, -P, or the variable RSQOOP_PASSWORD
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
}

impl ConnectArgs {
    /// The target with credentials filled in.
    ///
    /// # Errors
    /// `Usage` for a URL that is none, `Config` for a password that cannot be had.
    pub(super) fn target(&self, console: &Console) -> Result<ConnectTarget> {
        known_database(&self.connect)?;
        let mut target = ConnectTarget::parse(&self.connect)?;
        if let Some(user) = &self.username {
            target.user = Some(user.clone());
        }
        if let Some(password) = self.password(&target, console)? {
            target.password = Some(password);
        }
        Ok(target)
    }

    /// The first of: flag, URL, environment.
    fn password(&self, target: &ConnectTarget, console: &Console) -> Result<Option<Secret>> {
        let handed_over = argv::handed_over()?;
        if let Some((secret, Origin::Flag)) = handed_over {
            if self.password_file.is_some() || self.prompt {
                let other = if self.prompt { "-P" } else { "--password-file" };
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("the argument '--password' cannot be used with '{other}'"),
                )
                .hint("give the password one way only"));
            }
            console.warn("a password on the command line is insecure: others may have read it before it was hidden; use --password-file");
            return Ok(Some(secret));
        }
        if let Some(file) = &self.password_file {
            return read_password(file, console).map(Some);
        }
        if self.prompt {
            return prompt::password().map(Some);
        }
        if let Some(password) = &self.password {
            return Ok(Some(Secret::new(password.clone())));
        }
        if let Some((secret, Origin::Url)) = handed_over
            && !secret.expose().is_empty()
        {
            return Ok(Some(secret));
        }
        if target.password.is_some() {
            return Ok(None);
        }
        match std::env::var("RSQOOP_PASSWORD") {
            Ok(password) => Ok(Some(Secret::new(password))),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => {
                Err(Error::new(ErrorKind::Config, "the variable RSQOOP_PASSWORD is not UTF-8")
                    .hint("set it to the password, or unset it"))
            }
        }
    }
}

/// Says that a database is not known before its URL is taken for a misspelled one of another.
fn known_database(url: &str) -> Result<()> {
    let url = url.trim();
    let jdbc = url.get(..5).is_some_and(|p| p.eq_ignore_ascii_case("jdbc:"));
    let Some((scheme, _)) = url.get(if jdbc { 5 } else { 0 }..).and_then(|u| u.split_once(':'))
    else {
        return Ok(());
    };
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Engine::new().connector(&ConnectTarget::parse(&format!("{scheme}://host"))?).map(drop)
}

fn read_password(path: &Path, console: &Console) -> Result<Secret> {
    let failed = |error: std::io::Error| {
        Error::new(
            ErrorKind::Config,
            format!("the password file cannot be read: {}", plain(&error)),
        )
        .context("file", path.display().to_string())
        .hint("check the path and its permissions")
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::Config, "the password file is a directory")
            .context("file", path.display().to_string())
            .hint("name a file that holds only the password"));
    }
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        console.warn(&format!(
            "the password file {} can be read by others; make it yours alone: chmod 600",
            path.display()
        ));
    }
    let mut text = String::new();
    file.take(PASSWORD_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(Error::new(ErrorKind::Config, "the password file is too long for a password")
            .context("file", path.display().to_string())
            .hint("name a file that holds only the password"));
    }
    // Sqoop takes the line end for part of the password, its best known trap; exactly one goes.
    let text = text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).unwrap_or(&text);
    Ok(Secret::new(text))
}
