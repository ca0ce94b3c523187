//! `rsqoop import`: flags become a job, and a run is watched to its end.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgGroup, Args};
use rsqoop_connector::{Error, ErrorKind, Relation, Result, TableName};

use super::connect::ConnectArgs;
use super::console::{Console, OutputArgs};
use super::output_format::FormatArgs;
use super::progress::{self, ProgressMode};
use super::signals::Signals;
use super::trust::{BoundArgs, TrustArgs};
use crate::job::{DEFAULT_WORKERS, Existing, JobSpec, SplitSpec, TypeName, usage};
use crate::plan::types;
use crate::store::plain;
use crate::{Engine, Report, RunControl};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("relation").required(true).args(["table", "query"]))]
pub(super) struct ImportArgs {
    #[command(flatten)]
    pub(super) connect: ConnectArgs,

    /// Table or view to import, with or without its schema
    #[arg(long, value_name = "[SCHEMA.]TABLE", help_heading = "What to read")]
    table: Option<String>,
    /// Query to import; must hold $CONDITIONS
    #[arg(
        short = 'e',
        long,
        value_name = "SQL",
        allow_hyphen_values = true,
        help_heading = "What to read"
    )]
    query: Option<String>,
    /// Columns to import, in this order
    #[arg(long, value_name = "A,B", help_heading = "What to read")]
    columns: Option<String>,
    /// SQL condition on the rows of the table
    #[arg(
        long = "where",
        value_name = "COND",
        allow_hyphen_values = true,
        help_heading = "What to read"
    )]
    filter: Option<String>,

    /// Column by which the rows are split [default: the primary key's first column]
    #[arg(long, value_name = "COL", help_heading = "Parallelism")]
    split_by: Option<String>,
    /// Sessions that read at the same time, and part files [default: 4]
    #[arg(
        short = 'm',
        long,
        visible_alias = "m",
        value_name = "N",
        allow_hyphen_values = true,
        help_heading = "Parallelism"
    )]
    num_mappers: Option<i64>,
    /// Query that gives the split column's minimum and maximum
    #[arg(long, value_name = "SQL", allow_hyphen_values = true, help_heading = "Parallelism")]
    boundary_query: Option<String>,
    /// Rows per round trip to the database, where its protocol has that
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Parallelism")]
    fetch_size: Option<i64>,
    /// Widest split: key units for numbers, seconds for dates and times
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Parallelism")]
    split_limit: Option<i64>,
    /// Read with one worker if the table has no primary key
    #[arg(long, help_heading = "Parallelism")]
    autoreset_to_one_mapper: bool,

    /// Directory to make
    #[arg(long, value_name = "DIR", conflicts_with = "warehouse_dir", help_heading = "Target")]
    target_dir: Option<PathBuf>,
    /// Directory in which a directory named after the table is made
    #[arg(long, value_name = "DIR", help_heading = "Target")]
    warehouse_dir: Option<PathBuf>,
    /// Add files to an existing target
    #[arg(long, conflicts_with = "delete_target_dir", help_heading = "Target")]
    append: bool,
    /// Replace an existing target once the new files are complete
    #[arg(long, help_heading = "Target")]
    delete_target_dir: bool,

    #[command(flatten)]
    format: FormatArgs,
    /// Give columns another type: string, int, long, float, double, boolean, decimal(p,s), date,
    /// time, timestamp, bytes
    #[arg(long, value_name = "COL=TYPE,…", help_heading = "Output format")]
    map_column: Vec<String>,
    /// The same in Sqoop's spelling: COL=String, COL=java.math.BigDecimal …
    #[arg(long, value_name = "COL=TYPE,…", help_heading = "Output format")]
    map_column_java: Vec<String>,

    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    bounds: BoundArgs,
    /// Show what would be done, and change nothing
    #[arg(long, help_heading = "Running")]
    pub(super) dry_run: bool,
    /// With --dry-run or plan: print JSON
    #[arg(long, help_heading = "Running")]
    pub(super) json: bool,
    /// Write a JSON report of the run, also of one that fails
    #[arg(long, value_name = "FILE", help_heading = "Running")]
    report: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto, help_heading = "Messages")]
    progress: ProgressMode,
    /// The command line, without secrets.
    #[arg(skip)]
    pub(super) command: Vec<String>,
}

