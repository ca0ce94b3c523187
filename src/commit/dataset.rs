//! What is in a target directory already, and what a run adds: part numbers and the manifest.

use std::io;
use std::path::Path;

use rsqoop_connector::{Error, ErrorKind, Result};

use super::manifest::{Manifest, ManifestColumn, ManifestFile, ManifestRun};
use super::staging::Staging;
use super::state;
use super::{MANIFEST_NAME, SUCCESS_NAME};
use crate::job::{Existing, JobSpec};
use crate::plan::{self, PlanColumn};
use crate::report::Report;
use crate::run::part::PartReceipt;
use crate::store::{local, write_error};

/// The manifest that `--append` adds to; Sqoop's own directories have none.
///
/// # Errors
/// `Storage` when there is one that cannot be used, `Usage` when it is about files of another format.
pub(crate) fn earlier_manifest(job: &JobSpec, target: &Path) -> Result<Option<Manifest>> {
    if job.existing != Existing::Append {
        return Ok(None);
    }
    let path = target.join(MANIFEST_NAME);
    let in_file = |error: Error| error.context("file", path.display().to_string());
    let manifest = match std::fs::read_to_string(&path) {
        Ok(text) => Manifest::parse(&text).map_err(in_file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(in_file(write_error(error))),
    };
    let family = job.format.family();
    if let Some(run) = manifest.runs.iter().find(|run| run.format != family) {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("--append would add {family} files to a directory of {} files", run.format),
        )
        .context("target", target.display().to_string())
        .hint("import into another directory, or in the same format"));
    }
    Ok(Some(manifest))
}

/// What differs between the columns of the last run in a target and this one's; `None` when
/// nothing does.
pub(crate) fn changed_columns(earlier: &Manifest, columns: &[PlanColumn]) -> Option<String> {
    let last = &earlier.runs.last()?.columns;
    let added = columns.iter().filter(|c| !last.iter().any(|l| l.name == c.name));
    let gone = last.iter().filter(|l| !columns.iter().any(|c| c.name == l.name));
    let changed = columns.iter().filter_map(|c| {
        let before = last.iter().find(|l| l.name == c.name)?;
        (before.file_type != c.file_type)
            .then(|| format!("{} was {} and is {}", c.name, before.file_type, c.file_type))
    });
    let differences: Vec<String> = added
        .map(|c| format!("{} is new", c.name))
        .chain(gone.map(|l| format!("{} is gone", l.name)))
        .chain(changed)
        .collect();
    if !differences.is_empty() {
        return Some(differences.join(", "));
    }
    let moved = columns.iter().zip(last).any(|(c, l)| c.name != l.name);
    moved.then(|| "their order is another".to_string())
}

/// The first free part number: Sqoop's `--append` goes on counting.
pub(crate) fn next_part_number(job: &JobSpec) -> Result<usize> {
    if job.existing != Existing::Append {
        return Ok(0);
    }
    let in_target =
        |e: io::Error| write_error(e).context("target", job.target.display().to_string());
    let entries = match std::fs::read_dir(&job.target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(in_target(error)),
    };
    let mut next = 0;
    for entry in entries {
        let name = entry.map_err(in_target)?.file_name();
        next = next.max(part_number(&name.to_string_lossy()).map_or(0, |n| n + 1));
    }
    Ok(next)
}

