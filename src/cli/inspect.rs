//! The small tools: `eval`, `list-databases`, `list-tables`, `version`.

use std::process::ExitCode;

use clap::Args;
use rsqoop_connector::{Error, ErrorKind, Result, Session, TextColumn, TextSink};
use std::sync::Arc;

use super::connect::ConnectArgs;
use super::console::{Console, OutputArgs};
use super::signals::Signals;
use super::{print, try_print};
use crate::job::Limits;
use crate::{Engine, RunControl};

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The SQL text
    #[arg(
        short = 'e',
        long,
        value_name = "SQL",
        allow_hyphen_values = true,
        help_heading = "What to run"
    )]
    query: String,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListDatabasesArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListTablesArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Schema to list [default: the session's own]
    #[arg(long, value_name = "SCHEMA", help_heading = "What to list")]
    schema: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// What a shell reports of a program that SIGPIPE ended.
const NOBODY_READS: u8 = 141;

/// Runs one SQL text and prints its results as Sqoop 1.4.7 does.
pub(super) fn eval(args: &EvalArgs) -> ExitCode {
    let console = Arc::new(Console::new(&args.output));
    let mut table = BoxTable { widths: Vec::new(), console: &console, closed: false };
    let (mut session, signals) = match watched(&args.connect, &console) {
        Ok(watched) => watched,
        Err(error) => return console.fail(&error, false),
    };
    match session.evaluate(&args.query, &mut table) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if table.closed => ExitCode::from(NOBODY_READS),
        Err(error) => {
            let status = console.fail(&error, false);
            signals.exit_status().unwrap_or(status)
        }
    }
}

/// One database a line, as the server lists them.
pub(super) fn list_databases(args: &ListDatabasesArgs) -> Result<()> {
    let console = Arc::new(Console::new(&args.output));
    let names = open(&args.connect, &console)?.databases()?;
    print(&lines(&names))
}

/// One table a line, as the server lists them.
pub(super) fn list_tables(args: &ListTablesArgs) -> Result<()> {
    let console = Arc::new(Console::new(&args.output));
    let names = open(&args.connect, &console)?.tables(args.schema.as_deref())?;
    print(&lines(&names))
}

/// Name and version.
pub(super) fn version() -> Result<()> {
    print(&format!("rsqoop {}\n", env!("CARGO_PKG_VERSION")))
}

fn open(connect: &ConnectArgs, console: &Arc<Console>) -> Result<Box<dyn Session>> {
    let target = connect.target(console)?;
    let listener = console.clone();
    let control = RunControl::new(move |event| listener.event(&event));
    Engine::new().connect(&target, &control)
}

/// A session whose statement a signal cancels on the server.
fn watched(connect: &ConnectArgs, console: &Arc<Console>) -> Result<(Box<dyn Session>, Signals)> {
    let session = open(connect, console)?;
    let control = RunControl::new(|_| {});
    control.watch(session.interrupter());
    let shutdown = Limits::default().shutdown;
    let notice = "stopping the statement; once more ends at once";
    let signals = Signals::watch(control, console.clone(), shutdown, notice)?;
    Ok((session, signals))
}

fn lines(names: &[String]) -> String {
    names.iter().map(|n| format!("{n}\n")).collect()
}

/// Widest column that is padded (Sqoop 1.4.7, `ResultSetPrinter`).
const WIDTH_MAX: usize = 20;

/// Sqoop's box: columns as wide as the driver says a value can be, at most 20; longer values are
/// not cut. Rows are printed as they arrive.
struct BoxTable<'a> {
    widths: Vec<usize>,
    console: &'a Console,
    /// Nobody reads standard output any more.
    closed: bool,
}

impl BoxTable<'_> {
    fn border(&self) -> String {
        let dashes: usize = self.widths.iter().map(|w| w + 3).sum::<usize>() + 1;
        format!("{}\n", "-".repeat(dashes))
    }

    /// Prints, or stops the statement where nobody would see the rest of its rows.
    fn print(&mut self, text: &str) -> Result<()> {
        self.closed = !try_print(text)?;
        if self.closed {
            return Err(Error::new(ErrorKind::Cancelled, "nobody reads standard output any more"));
        }
        Ok(())
    }

    fn line<'t>(&self, values: impl Iterator<Item = &'t str>) -> String {
        let mut line = String::from("| ");
        for (value, width) in values.zip(&self.widths) {
            line.push_str(&format!("{value:<width$} | "));
        }
        line.push('\n');
        line
    }
}

impl TextSink for BoxTable<'_> {
    fn columns(&mut self, columns: &[TextColumn]) -> Result<()> {
        self.widths = columns.iter().map(|c| c.display_size.min(WIDTH_MAX)).collect();
        let border = self.border();
        let header = self.line(columns.iter().map(|c| c.name.as_str()));
        self.print(&format!("{border}{header}{border}"))
    }

    fn row(&mut self, values: &[Option<String>]) -> Result<()> {
        let line = self.line(values.iter().map(|v| v.as_deref().unwrap_or("(null)")));
        self.print(&line)
    }

    fn end(&mut self) -> Result<()> {
        let border = self.border();
        self.print(&border)
    }

    fn updated(&mut self, rows: u64) -> Result<()> {
        self.console.info(&format!("{rows} row(s) updated."));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_has_sqoops_form() {
        let console = Console::plain();
        let table = BoxTable { widths: vec![4, 6], console: &console, closed: false };
        assert_eq!(table.border(), format!("{}\n", "-".repeat(17)));
        assert_eq!(table.line(["1", "abc"].into_iter()), "| 1    | abc    | \n");
        assert_eq!(table.line(["12345", "abc"].into_iter()), "| 12345 | abc    | \n");
    }
}
