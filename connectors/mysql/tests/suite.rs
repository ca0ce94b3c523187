//! The behaviour suite against a MariaDB and a MySQL server that may be thrown away:
//! `RSQOOP_TEST_MARIADB` and `RSQOOP_TEST_MYSQL`, each `mysql://root@host:port/database`.

use rsqoop_connector::testkit::{Fixture, SqlTypes, run_all};
use rsqoop_connector::{ConnectTarget, Location};
use rsqoop_mysql::MySql;

fn run(variable: &str) {
    let url = std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} must name a server to test with: mysql://user:password@host/database")
    });
    let target = ConnectTarget::parse(&url).expect("a valid URL");
    let mut unreachable = target.clone();
    // Port 1 (tcpmux) is free on every machine that runs tests.
    unreachable.location = Location::Server {
        host: "127.0.0.1".to_string(),
        port: Some(1),
        database: Some("test".to_string()),
    };
    let fixture = Fixture {
        sql: Some(SqlTypes {
            boolean: "bit(1)",
            integer: "bigint",
            double: "double",
            decimal: "decimal(10,2)",
            // MariaDB's default character set is still latin1 in old servers.
            text: "varchar(200) CHARACTER SET utf8mb4",
            bytes: "varbinary(300)",
            date: "date",
            timestamp: "datetime(6)",
        }),
        unreachable: Some(unreachable),
    };
    run_all(&MySql, &target, &fixture);
}

#[test]
fn behaviour_mariadb() {
    run("RSQOOP_TEST_MARIADB");
}

#[test]
fn behaviour_mysql() {
    run("RSQOOP_TEST_MYSQL");
}
