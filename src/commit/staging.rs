//! The hidden directory beside the target in which a run writes.
//!
//! Dropping a [`Staging`] that was not published removes all it made; a killed run's directory is
//! removed by the next run on the same target, which holds the claim and so knows it is dead.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rsqoop_connector::{Error, ErrorKind, Result};
use rustix::fs::{Access, access};

use super::claim::Claim;
use crate::job::Existing;
use crate::store::{local, plain, write_error};

/// Where a run writes before it publishes.
#[derive(Debug)]
pub(crate) struct Staging {
    pub(crate) dir: PathBuf,
    pub(crate) target: PathBuf,
    /// Permissions the published directory gets: those an ordinary new directory has.
    pub(crate) mode: u32,
    pub(crate) created_parents: Vec<PathBuf>,
    pub(crate) published: bool,
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

/// Beginning of the hidden names beside a target. The hash keeps apart names that agree in
/// their first bytes, since a file name may have 255.
fn hidden_prefix(target: &Path) -> String {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    // FNV-1a: the same in every build, so that two versions of rsqoop see each other's claims.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    let short: String = name.chars().take(40).collect();
    format!(".rsqoop-{short}-{hash:08x}")
}

impl Staging {
    /// Claims the target and makes an empty staging directory beside it.
    ///
    /// # Errors
    /// As [`check_target`], `Conflict` when another run holds the target, `Storage` when the
    /// directory cannot be made.
    pub(crate) fn open(target: &Path, existing: Existing, run_id: &str) -> Result<Staging> {
        check_target(target, existing)?;
        // A target that is a symbolic link stays one: what it points to is replaced. What is not
        // there yet only loses a "/." at its end, which rename(2) would not take.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.components().collect());
        let parent = parent_of(&target);
        let created_parents = local::create_parents(&target)?;
        let prefix = hidden_prefix(&target);
        let claim = Claim::take(&parent.join(format!("{prefix}.claim")), &target, run_id)?;
        // Looked at again under the claim: another run may just have published here.
        check_target(&target, existing)?;
        clear_dead(&parent, &prefix, &target);
        let dir = parent.join(format!("{prefix}-{run_id}"));
        let made = || -> std::io::Result<u32> {
            fs::create_dir(&dir)?;
            let mode = fs::metadata(&dir)?.permissions().mode();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
            Ok(mode)
        };
        let mode =
            made().map_err(|e| write_error(e).context("directory", dir.display().to_string()))?;
        Ok(Staging { dir, target, mode, created_parents, published: false, _claim: claim })
    }
}

/// Removes staging directories of dead runs on the same target; what cannot be removed stays. A
/// target that a dead run had moved aside (see `swap_by_renames`) is put back first.
fn clear_dead(parent: &Path, prefix: &str, target: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let start = format!("{prefix}-");
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&start) {
            continue;
        }
        if name.ends_with(ASIDE) && local::rename_create_only(&entry.path(), target).is_ok() {
            continue;
        }
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// Ending of the name under which an old target waits where directories cannot be swapped.
pub(crate) const ASIDE: &str = ".old";

impl Drop for Staging {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let _ = fs::remove_dir_all(&self.dir);
        for parent in self.created_parents.iter().rev() {
            // Only empty ones go. The claim file inside the innermost one goes first.
            if parent == &parent_of(&self.target) {
                let _ =
                    fs::remove_file(parent.join(format!("{}.claim", hidden_prefix(&self.target))));
            }
            let _ = fs::remove_dir(parent);
        }
    }
}
