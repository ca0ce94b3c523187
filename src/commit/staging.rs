//! The hidden directory beside the target in which a run writes.
//!
//! Dropping a [`Staging`] that was not published removes all it made, unless it is to be kept for a
//! resume. A killed run's directory is taken over or removed by the next run on the same target, which
//! holds the claim and so knows that its owner is dead.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rsqoop_connector::{Error, ErrorKind, Result};
use rustix::fs::{Access, access};

use super::claim::Claim;
use super::leftover::Leftover;
use super::state;
use crate::job::Existing;
use crate::store::{local, plain, write_error};

/// Where a run writes before it publishes.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) dir: PathBuf,
    /// What dead runs left, as long as nobody has decided on it.
    pub(crate) leftovers: Vec<Leftover>,
    /// Whether the directory stays when this run fails.
    pub(crate) keep: bool,
    /// What the user should know of the claim.
    pub(crate) notes: Vec<String>,
    pub(crate) target: PathBuf,
    /// Permissions the published directory gets: those an ordinary new directory has.
    pub(crate) mode: u32,
    pub(crate) created_parents: Vec<PathBuf>,
    pub(crate) published: bool,
    prefix: String,
    _claim: Claim,
}

/// Checks a target before anything is contacted: it must be absent or allowed to exist, and
/// its place writable. Creates nothing.
///
/// # Errors
/// `Usage` with the flag that helps.
pub(crate) fn check_target(target: &Path, existing: Existing) -> Result<()> {
    let shown = target.display().to_string();
    if target.file_name().is_none() {
        return Err(Error::new(ErrorKind::Usage, "the target must be a directory with a name")
            .context("target", shown)
            .hint("name a new directory with --target-dir"));
    }
    match fs::symlink_metadata(target) {
        Ok(_) if existing == Existing::Refuse => {
            return Err(Error::new(ErrorKind::Usage, "the target directory already exists")
                .context("target", shown)
                .hint(
                    "add to it with --append, replace it with --delete-target-dir, or name another",
                ));
        }
        Ok(_) => match fs::metadata(target) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(Error::new(ErrorKind::Usage, "the target is a file, not a directory")
                    .context("target", shown)
                    .hint("name another directory with --target-dir"));
            }
            Err(error) => {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("the target cannot be looked at: {}", plain(&error)),
                )
                .context("target", shown)
                .hint("name another directory with --target-dir"));
            }
        },
        Err(_) => {}
    }
    check_parent(target)
}

/// Removes the claim of a run that died after it had published, where no later run will take it over.
pub(crate) fn forget_dead_claim(target: &Path) {
    let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_path_buf());
    super::claim::remove_dead(&parent_of(&target).join(claim_name(&target)));
}

/// The nearest existing ancestor must be a directory in which entries can be made.
fn check_parent(target: &Path) -> Result<()> {
    let mut dir = parent_of(target);
    while fs::symlink_metadata(&dir).is_err() {
        match dir.parent() {
            Some(up) if !up.as_os_str().is_empty() => dir = up.to_path_buf(),
            _ => dir = PathBuf::from("."),
        }
    }
    let unusable = |why: String| {
        Err(Error::new(ErrorKind::Usage, format!("the target cannot be made there: {why}"))
            .context("target", target.display().to_string())
            .context("directory", dir.display().to_string())
            .hint("name a --target-dir where you may write"))
    };
    match fs::metadata(&dir) {
        Ok(found) if !found.is_dir() => return unusable("a file is in the way".to_string()),
        Err(error) => return unusable(plain(&error)),
        Ok(_) => {}
    }
    match access(&dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(error) => unusable(plain(&error.into())),
    }
}

/// The directory that holds the target.
fn parent_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Beginning of all hidden names.
pub(crate) const HIDDEN: &str = ".rsqoop-";

/// Beginning of the hidden names beside a target. The hash keeps apart names that agree in
/// their first bytes, since a file name may have 255.
fn hidden_prefix(target: &Path) -> String {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    // FNV-1a: the same in every build, so that two versions of rsqoop see each other's claims.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    let short: String = name.chars().take(40).collect();
    format!("{HIDDEN}{short}-{hash:08x}")
}

fn claim_name(target: &Path) -> String {
    format!("{}.claim", hidden_prefix(target))
}

