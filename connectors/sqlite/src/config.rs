//! Which file a URL names and how it is opened. Opens connections; reads nothing from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rsqoop_connector::{ConnectTarget, Error, ErrorKind, Location, Result};
use rusqlite::{Connection, OpenFlags};

use crate::error;
use crate::evidence::{FileId, FileState};

/// URL parameters with a meaning here, and those of the sqlite-jdbc driver that change nothing
/// about what is read (its `SQLiteConfig.Pragma`).
pub(crate) const KNOWN: &[&str] = &[
    "mode",
    "cache",
    "immutable",
    "busy_timeout",
    // sqlite-jdbc
    "application_id",
    "auto_vacuum",
    "cache_size",
    "count_changes",
    "date_class",
    "date_precision",
    "date_string_format",
    "default_cache_size",
    "enable_load_extension",
    "encoding",
    "foreign_keys",
    "fullsync",
    "jdbc.explicit_readonly",
    "jdbc.get_generated_keys",
    "journal_mode",
    "journal_size_limit",
    "locking_mode",
    "mmap_size",
    "open_mode",
    "page_size",
    "read_uncommitted",
    "recursive_triggers",
    "secure_delete",
    "shared_cache",
    "synchronous",
    "temp_store",
    "temp_store_directory",
    "transaction_mode",
];

/// How a database file is opened.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    path: PathBuf,
    immutable: bool,
    writable: bool,
    busy_timeout: Duration,
}

impl Config {
    /// Reads a target; contacts nothing.
    pub(crate) fn new(target: &ConnectTarget) -> Result<Self> {
        let usage = |message: String| Error::new(ErrorKind::Usage, message);
        let Location::File(path) = &target.location else {
            return Err(usage("a SQLite database is a file: write sqlite:FILE".to_string()));
        };
        // SQLite's and sqlite-jdbc's URI spelling of a file name.
        let text = path.to_string_lossy();
        let path = match text.strip_prefix("file:") {
            Some(rest) => PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)),
            None => path.clone(),
        };
        if text.starts_with(":memory:") || text.starts_with(":resource:") {
            return Err(usage(format!("{text} names no database file to read")));
        }
        let mode = target.param(&["mode"]).unwrap_or("rw").to_ascii_lowercase();
        if !["ro", "rw", "rwc"].contains(&mode.as_str()) {
            return Err(usage(format!("the URL parameter mode must be ro or rw, not {mode:?}")));
        }
        let busy_timeout = match target.param(&["busy_timeout"]) {
            None => target.connect_timeout,
            Some(text) => match text.parse::<u32>() {
                Ok(ms) => Duration::from_millis(u64::from(ms)),
                Err(_) => {
                    return Err(usage(format!(
                        "the URL parameter busy_timeout must be milliseconds, not {text:?}"
                    )));
                }
            },
        };
        let immutable = target.bool_param(&["immutable"])?.unwrap_or(false);
        Ok(Config { path, immutable, writable: mode != "ro" && !immutable, busy_timeout })
    }

    /// The file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How long a statement waits for a lock.
    pub(crate) fn busy_timeout(&self) -> Duration {
        self.busy_timeout
    }

    /// Whether the user says that nobody writes to the file.
    pub(crate) fn immutable(&self) -> bool {
        self.immutable
    }

    /// A connection that can only read, and which file it reads.
    pub(crate) fn open_known_reader(&self) -> Result<(Connection, FileId)> {
        let look = || FileState::of(&self.path).map(|state| state.map(|state| state.id));
        let before = look()?;
        let conn = self.open_reader()?;
        match (before, look()?) {
            (Some(before), Some(after)) if before == after => Ok((conn, after)),
            _ => Err(Error::new(
                ErrorKind::Connect,
                format!(
                    "the database file {} was replaced while it was opened",
                    self.path.display()
                ),
            )
            .transient()),
        }
    }

    /// A connection that can only read.
    pub(crate) fn open_reader(&self) -> Result<Connection> {
        self.check_file()?;
        let conn = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let setup = || {
            conn.pragma_update(None, "query_only", true)?;
            // Otherwise a misspelled "name" would silently be the text 'name'.
            conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
            // The first look into the file: tells whether it is a database at all.
            conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))
        };
        setup().map_err(|e| error::open(&e, &self.path))?;
        Ok(conn)
    }

    /// A connection that may write, unless the URL says otherwise.
    pub(crate) fn open_writer(&self) -> Result<Connection> {
        self.check_file()?;
        self.open(if self.writable {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        } else {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        })
    }

    fn open(&self, access: OpenFlags) -> Result<Connection> {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // "./" keeps a file called ":memory:" or "file:…" from meaning something else.
        let path = if self.path.is_absolute() {
            self.path.clone()
        } else {
            Path::new(".").join(&self.path)
        };
        let opened = if self.immutable {
            const SPECIAL: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');
            let path = path.to_string_lossy();
            let uri = format!("file:{}?immutable=1", utf8_percent_encode(&path, SPECIAL));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
        } else {
            Connection::open_with_flags(path, flags)
        };
        let conn = opened.map_err(|e| error::open(&e, &self.path))?;
        conn.busy_timeout(self.busy_timeout).map_err(|e| error::open(&e, &self.path))?;
        Ok(conn)
    }

    /// SQLite's own message for all of these is "unable to open database file".
    fn check_file(&self) -> Result<()> {
        let shown = self.path.display();
        let refuse = |message: String| Err(Error::new(ErrorKind::Connect, message));
        match std::fs::metadata(&self.path) {
            Ok(file) if file.is_file() => Ok(()),
            Ok(file) if file.is_dir() => {
                refuse(format!("{shown} is a directory, not a database file"))
            }
            Ok(_) => refuse(format!("{shown} is not a regular file")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                refuse(format!("there is no database file {shown}")).map_err(|e| {
                    e.hint("check the path in the URL; rsqoop never creates a database")
                })
            }
            Err(e) => refuse(format!("the database file {shown} cannot be opened: {e}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<Config> {
        Config::new(&ConnectTarget::parse(url).unwrap())
    }

    #[test]
    fn urls_name_files_in_both_spellings() {
        for url in
            ["sqlite:a b.db", "sqlite:file:a%20b.db", "jdbc:sqlite:file:a%20b.db?cache=shared"]
        {
            assert_eq!(config(url).unwrap().path(), Path::new("a b.db"), "{url}");
        }
        assert_eq!(config("sqlite:file:///tmp/x").unwrap().path(), Path::new("/tmp/x"));
        assert!(!config("sqlite:x?mode=ro").unwrap().writable);
        assert!(!config("sqlite:x?immutable=1").unwrap().writable);
        assert_eq!(config("sqlite:x?busy_timeout=7").unwrap().busy_timeout.as_millis(), 7);
    }

    #[test]
    fn what_names_no_file_is_refused() {
        for url in [
            "sqlite::memory:",
            "sqlite::resource:x.db",
            "sqlite:x?mode=memory",
            "sqlite:x?busy_timeout=soon",
            "sqlite:x?immutable=perhaps",
            "memory://x/y",
        ] {
            assert_eq!(config(url).unwrap_err().kind(), ErrorKind::Usage, "{url}");
        }
    }
}
