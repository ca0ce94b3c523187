//! `rsqoop plan import` and `--dry-run`: a plan for people, or as JSON.

use rsqoop_connector::Result;

use super::console::Console;
use super::import::ImportArgs;
use super::print;
use super::progress::{grouped, size};
use crate::{Engine, Plan, RunControl};

/// Splits listed before the rest is summed up; `--json` has them all.
const SPLITS_LISTED: usize = 40;

/// Makes and prints a plan; changes nothing.
pub(super) fn run(args: &ImportArgs) -> Result<()> {
    let console = std::sync::Arc::new(Console::new(&args.output));
    let job = args.job(&console)?;
    let listener = console.clone();
    let control = RunControl::new(move |event| listener.event(&event));
    let plan = Engine::new().plan(&job, &control).map_err(|error| args.explain(error))?;
    if args.json {
        let mut text = serde_json::to_string_pretty(&plan).expect("plain data always serialises");
        text.push('\n');
        return print(&text);
    }
    print(&text(&plan))
}

fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |label: &str, value: &str| {
        let value = value.replace('\n', " ");
        out.push_str(&format!("{label:<10} {value}\n"));
    };
    line("source", &format!("{}, {}", plan.server, plan.source));
    let kind = format!("{:?}", plan.relation_kind).to_lowercase();
    line("read", &format!("{} ({kind}), {}", plan.relation, estimate(plan)));
    line("target", &format!("{}, {}", plan.target, plan.format));
    line("files", &files(plan));
    line("snapshot", &plan.snapshot);
    match &plan.split_by {
        Some(key) => line("split by", &format!("{key}: {}", plan.split_reason)),
        None => line("split by", &format!("nothing: {}", plan.split_reason)),
    }
    let (workers, splits) = (plan.workers, plan.splits.len());
    line("workers", &shares(workers, splits, plan.pieces));
    for note in &plan.notes {
        line("note", note);
    }
    out.push('\n');
    out.push_str(&columns(plan));
    out.push('\n');
    for (index, split) in plan.splits.iter().take(SPLITS_LISTED).enumerate() {
        out.push_str(&format!("split {index} ({}): {}\n", split.kind, split.sql));
    }
    if splits > SPLITS_LISTED {
        out.push_str(&format!("… and {} more (--json lists them)\n", splits - SPLITS_LISTED));
    }
    out
}

/// How the rows are shared out.
fn shares(workers: usize, splits: usize, pieces: usize) -> String {
    if pieces == splits {
        return format!("{workers}, taking {splits} {}", plural(splits, "split"));
    }
    format!(
        "{workers}, beginning with {splits} {} of {pieces} pieces; who runs dry takes half of the most that is left",
        plural(splits, "split")
    )
}

fn estimate(plan: &Plan) -> String {
    let rows = match plan.estimated_rows {
        Some(rows) => format!("about {} rows", grouped(rows)),
        None => "rows unknown".to_string(),
    };
    match plan.estimated_bytes {
        Some(bytes) => format!("{rows}, about {} on the server", size(bytes)),
        None => rows,
    }
}

fn files(plan: &Plan) -> String {
    match plan.files.as_slice() {
        [only] => only.clone(),
        [first, .., last] => format!("{first} to {last}"),
        [] => "none".to_string(),
    }
}

fn columns(plan: &Plan) -> String {
    let header = ["column", "source type", "file type", "null"];
    let rows: Vec<[&str; 4]> = plan
        .columns
        .iter()
        .map(|c| {
            let null = if c.nullable { "yes" } else { "no" };
            [c.name.as_str(), c.native_type.as_str(), c.file_type.as_str(), null]
        })
        .collect();
    let width =
        |i: usize| rows.iter().chain([&header]).map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for row in [&header].into_iter().chain(&rows) {
        let [a, b, c] = widths;
        out.push_str(
            format!("{:<a$}  {:<b$}  {:<c$}  {}", row[0], row[1], row[2], row[3]).trim_end(),
        );
        out.push('\n');
    }
    out
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_string() } else { format!("{word}s") }
}