impl Staging {
    /// Claims the target and looks for what dead runs left beside it. Makes no directory yet.
    ///
    /// # Errors
    /// As [`check_target`], and `Conflict` when another run holds the target.
    pub(crate) fn claim(target: &Path, existing: Existing, run_id: &str) -> Result<Staging> {
        check_target(target, existing)?;
        // A target that is a symbolic link stays one: what it points to is replaced. What is not
        // there yet only loses a "/." at its end, which rename(2) would not take.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.components().collect());
        let parent = parent_of(&target);
        let created_parents = local::create_parents(&target)?;
        let prefix = hidden_prefix(&target);
        let (claim, dead) = Claim::take(&parent.join(claim_name(&target)), &target, run_id)?;
        // Looked at again under the claim: another run may just have published here.
        check_target(&target, existing)?;
        put_back(&parent, &prefix, &target);
        let mut notes = Vec::new();
        if let Some(owner) = dead {
            notes.push(format!("the target was held by {owner}, which is dead: taken over"));
        }
        Ok(Staging {
            dir: parent.join(format!("{prefix}-{run_id}")),
            leftovers: leftovers(&parent, &prefix),
            keep: false,
            notes,
            target,
            mode: 0o755,
            created_parents,
            published: false,
            prefix,
            _claim: claim,
        })
    }

    /// Makes an empty staging directory, and removes what dead runs left.
    ///
    /// # Errors
    /// `Storage` when the directory cannot be made.
    pub(crate) fn create(&mut self) -> Result<()> {
        self.clear_dead();
        let made = || -> std::io::Result<u32> {
            fs::create_dir(&self.dir)?;
            let mode = fs::metadata(&self.dir)?.permissions().mode();
            fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))?;
            Ok(mode)
        };
        self.mode = made()
            .map_err(|e| write_error(e).context("directory", self.dir.display().to_string()))?;
        Ok(())
    }

    /// Whether anything in the directory is safe.
    pub(crate) fn has_receipts(&self) -> bool {
        !state::receipts(&self.dir).is_empty()
    }

    /// Takes over the directory of a dead run, with the parts that are safe brought to what their
    /// receipts say, and everything else removed. Gives the sizes of these parts.
    ///
    /// # Errors
    /// `Storage` when the disk refuses.
    pub(crate) fn adopt(&mut self, dead: &Leftover) -> Result<Vec<u64>> {
        self.dir = dead.dir().to_path_buf();
        self.keep = true;
        self.clear_dead();
        self.mode = new_directory_mode(&self.dir)?;
        let failed =
            |e: std::io::Error| write_error(e).context("directory", self.dir.display().to_string());
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let safe = dead.receipts.iter().any(|r| name == *r.part);
            if name != state::STATE_DIR && !safe {
                let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
            }
        }
        dead.receipts.iter().map(|receipt| state::restore(&self.dir, receipt)).collect()
    }

    /// Removes directories of dead runs on the same target, but for this run's own; what cannot be
    /// removed stays.
    fn clear_dead(&mut self) {
        for entry in hidden(&parent_of(&self.target), &self.prefix) {
            if entry != self.dir {
                let _ = fs::remove_dir_all(entry);
            }
        }
        self.leftovers.clear();
    }
}

/// The mode that an ordinary new directory has, which staging has not.
fn new_directory_mode(staging: &Path) -> Result<u32> {
    let probe = staging.join(state::STATE_DIR).join("mode");
    let made = || -> std::io::Result<u32> {
        fs::create_dir(&probe)?;
        let mode = fs::metadata(&probe)?.permissions().mode();
        fs::remove_dir(&probe)?;
        Ok(mode)
    };
    made().map_err(|e| write_error(e).context("directory", probe.display().to_string()))
}

/// Paths beside a target that runs on it made, but for the claim.
fn hidden(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let start = format!("{prefix}-");
    let mine = |e: &fs::DirEntry| e.file_name().to_string_lossy().starts_with(&start);
    entries.flatten().filter(mine).map(|e| e.path()).collect()
}

fn leftovers(parent: &Path, prefix: &str) -> Vec<Leftover> {
    hidden(parent, prefix).into_iter().map(Leftover::of).collect()
}

/// A target that a dead run had moved aside (see `swap_by_renames`) is put back.
fn put_back(parent: &Path, prefix: &str, target: &Path) {
    for entry in hidden(parent, prefix) {
        if entry.to_string_lossy().ends_with(ASIDE) {
            let _ = local::rename_create_only(&entry, target);
        }
    }
}

/// Ending of the name under which an old target waits where directories cannot be swapped.
pub(crate) const ASIDE: &str = ".old";

impl Drop for Staging {
    fn drop(&mut self) {
        if self.published || self.keep {
            return;
        }
        let _ = fs::remove_dir_all(&self.dir);
        for parent in self.created_parents.iter().rev() {
            // Only empty ones go. The claim file inside the innermost one goes first.
            if parent == &parent_of(&self.target) {
                let _ = fs::remove_file(parent.join(claim_name(&self.target)));
            }
            let _ = fs::remove_dir(parent);
        }
    }
}