impl ImportArgs {
    /// The job the flags describe.
    ///
    /// # Errors
    /// `Usage` or `Config` naming the flag.
    pub(super) fn job(&self, console: &Console) -> Result<JobSpec> {
        let relation = match (&self.table, &self.query) {
            (Some(table), _) => Relation::Table(table_name(table)?),
            (None, Some(query)) => Relation::Query(query.clone()),
            (None, None) => return Err(usage("neither --table nor --query is given")),
        };
        let split = self.split(console)?;
        let job = JobSpec {
            target: self.target(&relation)?,
            relation,
            columns: self.column_list()?,
            filter: self.filter.clone(),
            // Sqoop's drivers take a number below 1 for "as you like", MySQL's for streaming.
            fetch_size: self
                .fetch_size
                .filter(|rows| *rows > 0)
                .map(|rows| u32::try_from(rows).unwrap_or(u32::MAX)),
            overrides: self.overrides()?,
            existing: match (self.append, self.delete_target_dir) {
                (true, _) => Existing::Append,
                (_, true) => Existing::Replace,
                _ => Existing::Refuse,
            },
            format: self.format.format(console)?,
            verify: self.trust.verify()?,
            require_verified: self.trust.require_verified(),
            consistency: self.trust.consistency.into(),
            resume: self.trust.resume.into(),
            max_rows_per_second: self.bounds.max_rows_per_second,
            max_bytes_per_second: self.bounds.max_bytes_per_second,
            command: self.command.clone(),
            limits: self.bounds.limits(split.workers)?,
            split,
            source: self.bounds.timed(self.connect.target(console)?),
        };
        job.validate()?;
        Ok(job)
    }

    /// Names the flags whose SQL the database may have stumbled over.
    pub(super) fn explain(&self, error: Error) -> Error {
        let refused = match error.kind() {
            ErrorKind::Usage => true,
            ErrorKind::Source => !error.is_transient(),
            _ => false,
        };
        let given = [
            ("--query", self.query.is_some()),
            ("--where", self.filter.is_some()),
            ("--boundary-query", self.boundary_query.is_some()),
        ];
        let flags: Vec<&str> = given.into_iter().filter(|(_, is)| *is).map(|(f, _)| f).collect();
        if !refused || flags.is_empty() || error.hint_text().is_some() {
            return error;
        }
        error.hint(format!("look at {}", flags.join(" and ")))
    }

    fn target(&self, relation: &Relation) -> Result<PathBuf> {
        if let Some(dir) = &self.target_dir {
            return Ok(dir.clone());
        }
        match relation {
            Relation::Table(table) => {
                let base = self.warehouse_dir.as_deref().unwrap_or(Path::new("."));
                Ok(base.join(dir_name(&table.name)))
            }
            Relation::Query(_) => Err(usage("--query needs --target-dir")
                .hint("a query has no name to call a directory by")),
        }
    }

    fn column_list(&self) -> Result<Vec<String>> {
        let Some(list) = &self.columns else { return Ok(Vec::new()) };
        let names: Vec<String> =
            list.split(',').map(|c| c.trim().to_string()).filter(|c| !c.is_empty()).collect();
        if names.is_empty() {
            return Err(usage("--columns names no column")
                .hint("list names separated by commas, or leave the flag out for all columns"));
        }
        Ok(names)
    }

    fn split(&self, console: &Console) -> Result<SplitSpec> {
        let workers = match self.num_mappers {
            None => DEFAULT_WORKERS,
            // Sqoop 1.4.7 warns and goes on with its default.
            Some(n) if n < 1 => {
                console.warn(&format!("-m {n} is less than 1; using {DEFAULT_WORKERS}"));
                DEFAULT_WORKERS
            }
            Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
        };
        Ok(SplitSpec {
            workers,
            by: self.split_by.clone(),
            boundary_query: self.boundary_query.clone(),
            limit: self.split_limit.map_or(0, |l| u64::try_from(l).unwrap_or(0)),
            autoreset: self.autoreset_to_one_mapper,
        })
    }

    fn overrides(&self) -> Result<Vec<(String, TypeName)>> {
        let mut all: Vec<(String, TypeName)> = Vec::new();
        let flags =
            [("--map-column", &self.map_column), ("--map-column-java", &self.map_column_java)];
        for (flag, values) in flags {
            for text in values {
                for (name, wanted) in types::parse_map(flag, text)? {
                    if all.iter().any(|(n, _)| *n == name) {
                        return Err(usage(format!("{flag} names the column {name:?} again"))
                            .hint("give each column one type"));
                    }
                    all.push((name, wanted));
                }
            }
        }
        Ok(all)
    }
}

/// `schema.table` or `table`.
fn table_name(text: &str) -> Result<TableName> {
    let text = text.trim();
    match text.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() => {
            Ok(TableName { schema: Some(schema.to_string()), name: name.to_string() })
        }
        _ if text.is_empty() => Err(usage("--table is empty")),
        _ => Ok(TableName::new(text)),
    }
}

