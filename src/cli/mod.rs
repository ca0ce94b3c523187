//! The command line: Sqoop's tools and flags become a job, and what happens becomes text.
//!
//! Only code below this module prints, reads the environment, or knows clap.

mod argv;
mod chars;
mod connect;
mod console;
mod import;
mod inspect;
mod output_format;
mod plan_text;
mod progress;
mod prompt;
mod runs;
mod signals;
mod trust;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use rsqoop_connector::{Error, ErrorKind, Result};

use console::Console;

/// Bulk transfer between databases and files, in the manner of Apache Sqoop.
#[derive(Debug, Parser)]
#[command(
    name = "rsqoop",
    version,
    max_term_width = 100,
    after_help = "See 'rsqoop help TOOL' for the flags of a tool. Flags keep their Sqoop 1.4.7 meaning."
)]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Import a table or query into files
    Import(Box<import::ImportArgs>),
    /// Show what a tool would do, and change nothing
    Plan(PlanArgs),
    /// Go on with a run that died
    Resume(runs::ResumeArgs),
    /// List, show or remove what runs that died left behind
    Runs(runs::RunsArgs),
    /// Run one SQL text and print its result
    Eval(inspect::EvalArgs),
    /// List the databases of a server
    ListDatabases(inspect::ListDatabasesArgs),
    /// List the tables of a database
    ListTables(inspect::ListTablesArgs),
    /// Show the version
    Version,
}

#[derive(Debug, clap::Args)]
struct PlanArgs {
    #[command(subcommand)]
    tool: PlanTool,
}

#[derive(Debug, Subcommand)]
enum PlanTool {
    /// Show what an import would do
    Import(Box<import::ImportArgs>),
}

/// Parses the process's arguments and runs the tool they name.
pub fn main() -> ExitCode {
    // A defect is reported like any other error, with its own exit status and without a back trace.
    std::panic::set_hook(Box::new(console::remember_panic));
    match std::panic::catch_unwind(run) {
        Ok(status) => status,
        Err(panic) => Console::plain().fail(&crate::run::panic_error(&*panic), false),
    }
}

fn run() -> ExitCode {
    let args = argv::with_two_dashes(std::env::args_os().collect(), &long_flags());
    if let Err(error) = argv::hide_secrets(&args) {
        return Console::plain().fail(&error, false);
    }
    // rustls asks for a provider by name once, and two could be compiled in.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::try_parse_from(&args) {
        Ok(cli) => run_tool(cli.tool, &args),
        Err(error) => not_parsed(&error),
    }
}

fn not_parsed(error: &clap::Error) -> ExitCode {
    // clap prints help and version on standard output, mistakes on standard error.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// The command of a dead run once more, in the directory it was given in.
fn resume(args: &runs::ResumeArgs) -> ExitCode {
    let again = || -> Result<Vec<std::ffi::OsString>> {
        let (directory, mut command, more) = runs::command(args)?;
        std::env::set_current_dir(&directory).map_err(|error| {
            Error::new(
                ErrorKind::Config,
                format!("the run's directory cannot be entered: {}", crate::store::plain(&error)),
            )
            .context("directory", directory.display().to_string())
        })?;
        command.extend(more);
        let command = command.into_iter().map(std::ffi::OsString::from).collect();
        Ok(argv::with_two_dashes(command, &long_flags()))
    };
    let command = match again() {
        Ok(command) => command,
        Err(error) => return Console::plain().fail(&error, false),
    };
    // What was added comes last, and wins.
    let parser = Cli::command().mut_subcommand("import", |import| import.args_override_self(true));
    let parsed = parser
        .try_get_matches_from(&command)
        .and_then(|matches| <Cli as clap::FromArgMatches>::from_arg_matches(&matches));
    match parsed {
        Ok(Cli { tool: Tool::Import(args) }) => run_tool(Tool::Import(args), &command),
        Ok(_) => Console::plain().fail(
            &Error::new(ErrorKind::Usage, "the run is not an import, and cannot be resumed"),
            false,
        ),
        Err(error) => not_parsed(&error),
    }
}

fn run_tool(tool: Tool, command: &[std::ffi::OsString]) -> ExitCode {
    match tool {
        Tool::Import(mut args) if !args.dry_run => {
            args.command = command.iter().map(|a| a.to_string_lossy().into_owned()).collect();
            import::run(&args)
        }
        Tool::Resume(args) => resume(&args),
        Tool::Runs(args) => finish(runs::run(&args), false),
        Tool::Import(args) => finish(plan_text::run(&args), args.output.verbose),
        Tool::Plan(PlanArgs { tool: PlanTool::Import(args) }) => {
            finish(plan_text::run(&args), args.output.verbose)
        }
        Tool::Eval(args) => inspect::eval(&args),
        Tool::ListDatabases(args) => finish(inspect::list_databases(&args), args.output.verbose),
        Tool::ListTables(args) => finish(inspect::list_tables(&args), args.output.verbose),
        Tool::Version => finish(inspect::version(), false),
    }
}

/// The long flags of all tools.
fn long_flags() -> Vec<String> {
    fn collect(command: &clap::Command, found: &mut Vec<String>) {
        for argument in command.get_arguments() {
            found.extend(
                argument.get_long_and_visible_aliases().into_iter().flatten().map(str::to_string),
            );
        }
        command.get_subcommands().for_each(|tool| collect(tool, found));
    }
    let mut found = vec!["help".to_string()];
    collect(&Cli::command(), &mut found);
    found
}

fn finish(result: Result<()>, verbose: bool) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Console::plain().fail(&error, verbose),
    }
}

/// Writes to standard output; a reader that went away (`| head`) is no failure.
fn print(text: &str) -> Result<()> {
    try_print(text).map(drop)
}

/// Writes to standard output and says whether anybody still reads it.
fn try_print(text: &str) -> Result<bool> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::new(
            ErrorKind::Storage,
            format!("standard output cannot be written: {}", crate::store::plain(&error)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
