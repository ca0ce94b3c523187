//! The claim on a target: a locked file beside it.
//!
//! The lock belongs to the process, so a run that dies gives its claim back at once, whatever it
//! died of; no clock and no process id has to be judged.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rsqoop_connector::{Error, ErrorKind, Result};

use crate::store::write_error;

/// A held claim; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    file: File,
}

/// A claim file that its last owner unlinks may be opened by the next just before: it looks again
/// this often before it gives up.
const ATTEMPTS: usize = 100;

impl Claim {
    /// Takes the claim or says who has it. Also gives the owner that died with it, if there was one.
    ///
    /// # Errors
    /// `Conflict` when another run holds it.
    pub(crate) fn take(
        path: &Path,
        target: &Path,
        run_id: &str,
    ) -> Result<(Claim, Option<String>)> {
        for _ in 0..ATTEMPTS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(|e| write_error(e).context("file", path.display().to_string()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(path, target)),
                Err(TryLockError::Error(error)) => {
                    return Err(write_error(error).context("file", path.display().to_string()));
                }
            }
            if !is_same_file(&file, path) {
                continue;
            }
            // An owner that ends takes its file away: one that is there has died.
            let dead =
                fs::read_to_string(path).ok().and_then(|t| t.lines().next().map(str::to_string));
            let owner = format!("run {run_id}, process {}\n", std::process::id());
            // From here on whatever fails takes the file away.
            let mut claim = Claim { path: path.to_path_buf(), file };
            claim
                .file
                .set_len(0)
                .and_then(|()| claim.file.rewind())
                .and_then(|()| claim.file.write_all(owner.as_bytes()))
                .map_err(|e| write_error(e).context("file", path.display().to_string()))?;
            return Ok((claim, dead.filter(|d| !d.is_empty())));
        }
        Err(held(path, target))
    }
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

fn held(path: &Path, target: &Path) -> Error {
    let owner = fs::read_to_string(path).unwrap_or_default();
    let owner = owner.lines().next().filter(|l| !l.is_empty()).unwrap_or("another process");
    Error::new(ErrorKind::Conflict, "another run is writing to this target")
        .context("target", target.display().to_string())
        .context("held by", owner)
        .hint("wait until it is done, or choose another --target-dir")
}

/// Whether a living process holds a claim.
pub(crate) fn is_held(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// Removes the claim of a dead process.
pub(crate) fn remove_dead(path: &Path) {
    if let Ok(file) = File::open(path)
        && file.try_lock().is_ok()
        && is_same_file(&file, path)
    {
        let _ = fs::remove_file(path);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Unlinked while still locked, so that nobody can lock a file that is about to vanish
        // without noticing (see is_same_file).
        let _ = fs::remove_file(&self.path);
    }
}
