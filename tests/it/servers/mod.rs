//! The program against real servers: PostgreSQL, MariaDB, MySQL and SQLite files. What it writes is
//! judged by an independent reader (`reader.py`: pyarrow and DuckDB). Every test makes a database of
//! its own on the servers that `tests/servers` runs, and fails where there are none.

mod broken;
mod connections;
mod keyprops;
mod keys;
mod map_column;
mod objects;
pub(crate) mod proxy;
mod snapshots;
pub(crate) mod support;
mod tools;
mod tpch;
mod types;
