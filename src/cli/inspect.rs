//! The small tools: `eval`, `list-databases`, `list-tables`, `version`.

use clap::Args;
use rsqoop_connector::{Result, Session, TextColumn, TextSink};

use super::connect::ConnectArgs;
use super::console::{Console, OutputArgs};
use super::print;
use crate::{Engine, RunControl};

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The SQL text
    #[arg(short = 'e', long, value_name = "SQL", help_heading = "What to run")]
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

/// Runs one SQL text and prints its results as Sqoop 1.4.7 does.
pub(super) fn eval(args: &EvalArgs) -> Result<()> {
    let console = std::sync::Arc::new(Console::new(&args.output));
    let mut session = open(&args.connect, &console)?;
    session.evaluate(&args.query, &mut BoxTable { widths: Vec::new(), console: &console })
}

/// One database a line, as the server lists them.
pub(super) fn list_databases(args: &ListDatabasesArgs) -> Result<()> {
    let console = std::sync::Arc::new(Console::new(&args.output));
    let names = open(&args.connect, &console)?.databases()?;
    print(&lines(&names))
}

/// One table a line, as the server lists them.
pub(super) fn list_tables(args: &ListTablesArgs) -> Result<()> {
    let console = std::sync::Arc::new(Console::new(&args.output));
    let names = open(&args.connect, &console)?.tables(args.schema.as_deref())?;
    print(&lines(&names))
}

/// Name and version.
pub(super) fn version() -> Result<()> {
    print(&format!("rsqoop {}\n", env!("CARGO_PKG_VERSION")))
}

fn open(connect: &ConnectArgs, console: &std::sync::Arc<Console>) -> Result<Box<dyn Session>> {
    let target = connect.target(console)?;
    let listener = console.clone();
    let control = RunControl::new(move |event| listener.event(&event));
    Engine::new().connect(&target, &control)
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
}

impl BoxTable<'_> {
    fn border(&self) -> String {
        let dashes: usize = self.widths.iter().map(|w| w + 3).sum::<usize>() + 1;
        format!("{}\n", "-".repeat(dashes))
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
        print(&format!("{border}{header}{border}"))
    }

    fn row(&mut self, values: &[Option<String>]) -> Result<()> {
        print(&self.line(values.iter().map(|v| v.as_deref().unwrap_or("(null)"))))
    }

    fn end(&mut self) -> Result<()> {
        print(&self.border())
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
        let table = BoxTable { widths: vec![4, 6], console: &console };
        assert_eq!(table.border(), format!("{}\n", "-".repeat(17)));
        assert_eq!(table.line(["1", "abc"].into_iter()), "| 1    | abc    | \n");
        assert_eq!(table.line(["12345", "abc"].into_iter()), "| 12345 | abc    | \n");
    }
}