/// `part-m-00012.gz` → 12, also for reducers' `part-r-`.
pub(crate) fn part_number(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("part-")?;
    let digits: String = rest
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// Gives the parts in staging consecutive numbers from `first` on, in their order: a part that was lost
/// with its worker's connection leaves a gap.
///
/// # Errors
/// `Storage` when a file cannot be renamed.
pub(crate) fn number_parts(
    job: &JobSpec,
    staging: &Path,
    first: usize,
    parts: &mut [PartReceipt],
) -> Result<()> {
    parts.sort_by_key(|p| part_number(&p.name));
    for (part, name) in parts.iter_mut().zip(part_names(job, first, usize::MAX - first)) {
        if part.name != name {
            local::rename_create_only(&staging.join(&part.name), &staging.join(&name))
                .map_err(|e| write_error(e).context("file", name.clone()))?;
            part.name = name;
        }
    }
    Ok(())
}

/// The part files' names, from a number on.
pub(crate) fn part_names(
    job: &JobSpec,
    first: usize,
    count: usize,
) -> impl Iterator<Item = String> {
    (first..first + count).map(|n| plan::part_name(n, &job.format))
}

/// Completes staging: the manifest, then the marker.
pub(crate) fn seal(
    job: &JobSpec,
    staging: &Staging,
    report: &Report,
    columns: Vec<PlanColumn>,
) -> Result<()> {
    let run = ManifestRun {
        run_id: report.run_id.clone(),
        rsqoop: report.rsqoop.clone(),
        started: report.started.clone(),
        source: report.source.clone(),
        relation: report.relation.clone(),
        snapshot: report.snapshot.as_ref().map(|s| s.id.to_string()),
        format: job.format.family().to_string(),
        columns: columns
            .into_iter()
            .map(|c| ManifestColumn {
                name: c.name,
                native_type: c.native_type,
                file_type: c.file_type,
            })
            .collect(),
    };
    let files = report
        .files
        .iter()
        .map(|f| ManifestFile {
            name: f.name.clone(),
            rows: f.rows,
            bytes: f.bytes,
            run_id: report.run_id.clone(),
        })
        .collect();
    let mut manifest = Manifest::new(run, files);
    if let Some(earlier) = earlier_manifest(job, &staging.target)? {
        manifest = manifest.after(earlier);
    }
    state::remove(&staging.dir)?;
    local::write_durably(&staging.dir.join(MANIFEST_NAME), manifest.to_json().as_bytes())?;
    local::write_durably(&staging.dir.join(SUCCESS_NAME), b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_numbers_are_found_in_every_spelling() {
        for (name, number) in [
            ("part-m-00000", Some(0)),
            ("part-m-00012.gz", Some(12)),
            ("part-r-00003.parquet", Some(3)),
            ("part-00007", Some(7)),
            ("_SUCCESS", None),
            ("part-m-", None),
        ] {
            assert_eq!(part_number(name), number, "{name}");
        }
    }

    #[test]
    fn changed_columns_are_named() {
        let earlier = |columns: &[(&str, &str)]| {
            let columns = columns
                .iter()
                .map(|(name, file_type)| ManifestColumn {
                    name: (*name).to_string(),
                    native_type: String::new(),
                    file_type: (*file_type).to_string(),
                })
                .collect();
            let run = ManifestRun {
                run_id: String::new(),
                rsqoop: String::new(),
                started: String::new(),
                source: String::new(),
                relation: String::new(),
                snapshot: None,
                format: "text".to_string(),
                columns,
            };
            Manifest::new(run, Vec::new())
        };
        let now = |columns: &[(&str, &str)]| -> Vec<PlanColumn> {
            let column = |(name, file_type): &(&str, &str)| PlanColumn {
                name: (*name).to_string(),
                native_type: String::new(),
                file_type: (*file_type).to_string(),
                nullable: true,
            };
            columns.iter().map(column).collect()
        };
        let before = earlier(&[("a", "INT64"), ("b", "STRING")]);
        assert_eq!(changed_columns(&before, &now(&[("a", "INT64"), ("b", "STRING")])), None);
        assert_eq!(
            changed_columns(&before, &now(&[("a", "INT32"), ("c", "STRING")])).unwrap(),
            "c is new, b is gone, a was INT64 and is INT32"
        );
        assert_eq!(
            changed_columns(&before, &now(&[("b", "STRING"), ("a", "INT64")])).unwrap(),
            "their order is another"
        );
    }
}
