//! The MySQL client/server protocol as far as this connector speaks it: blocking, one connection,
//! packets parsed in place.
//!
//! Deliberately absent: compression, `LOAD DATA LOCAL` (the server can never ask for a file, since
//! the ability is not announced), server-side cursors and statement parameters.

mod auth;
mod column;
mod conn;
mod packet;
mod reader;
mod rsa;
mod socket;
mod tls;

pub(crate) use column::{ColumnDef, Ext};
pub(crate) use conn::{Conn, LoginParams, Next, RowSet, read_file};
pub(crate) use packet::{Cell, Cursor, ServerError};
pub(crate) use reader::Fault;
pub(crate) use socket::{Closer, Endpoint, Pulse};
pub(crate) use tls::client_config;

/// Bytes of the largest packet that is not continued by another one.
const MAX_PACKET: usize = 0xff_ffff;
