//! The behaviour suite against tables in memory.

use rsqoop_connector::ConnectTarget;
use rsqoop_connector::testkit::{Fixture, run_all, tables};
use rsqoop_memory::Memory;

#[test]
fn behaviour() {
    let memory = tables().into_iter().fold(Memory::new(), |memory, table| {
        memory.table(table.name, table.schema, table.batches, &[table.primary_key]).unwrap()
    });
    let target = ConnectTarget::parse("memory://local/suite").unwrap();
    run_all(&memory, &target, &Fixture { sql: None, unreachable: None });
}
