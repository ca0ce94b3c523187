//! Tests against a MariaDB and a MySQL server that may be thrown away.
//!
//! `RSQOOP_TEST_MARIADB` and `RSQOOP_TEST_MYSQL` are URLs of a user who may do everything there,
//! `RSQOOP_TEST_CERTS` the directory of the MariaDB server's certificates. Without them the tests
//! fail: a test that does not run proves nothing.

mod checksum;
mod common;
mod login;
mod points;
mod read;
mod snapshot;
mod split;
mod types;
mod watch;
