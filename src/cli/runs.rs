//! `rsqoop runs` and `rsqoop resume`: what runs that died left behind.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rsqoop_connector::{Error, ErrorKind, Result};

use super::print;
use super::progress::{grouped, size};
use crate::job::usage;
use crate::store::plain;
use crate::{Leftover, leftovers_below, remove_leftover};

#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    tool: RunsTool,
}

#[derive(Debug, Subcommand)]
enum RunsTool {
    /// List the runs that left something in a directory or below
    List(Place),
    /// Show what one of them was doing, and what of it is safe
    Show(OneRun),
    /// Remove what dead runs left: one of them, or all
    Clean(CleanArgs),
}

#[derive(Debug, Args)]
struct Place {
    /// Where to look
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct OneRun {
    /// Id of the run, or its first letters
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct CleanArgs {
    /// Id of the run, or its first letters; all dead runs without
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Id of the run, or its first letters
    #[arg(value_name = "RUN")]
    run: String,
    /// Where to look for it
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// More flags of its tool, such as --resume mixed or --password-file FILE; they win over its own
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

pub(super) fn run(args: &RunsArgs) -> Result<()> {
    match &args.tool {
        RunsTool::List(place) => list(&place.dir),
        RunsTool::Show(one) => show(&find(&one.place.dir, &one.run)?),
        RunsTool::Clean(clean) => remove(&clean.place.dir, clean.run.as_deref()),
    }
}

fn list(dir: &Path) -> Result<()> {
    let found = leftovers_below(dir);
    if found.is_empty() {
        return print(&format!("no run left anything below {}\n", dir.display()));
    }
    let mut text = format!(
        "{:<16}  {:<7}  {:<20}  {:>14}  {}\n",
        "run", "state", "started", "rows safe", "target"
    );
    for run in found {
        text.push_str(&format!(
            "{:<16}  {:<7}  {:<20}  {:>14}  {}\n",
            run.run_id(),
            if run.is_alive() { "running" } else { "dead" },
            run.record().map_or("", |r| &r.started),
            grouped(run.rows()),
            run.record().map_or_else(
                || run.dir().display().to_string(),
                |r| r.target.display().to_string()
            ),
        ));
    }
    print(&text)
}

fn show(run: &Leftover) -> Result<()> {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<10} {value}\n"));
    line("run", run.run_id());
    line("state", if run.is_alive() { "running" } else { "dead" });
    line("staging", &run.dir().display().to_string());
    if let Some(record) = run.record() {
        line("started", &record.started);
        line("source", &record.source);
        line("read", &record.relation.replace('\n', " "));
        line("target", &record.target.display().to_string());
        for shared in &record.snapshots {
            let shown = shared.as_ref().map_or_else(
                || "none".to_string(),
                |s| match &s.position {
                    Some(position) => format!("{} at {position}", s.id),
                    None => s.id.to_string(),
                },
            );
            line("snapshot", &shown);
        }
        if !record.command.is_empty() {
            line("command", &record.command.join(" "));
        }
    }
    line("safe", &format!("{} rows in {} files", grouped(run.rows()), run.files().len()));
    for (name, rows, bytes) in run.files() {
        line("", &format!("{name}: {} rows, {}", grouped(rows), size(bytes)));
    }
    print(&text)
}

fn remove(dir: &Path, wanted: Option<&str>) -> Result<()> {
    let runs = match wanted {
        Some(id) => vec![find(dir, id)?],
        None => leftovers_below(dir),
    };
    let mut text = String::new();
    for run in runs {
        if run.is_alive() {
            if wanted.is_some() {
                return Err(Error::new(ErrorKind::Conflict, "the run is not dead")
                    .context("run", run.run_id())
                    .hint("stop it first"));
            }
            continue;
        }
        remove_leftover(&run).map_err(|error| {
            Error::new(ErrorKind::Storage, format!("a run cannot be removed: {}", plain(&error)))
                .context("directory", run.dir().display().to_string())
        })?;
        text.push_str(&format!(
            "removed run {} and its {} rows\n",
            run.run_id(),
            grouped(run.rows())
        ));
    }
    if text.is_empty() {
        text = format!("no dead run left anything below {}\n", dir.display());
    }
    print(&text)
}

fn find(dir: &Path, id: &str) -> Result<Leftover> {
    let mut found: Vec<Leftover> = leftovers_below(dir)
        .into_iter()
        .filter(|r| !id.is_empty() && r.run_id().starts_with(id))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(run), true) => Ok(run),
        (None, _) => Err(usage(format!("there is no run {id:?} below {}", dir.display()))
            .hint("rsqoop runs list DIR shows what there is")),
        (Some(_), false) => {
            Err(usage(format!("several runs begin with {id:?}"))
                .hint("give more letters of its id"))
        }
    }
}

/// The command of a dead run, to be run again: the directory it was given in, its arguments, and the
/// flags to add.
pub(super) fn command(args: &ResumeArgs) -> Result<(PathBuf, Vec<String>, Vec<String>)> {
    let run = find(&args.dir, &args.run)?;
    match run.record() {
        Some(record) if record.command.len() > 1 => {
            Ok((record.directory.clone(), record.command.clone(), args.more.clone()))
        }
        _ => Err(usage("the run left no command that could be given again")
            .context("run", run.run_id())
            .hint("give its command again; it takes over what is safe")),
    }
}
