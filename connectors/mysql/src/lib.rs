//! The MySQL and MariaDB connector of rsqoop.
//!
//! | Module | What it does |
//! |---|---|
//! | `config` | URL parameters of Connector/J, MariaDB Connector/J and the `mysql` client |
//! | `wire` | the protocol: login, TLS, packets |
//! | `types` | column definitions to Arrow types |
//! | `decode`, `value` | binary rows to Arrow arrays |
//! | `read` | one bulk read |
//! | `describe`, `bounds`, `snapshot` | what the engine asks before it reads |
//! | `activity`, `stop` | watching and stopping another session |
//! | `dialect` | names and literals in SQL |
//!
//! The protocol is spoken directly and blocking, with `mysql_common` for password scrambles and
//! packet layouts of the login, because no driver hands out rows without an object per value.

mod activity;
mod bounds;
mod checksum;
mod config;
mod decode;
mod describe;
mod dialect;
mod error;
mod read;
mod session;
mod snapshot;
mod stop;
mod types;
mod value;
mod wire;

use rsqoop_connector::{Capabilities, ConnectTarget, Connector, Result, Session};

/// The connector for MySQL and MariaDB servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct MySql;

impl Connector for MySql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["mysql", "mariadb"]
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shared_snapshot: true, rejoin: false, sql: true, parallel: true }
    }

    fn check(&self, target: &ConnectTarget) -> Result<Vec<String>> {
        config::Settings::parse(target)?;
        Ok(target.unknown_params(&config::known()))
    }

    fn connect(&self, target: &ConnectTarget) -> Result<Box<dyn Session>> {
        let settings = config::Settings::parse(target)?;
        Ok(Box::new(session::MySqlSession::open(settings)?))
    }
}
