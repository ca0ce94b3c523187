//! Publishing: the order of steps as data, computed without I/O, and the code that takes them.
//!
//! Everything a reader needs (data files, manifest, `_SUCCESS`) is complete and durable inside
//! staging before the first step; the one step that makes it visible is a rename.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rsqoop_connector::{Error, ErrorKind, Result};

use super::staging::{ASIDE, Staging};
use super::{MANIFEST_NAME, SUCCESS_NAME};
use crate::job::Existing;
use crate::store::{local, write_error};

/// One step of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Hard-link the target's files into staging, so that the new directory holds old and new.
    LinkOld,
    /// Make staging's entries durable.
    SyncStaging,
    /// Rename staging to the target, which must not exist.
    RenameNew,
    /// Swap staging and target in one rename.
    Exchange,
    /// Make the rename durable.
    SyncParent,
    /// Move over what others put into the target between linking and swapping.
    KeepStrays,
    /// Remove what was the target before the swap.
    RemoveOld,
}

/// The steps for a target that does (or does not) exist.
pub(crate) fn steps(existing: Existing, target_exists: bool) -> Vec<Step> {
    match (existing, target_exists) {
        (_, false) | (Existing::Refuse, true) => {
            vec![Step::SyncStaging, Step::RenameNew, Step::SyncParent]
        }
        (Existing::Replace, true) => {
            vec![Step::SyncStaging, Step::Exchange, Step::SyncParent, Step::RemoveOld]
        }
        (Existing::Append, true) => {
            vec![
                Step::LinkOld,
                Step::SyncStaging,
                Step::Exchange,
                Step::SyncParent,
                Step::KeepStrays,
                Step::RemoveOld,
            ]
        }
    }
}

/// Makes a complete staging directory the target.
///
/// # Errors
/// `Conflict` when the target appeared meanwhile, `Storage` when a step failed; the target is then
/// as it was before.
pub(crate) fn publish(staging: &mut Staging, existing: Existing) -> Result<()> {
    let target_exists = fs::symlink_metadata(&staging.target).is_ok();
    for step in steps(existing, target_exists) {
        let applied = apply(staging, step);
        if applied.is_err() && step == Step::SyncParent {
            return applied.map_err(|error| take_back(staging, target_exists, error));
        }
        applied?;
    }
    Ok(())
}

fn apply(staging: &mut Staging, step: Step) -> Result<()> {
    let (dir, target) = (staging.dir.clone(), staging.target.clone());
    let failed =
        |error: io::Error| write_error(error).context("target", target.display().to_string());
    match step {
        Step::LinkOld => local::link_tree(&target, &dir, &[MANIFEST_NAME, SUCCESS_NAME]).map_err(|e| {
            failed(e).hint("--append needs a file system with hard links; import into a new directory instead")
        }),
        Step::SyncStaging => {
            let mode = match step_mode(&target) {
                Some(mode) => mode,
                None => staging.mode,
            };
            local::sync_dir(&dir)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).map_err(failed)
        }
        Step::RenameNew => {
            local::rename_create_only(&dir, &target).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => appeared(&target),
                _ => failed(error),
            })?;
            staging.published = true;
            Ok(())
        }
        Step::Exchange => {
            if !local::exchange(&dir, &target).map_err(failed)? {
                swap_by_renames(&dir, &target).map_err(failed)?;
            }
            staging.published = true;
            Ok(())
        }
        Step::SyncParent => {
            let parent = target.parent().filter(|p| !p.as_os_str().is_empty());
            local::sync_dir(parent.unwrap_or(Path::new(".")))
        }
        Step::KeepStrays => {
            for entry in fs::read_dir(&dir).map_err(failed)?.flatten() {
                let _ = local::rename_create_only(&entry.path(), &target.join(entry.file_name()));
            }
            Ok(())
        }
        Step::RemoveOld => {
            // The new data is in place; left-overs are removed by the next run at the latest.
            let _ = fs::remove_dir_all(&dir);
            Ok(())
        }
    }
}

/// Undoes the rename that could not be made durable, so that the target is what it was.
fn take_back(staging: &mut Staging, existed: bool, error: Error) -> Error {
    let (dir, target) = (staging.dir.clone(), staging.target.clone());
    let undone = match existed {
        true => local::exchange(&dir, &target).and_then(|swapped| match swapped {
            true => Ok(()),
            false => swap_by_renames(&dir, &target),
        }),
        false => local::rename_create_only(&target, &dir),
    };
    match undone {
        Ok(()) => {
            staging.published = false;
            error
        }
        Err(_) => error.replace_hint(
            "the new data is in place and complete, but the system could not make its name durable: look at the disk",
        ),
    }
}

/// An existing target keeps its permissions.
fn step_mode(target: &Path) -> Option<u32> {
    fs::metadata(target).ok().map(|m| m.permissions().mode())
}

fn appeared(target: &Path) -> Error {
    Error::new(ErrorKind::Conflict, "the target directory appeared while the run was reading")
        .context("target", target.display().to_string())
        .hint("somebody else made it; nothing was published; choose another --target-dir or run again with --append")
}

/// Where directories cannot be swapped in one step: the old one steps aside first. A crash between
/// the two renames leaves the old data under the staging name with `.old` and no target at all.
fn swap_by_renames(dir: &Path, target: &Path) -> io::Result<()> {
    let mut aside = dir.as_os_str().to_owned();
    aside.push(ASIDE);
    let aside = Path::new(&aside).to_path_buf();
    local::rename_create_only(target, &aside)?;
    match local::rename_create_only(dir, target) {
        Ok(()) => local::rename_create_only(&aside, dir),
        Err(error) => {
            local::rename_create_only(&aside, target)?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_visible_is_durable_first_and_nothing_is_removed_before() {
        for existing in [Existing::Refuse, Existing::Append, Existing::Replace] {
            for exists in [false, true] {
                let steps = steps(existing, exists);
                let at = |s: Step| steps.iter().position(|x| *x == s);
                let visible = at(Step::RenameNew).or(at(Step::Exchange)).unwrap();
                assert!(at(Step::SyncStaging).unwrap() < visible);
                assert!(at(Step::SyncParent).unwrap() > visible);
                assert!(at(Step::RemoveOld).is_none_or(|r| r > visible));
                assert_eq!(at(Step::LinkOld).is_some(), existing == Existing::Append && exists);
            }
        }
    }
}
