//! Imports a table of the sample shop into Parquet and watches the run.
//!
//! `cargo run --release --example import_table -- DIRECTORY`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use rsqoop::{Engine, Event, Format, JobSpec, ParquetCodec, Relation, RunControl, TableName};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).ok_or("name a directory that does not exist yet")?;
    let mut job = JobSpec::import(
        "sqlite:examples/shop.db",
        Relation::Table(TableName::new("orders")),
        target,
    )?;
    job.format = Format::Parquet(ParquetCodec::Zstd);
    job.split.workers = 2;

    let control = RunControl::new(|event| match event {
        Event::Warning(text) => eprintln!("warning: {text}"),
        Event::Note(text) => eprintln!("note: {text}"),
        Event::Detail(_) => {}
    });
    let (report, result) = Engine::new().run_watched(&job, &control);
    result?;
    let progress = control.progress();
    println!("{} rows read in {:.3} seconds", progress.rows, progress.seconds);
    for file in &report.files {
        println!("{}: {} rows, {} bytes", file.name, file.rows, file.bytes);
    }
    Ok(())
}
