//! The behaviour suite against a PostgreSQL server that may be thrown away:
//! `RSQOOP_TEST_PG=postgresql://superuser@host:port/database`.

use rsqoop_connector::testkit::{Fixture, SqlTypes, run_all};
use rsqoop_connector::{ConnectTarget, Location};
use rsqoop_postgres::Postgres;

#[test]
fn behaviour() {
    let url = std::env::var("RSQOOP_TEST_PG").expect(
        "RSQOOP_TEST_PG must name a PostgreSQL server to test with: postgresql://user@host/database",
    );
    let target = ConnectTarget::parse(&url).unwrap();
    let mut unreachable = target.clone();
    // Port 1 (tcpmux) is free on every machine that runs tests.
    unreachable.location = Location::Server {
        host: "127.0.0.1".to_string(),
        port: Some(1),
        database: Some("postgres".to_string()),
    };
    let fixture = Fixture {
        sql: Some(SqlTypes {
            boolean: "boolean",
            integer: "bigint",
            double: "double precision",
            decimal: "numeric(10,2)",
            text: "text",
            bytes: "bytea",
            date: "date",
            timestamp: "timestamp",
        }),
        unreachable: Some(unreachable),
    };
    run_all(&Postgres, &target, &fixture);
}
