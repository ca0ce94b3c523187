//! Where files live: the local file system. Object stores and HDFS will stand behind the same calls.

pub(crate) mod local;

use std::io;

use rsqoop_connector::{Error, ErrorKind};

/// Too many open files, in this process or on the whole machine.
const OPEN_FILES: [i32; 2] =
    [rustix::io::Errno::MFILE.raw_os_error(), rustix::io::Errno::NFILE.raw_os_error()];

/// A failed write, told from what the user can do about it.
pub(crate) fn write_error(error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or name another --target-dir; nothing was published"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "name a --target-dir where you may write"
        }
        io::ErrorKind::FileTooLarge => {
            "the file system or a limit (ulimit -f) ends here; use more part files (-m) or another place"
        }
        _ if error.raw_os_error().is_some_and(|code| OPEN_FILES.contains(&code)) => {
            "use fewer workers (-m), or allow more open files (ulimit -n)"
        }
        _ => "look at the disk behind the target directory; nothing was published",
    };
    Error::new(ErrorKind::Storage, format!("the target cannot be written: {}", plain(&error)))
        .hint(hint)
        .source(error)
}

/// An I/O error's text without the "(os error N)" that helps nobody.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
