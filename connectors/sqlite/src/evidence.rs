//! What the file system says about a database file: which file it is, and whether it was written.
//!
//! Only `stat` is asked. The file itself must not be opened here: closing any descriptor of it would
//! drop the POSIX locks that SQLite holds for this process
//! (<https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rsqoop_connector::{Error, ErrorKind, Result};

/// Kernels stamp files with a clock that ticks every 1 to 10 ms: two writes within one tick look like
/// one.
const TICK: Duration = Duration::from_millis(50);
/// The same where the file system keeps no finer times than seconds, two of them on FAT.
const COARSE_TICK: Duration = Duration::from_secs(3);
/// A time that is a multiple of this many nanoseconds is taken for a coarse one.
const COARSE_NANOS: i64 = 10_000_000;

/// Which file a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:x}", self.device, self.inode)
    }
}

/// A file at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) id: FileId,
    bytes: u64,
    /// Last written: seconds and nanoseconds.
    modified: (i64, i64),
    /// Last written or touched in any way; cannot be set by programs.
    changed: (i64, i64),
}

impl FileState {
    /// Looks at a file; `None` where there is none.
    pub(crate) fn of(path: &Path) -> Result<Option<FileState>> {
        match fs::metadata(path) {
            Ok(m) => Ok(Some(FileState {
                id: FileId { device: m.dev(), inode: m.ino() },
                bytes: m.len(),
                modified: (m.mtime(), m.mtime_nsec()),
                changed: (m.ctime(), m.ctime_nsec()),
            })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::new(
                ErrorKind::Connect,
                format!("the database file {} cannot be looked at: {e}", path.display()),
            )),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether the same file holds what it held when `self` was taken, as far as its own times tell.
    pub(crate) fn same_content(&self, later: &FileState) -> bool {
        (self.id, self.bytes, self.modified) == (later.id, later.bytes, later.modified)
    }

    /// How long until the next write of the file must get another time than the last one had.
    fn unsettled(&self, now: SystemTime) -> Duration {
        let tick = if self.changed.1 % COARSE_NANOS == 0 { COARSE_TICK } else { TICK };
        let at = |(seconds, nanos): (i64, i64)| {
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            UNIX_EPOCH + seconds + Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
        };
        (at(self.changed) + tick).duration_since(now).unwrap_or_default()
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileState { id, bytes, modified, changed } = self;
        write!(
            f,
            "{id} {bytes} bytes modified {}.{:09} changed {}.{:09}",
            modified.0, modified.1, changed.0, changed.1
        )
    }
}

/// A database file and, in WAL mode, what was committed and is not in it yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) file: FileState,
    log: Option<FileState>,
}

impl Evidence {
    /// Looks at the files.
    pub(crate) fn of(path: &Path, wal: bool) -> Result<Option<Evidence>> {
        let Some(file) = FileState::of(path)? else { return Ok(None) };
        let log = if wal { FileState::of(&log_path(path))? } else { None };
        // An empty log is made by whoever opens the file and says nothing. Nor does its time of
        // change: where the user is root, SQLite sets the owner of a log each time it opens one.
        let log = log.filter(|log| !log.is_empty());
        let log = log.map(|log| FileState { changed: log.modified, ..log });
        Ok(Some(Evidence { file, log }))
    }

    /// Whether a later write would show in the files' times. Nobody waits for that: other sessions are
    /// about to join, and a writer would get in between.
    pub(crate) fn is_settled(&self) -> bool {
        let now = SystemTime::now();
        std::iter::once(&self.file).chain(&self.log).all(|f| f.unsettled(now).is_zero())
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.file)?;
        self.log.iter().try_for_each(|log| write!(f, ", log {log}"))
    }
}

fn log_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push("-wal");
    PathBuf::from(path)
}
