//! What runs left beside their targets: found, described, removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::claim;
use super::staging::HIDDEN;
use super::state::{self, Receipt, RunRecord};

/// How deep below a directory left-overs are looked for.
const DEPTH: usize = 8;

/// The staging directory of a run that has not published, dead or alive.
#[derive(Debug, Clone)]
pub struct Leftover {
    dir: PathBuf,
    record: Option<RunRecord>,
    pub(crate) receipts: Vec<Receipt>,
}

impl Leftover {
    /// What a staging directory holds.
    pub(crate) fn of(dir: PathBuf) -> Self {
        Leftover { record: RunRecord::read(&dir), receipts: state::receipts(&dir), dir }
    }

    /// The staging directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the run was doing, if it came so far.
    pub fn record(&self) -> Option<&RunRecord> {
        self.record.as_ref()
    }

    /// The run's id.
    pub fn run_id(&self) -> &str {
        let name = self.dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let id = name.rsplit('-').next().unwrap_or(name);
        self.record.as_ref().map_or(id, |r| r.run_id.as_str())
    }

    /// Rows that are safe.
    pub fn rows(&self) -> u64 {
        self.receipts.iter().map(|r| r.rows).sum()
    }

    /// The files with these rows: name, rows, bytes.
    pub fn files(&self) -> Vec<(String, u64, u64)> {
        self.receipts.iter().map(|r| (r.part.clone(), r.rows, r.bytes)).collect()
    }

    fn claim(&self) -> PathBuf {
        let name = self.dir.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let prefix = name.rsplit_once('-').map_or(name.as_str(), |(prefix, _)| prefix);
        self.dir.with_file_name(format!("{prefix}.claim"))
    }

    /// Whether a process holds the target, and so may be writing here.
    pub fn is_alive(&self) -> bool {
        claim::is_held(&self.claim())
    }
}

/// The left-overs in a directory and below. What cannot be read is passed over.
pub fn leftovers_below(dir: &Path) -> Vec<Leftover> {
    let mut found = Vec::new();
    collect(dir, DEPTH, &mut found);
    found.sort_by(|a, b| a.dir.cmp(&b.dir));
    found
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<Leftover>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        // Symbolic links are not followed.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(HIDDEN) {
            found.push(Leftover::of(entry.path()));
        } else if depth > 0 && !name.starts_with('.') {
            collect(&entry.path(), depth - 1, found);
        }
    }
}

/// Removes the directory of a dead run, and the claim that died with it.
///
/// # Errors
/// The system's, when the directory cannot be removed.
pub fn remove_leftover(run: &Leftover) -> io::Result<()> {
    fs::remove_dir_all(&run.dir)?;
    claim::remove_dead(&run.claim());
    Ok(())
}
