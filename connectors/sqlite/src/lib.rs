//! SQLite database files for rsqoop.
//!
//! A file is opened read-only and is never created; statements that write (`rsqoop eval`) go
//! through a second connection that is opened when the first of them runs.
//!
//! # Types
//! SQLite stores a class (integer, real, text, blob) with every value and keeps the declared type
//! of a column only as advice. Here the declared type decides how a column is carried, and a stored
//! value of another class stops the read and names its row:
//!
//! | Declared type | Arrow | Stored classes taken |
//! |---|---|---|
//! | contains `INT` | `Int64` | integer |
//! | `BOOLEAN`, `BOOL` | `Boolean` | integer 0 or 1 |
//! | contains `REAL`, `FLOA`, `DOUB` | `Float64` | real; an integer that a double holds exactly |
//! | `DECIMAL(p,s)`, `NUMERIC(p,s)` | `Decimal128`, `Decimal256` | integer, text, real (see below) |
//! | `DECIMAL`, `NUMERIC` without size | `Utf8` | integer, real, text |
//! | `DATE` | `Date32` | text `YYYY-MM-DD` |
//! | `DATETIME`, `TIMESTAMP` | `Timestamp(µs)` | text `YYYY-MM-DD HH:MM[:SS[.ffffff]]`, blank or `T` |
//! | `TIME` | `Time64(µs)` | text `HH:MM[:SS[.ffffff]]` |
//! | contains `CHAR`, `CLOB`, `TEXT` | `Utf8` | text |
//! | contains `BLOB`; `BINARY`, `VARBINARY` | `Binary` | blob |
//! | `JSON` | `Utf8` as JSON | integer, real, text |
//! | `UUID` | 16 bytes as UUID | text of 36 characters |
//! | none, and everything else | `Utf8` | integer, real, text |
//!
//! SQLite turns `'12.34'` into a double when it is stored in a `DECIMAL` column. Such a double is
//! taken as the decimal it stands for when that decimal has at most 15 significant digits, which
//! is as far as SQLite itself promises to keep them, and fits the declared size. Everything else
//! is refused, because the digits that were written can no longer be known.

mod bounds;
mod catalog;
mod checksum;
mod config;
#[cfg(test)]
mod cuts;
mod decode;
mod density;
mod dialect;
mod error;
mod evaluate;
mod evidence;
mod number;
mod read;
mod session;
mod snapshot;
mod time;
mod types;

use rsqoop_connector::{Capabilities, ConnectTarget, Connector, Result, Session};

/// The SQLite connector.
///
/// ```no_run
/// use rsqoop_connector::{ConnectTarget, Connector};
///
/// let mut session = rsqoop_sqlite::Sqlite.connect(&ConnectTarget::parse("sqlite:shop.db")?)?;
/// let tables = session.tables(None)?;
/// # Ok::<(), rsqoop_connector::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Sqlite;

impl Connector for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared_snapshot: true, rejoin: false, sql: true, parallel: true }
    }

    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        config::Config::new(target)?;
        Ok(target.unknown_params(config::KNOWN))
    }

    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        Ok(Box::new(session::SqliteSession::open(config::Config::new(target)?)?))
    }
}
