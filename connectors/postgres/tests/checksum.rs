//! Checksums that the server computes are those of the canonical texts in the contract, written out
//! here by hand.

mod common;

use common::{in_schema, query, run, table};
use rsqoop_connector::{ColumnChecksum, ErrorKind, KeyRange, KeyValue, Session, SplitKey};
use sha2::{Digest, Sha256};

fn hash(text: &[u8]) -> u64 {
    let first: [u8; 8] = Sha256::digest(text)[..8].try_into().expect("8 of 32 bytes");
    u64::from_be_bytes(first)
}

/// Creates a table of one column, a NULL and these values, and compares its checksum.
fn check(session: &mut dyn Session, ddl: &str, values: &[(&str, &[u8])], as_text: bool) {
    let inserts: Vec<String> = values.iter().map(|(sql, _)| format!("({sql})")).collect();
    run(
        session,
        &[
            "DROP TABLE IF EXISTS one",
            &format!("CREATE TABLE one (c {ddl})"),
            &format!("INSERT INTO one VALUES {}, (NULL)", inserts.join(", ")),
        ],
    );
    let relation = table("one");
    let info = session.describe(&relation).expect("the table is there");
    let sums = session.checksum(&query(&relation, &info, as_text)).expect("it is computed");
    let sums = sums.expect("PostgreSQL computes checksums");
    assert_eq!(sums.rows, values.len() as u64 + 1, "{ddl}");
    let sum = values.iter().fold(0_u64, |sum, (_, text)| sum.wrapping_add(hash(text)));
    assert_eq!(sums.columns, [ColumnChecksum::Sum { nulls: 1, sum }], "{ddl} as_text {as_text}");
}

#[test]
fn canonical_texts() {
    let mut session = in_schema("rsqoop_checksum");
    let s = &mut *session;
    let nan = f64::NAN.to_be_bytes();
    check(s, "int", &[("-5", b"-5"), ("7", b"7")], false);
    check(s, "boolean", &[("true", b"1"), ("false", b"0")], false);
    check(s, "numeric(10,3)", &[("1.5", b"1.500"), ("-0.001", b"-0.001"), ("0", b"0.000")], false);
    check(s, "numeric", &[("1.50", b"1.50")], false);
    check(s, "float8", &[("0.1", &0.1_f64.to_be_bytes()), ("'NaN'", &nan)], false);
    check(s, "float4", &[("0.1", &f64::from(0.1_f32).to_be_bytes())], false);
    check(s, "float8", &[("'-0'", &(-0.0_f64).to_be_bytes())], true);
    check(
        s,
        "date",
        &[("'2020-02-29'", b"2020-02-29"), ("'0044-03-15 BC'", b"0044-03-15 BC")],
        false,
    );
    check(s, "date", &[("'12020-02-29'", b"12020-02-29")], false);
    check(s, "time", &[("'24:00'", b"24:00:00"), ("'01:02:03.50'", b"01:02:03.5")], false);
    check(s, "timestamp", &[("'0001-12-31 00:00:00.25 BC'", b"0001-12-31 00:00:00.25 BC")], false);
    check(s, "timestamptz", &[("'2020-01-01 00:00+02'", b"2019-12-31 22:00:00")], false);
    check(s, "timestamptz", &[("'2020-01-01 00:00+02'", b"2019-12-31 22:00:00+00")], true);
    check(s, "bytea", &[("'\\x00ff'", b"\x00\xff"), ("''", b"")], false);
    check(s, "bytea", &[("'\\x00ff'", b"\\x00ff")], true);
    check(s, "char(4)", &[("'ab'", b"ab  ")], false);
    check(s, "char(4)", &[("'ab'", b"ab  ")], true);
    check(s, "text", &[("'žluť 😀\\x'", "žluť 😀\\x".as_bytes()), ("''", b"")], false);
    check(
        s,
        "uuid",
        &[("'00000000-0000-0000-0000-0000000000FF'", b"00000000-0000-0000-0000-0000000000ff")],
        false,
    );
    check(s, "inet", &[("'10.0.0.1'", b"10.0.0.1"), ("'10.0.0.0/8'", b"10.0.0.0/8")], false);
    check(s, "jsonb", &[("'{\"a\":1}'", b"{\"a\": 1}")], false);
    check(s, "int[]", &[("'{10,NULL}'", b"2:10,-"), ("'{}'", b"")], false);
    check(s, "int[]", &[("'{10,NULL}'", b"{10,NULL}")], true);
    check(s, "char(3)[]", &[("'{a,\"b,c\"}'", b"3:a  ,3:b,c")], false);
    check(s, "bytea[]", &[("ARRAY['\\x0a'::bytea]", b"2:0a")], false);
    check(s, "timestamptz[]", &[("'{2020-01-01 00:00+02}'", b"19:2019-12-31 22:00:00")], false);
}

#[test]
fn a_range_a_filter_and_many_columns() {
    let mut session = in_schema("rsqoop_checksum_many");
    let columns: Vec<String> = (0..1000).map(|i| format!("c{i} int")).collect();
    let values: Vec<String> = (0..1000).map(|i| format!("g * {i}")).collect();
    run(
        &mut *session,
        &[
            &format!("CREATE TABLE wide ({})", columns.join(", ")),
            &format!("INSERT INTO wide SELECT {} FROM generate_series(1, 9) g", values.join(", ")),
        ],
    );
    let relation = table("wide");
    let info = session.describe(&relation).expect("the table is there");
    let mut query = query(&relation, &info, false);
    query.filter = Some("c1 <> 5 -- not this".to_string());
    query.range = KeyRange::Between {
        key: SplitKey::new("c1", None),
        lower: Some(KeyValue::Integer(4)),
        upper: Some(KeyValue::Integer(7)),
        upper_inclusive: false,
    };
    let sums = session.checksum(&query).expect("it is computed").expect("there are checksums");
    assert_eq!(sums.rows, 2);
    for (index, column) in sums.columns.iter().enumerate() {
        let text = |g: usize| (g * index).to_string();
        let sum = hash(text(4).as_bytes()).wrapping_add(hash(text(6).as_bytes()));
        assert_eq!(*column, ColumnChecksum::Sum { nulls: 0, sum }, "c{index}");
    }
}

#[test]
fn a_refusal_leaves_the_snapshot_usable() {
    let mut session = in_schema("rsqoop_checksum_refused");
    run(&mut *session, &["CREATE TABLE t (id int, b int)", "INSERT INTO t VALUES (1, 0)"]);
    let view = "CREATE VIEW v AS SELECT id, CASE WHEN id > 0 THEN 1 / b END AS c FROM t";
    run(&mut *session, &[view]);
    let relation = table("v");
    let info = session.describe(&relation).expect("the view is there");
    let query = query(&relation, &info, false);
    let error = session.checksum(&query).expect_err("a division by zero");
    assert_eq!(error.kind(), ErrorKind::Source);
    assert_eq!(session.count(&query).expect("the session still works"), Some(1));
}