/// A table's name as one directory name, reversible: what could leave the directory or hide in it
/// is percent-encoded.
fn dir_name(table: &str) -> String {
    let mut name = String::with_capacity(table.len());
    for (index, c) in table.chars().enumerate() {
        match c {
            '/' | '\0' | '%' => name.push_str(&format!("%{:02X}", u32::from(c))),
            '.' | '-' if index == 0 => name.push_str(&format!("%{:02X}", u32::from(c))),
            _ => name.push(c),
        }
    }
    name
}

const STOPPING: &str = "stopping; the target stays as it was; once more ends at once";

/// Runs an import and gives the exit status.
pub(super) fn run(args: &ImportArgs) -> ExitCode {
    let console = Arc::new(Console::new(&args.output));
    let job = match args.job(&console) {
        Ok(job) => job,
        Err(error) => return console.fail(&error, false),
    };
    if let Some(path) = &args.report
        && let Err(error) = can_report(path, &job.target)
    {
        return console.fail(&error, false);
    }
    if args.json {
        console.warn("--json has an effect only with --dry-run or in a plan");
    }
    let listener = console.clone();
    let control = RunControl::new(move |event| listener.event(&event));
    let signals =
        match Signals::watch(control.clone(), console.clone(), job.limits.shutdown, STOPPING) {
            Ok(signals) => signals,
            Err(error) => return console.fail(&error, false),
        };
    let mode = if args.output.quiet { ProgressMode::None } else { args.progress };
    let display = progress::show(mode, control.clone(), console.clone());
    let (report, result) = Engine::new().run_watched(&job, &control);
    display.finish();
    let written = args.report.as_deref().map_or(Ok(()), |path| write_report(path, &report));
    let result = match (result, written) {
        (Ok(()), written) => written,
        (Err(error), written) => {
            if let Err(unwritten) = written {
                console.warn(unwritten.message());
            }
            Err(error)
        }
    };
    match result {
        Ok(()) => {
            console.info(&summary(&report));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let kind = error.kind();
            let mut status = console.fail(&args.explain(error), false);
            if report.kept.is_some() {
                console.info(&format!(
                    "note: what is safe was kept; go on with the same command, or with: rsqoop resume {}",
                    report.run_id
                ));
                if crate::exit_status(kind) == 1 {
                    status = ExitCode::from(crate::EXIT_STATE_KEPT);
                }
            }
            signals.exit_status().unwrap_or(status)
        }
    }
}

/// Finds out before the run that its report could not be written after it. A report inside the
/// target has no place yet.
fn can_report(path: &Path, target: &Path) -> Result<()> {
    if path.starts_with(target) && !path.exists() {
        return Ok(());
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| unwritable(path, ErrorKind::Usage, error))
}

fn write_report(path: &Path, report: &Report) -> Result<()> {
    std::fs::write(path, report.to_json())
        .map_err(|error| unwritable(path, ErrorKind::Storage, error))
}

fn unwritable(path: &Path, kind: ErrorKind, error: std::io::Error) -> Error {
    Error::new(kind, format!("the report cannot be written: {}", plain(&error)))
        .context("file", path.display().to_string())
        .hint("name a --report file where you may write")
        .source(error)
}

/// The last lines of a run. Scripts look for Sqoop's «Transferred …» and «Retrieved N records.».
fn summary(report: &Report) -> String {
    let files = report.files.len();
    let seconds = report.seconds.max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let (rows_per_s, bytes_per_s) = (report.rows as f64 / seconds, report.bytes as f64 / seconds);
    format!(
        "{} rows in {files} {} at {}: {} in {:.2} seconds, {} rows/s\n\
         Transferred {} in {:.4} seconds ({}/sec)\n\
         Retrieved {} records.",
        progress::grouped(report.rows),
        if files == 1 { "file" } else { "files" },
        report.target,
        progress::size(report.bytes),
        report.seconds,
        progress::rate(rows_per_s),
        progress::size(report.bytes),
        report.seconds,
        progress::size_f(bytes_per_s),
        report.rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_cannot_leave_its_directory() {
        assert_eq!(dir_name("orders"), "orders");
        assert_eq!(dir_name("../../etc"), "%2E.%2F..%2Fetc");
        assert_eq!(dir_name("-rf"), "%2Drf");
        assert_eq!(dir_name(".."), "%2E.");
        assert_eq!(dir_name("a%2Fb"), "a%252Fb");
    }

    #[test]
    fn a_dot_separates_schema_and_table() {
        let name = table_name("sales.orders").unwrap();
        assert_eq!((name.schema.as_deref(), name.name.as_str()), (Some("sales"), "orders"));
        assert_eq!(table_name(".x").unwrap().schema, None);
        assert!(table_name(" ").is_err());
    }
}
