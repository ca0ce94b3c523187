//! The connectors this build has, one line each.

use std::sync::Arc;

use rsqoop_connector::Connector;

/// All connectors of the tree.
pub(crate) fn all() -> Vec<Arc<dyn Connector>> {
    vec![
        Arc::new(rsqoop_postgres::Postgres),
        Arc::new(rsqoop_mysql::MySql),
        Arc::new(rsqoop_sqlite::Sqlite),
    ]
}
