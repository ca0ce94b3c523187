//! The local file system: durable files, create-only renames, exchanges of whole directories.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rsqoop_connector::Result;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::write_error;

/// Creates a file that must not exist yet.
pub(crate) fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .read(true)
        .create_new(true)
        .open(path)
        .map_err(|e| write_error(e).context("file", path.display().to_string()))
}

/// Writes a small file in one go and makes it durable.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = create(path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|e| write_error(e).context("file", path.display().to_string()))
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| write_error(e).context("directory", path.display().to_string()))
}

/// Renames without ever replacing anything.
pub(crate) fn rename_create_only(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            // A file system without the flag: the claim on the target keeps other runs out.
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        Err(error) => Err(error.into()),
    }
}

/// Swaps two existing paths in one step; `Ok(false)` where the file system cannot.
pub(crate) fn exchange(a: &Path, b: &Path) -> io::Result<bool> {
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Hard-links every file below `from` into `to`, sub-directories included, leaving out the names in
/// `except` at the top level. Symbolic links are kept as links.
pub(crate) fn link_tree(from: &Path, to: &Path, except: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if except.iter().any(|e| name == *e) {
            continue;
        }
        let (source, dest) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            fs::create_dir(&dest)?;
            fs::set_permissions(&dest, fs::metadata(&source)?.permissions())?;
            link_tree(&source, &dest, &[])?;
        } else {
            // link(2) on Linux links a symbolic link itself, never what it points to.
            fs::hard_link(&source, &dest)?;
        }
    }
    Ok(())
}

/// Directories that had to be made for `path`'s parent, outermost first, so that a failed run can
/// take them away again.
pub(crate) fn create_parents(path: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    let mut parent = path.parent();
    while let Some(dir) = parent {
        if dir.as_os_str().is_empty() || dir.exists() {
            break;
        }
        missing.push(dir.to_path_buf());
        parent = dir.parent();
    }
    missing.reverse();
    for dir in &missing {
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(write_error(error).context("directory", dir.display().to_string()));
            }
            _ => {}
        }
    }
    Ok(missing)
}
