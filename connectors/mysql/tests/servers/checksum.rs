//! Checksums that the servers compute are those of the canonical texts in the contract, written out
//! here by hand.

use rsqoop_connector::ColumnChecksum;
use sha2::{Digest, Sha256};

use crate::common::{Open, both, describe, query, run, shared, table};

fn hash(text: &[u8]) -> u64 {
    let first: [u8; 8] = Sha256::digest(text)[..8].try_into().expect("8 of 32 bytes");
    u64::from_be_bytes(first)
}

fn checksum(session: &mut Open, as_text: bool) -> (u64, ColumnChecksum) {
    let what = table("one");
    let info = describe(session, &what);
    let sums = session.checksum(&query(&info, &what, as_text)).unwrap_or_else(|e| panic!("{e:?}"));
    let mut sums = sums.expect("these servers compute checksums");
    (sums.rows, sums.columns.remove(0))
}

/// Creates a table of one column, a NULL and these values, and compares its checksum.
fn check(session: &mut Open, ddl: &str, values: &[(&str, &[u8])], as_text: bool) {
    run(session, "DROP TABLE IF EXISTS one");
    run(session, &format!("CREATE TABLE one (c {ddl} NULL)"));
    for (sql, _) in values {
        run(session, &format!("INSERT INTO one VALUES ({sql})"));
    }
    run(session, "INSERT INTO one VALUES (NULL)");
    let sum = values.iter().fold(0_u64, |sum, (_, text)| sum.wrapping_add(hash(text)));
    let wanted = (values.len() as u64 + 1, ColumnChecksum::Sum { nulls: 1, sum });
    assert_eq!(checksum(session, as_text), wanted, "{ddl} as_text {as_text}");
}

#[test]
fn canonical_texts() {
    let _turn = shared();
    for server in both() {
        let s = &mut server.fresh("rsqoop_checksum");
        check(s, "int", &[("-5", b"-5"), ("7", b"7")], false);
        check(s, "int(5) unsigned zerofill", &[("42", b"42")], false);
        check(s, "int(5) unsigned zerofill", &[("42", b"00042")], true);
        check(s, "bigint unsigned", &[("18446744073709551615", b"18446744073709551615")], false);
        check(s, "bit(1)", &[("1", b"1"), ("0", b"0")], false);
        check(s, "bit(64)", &[("~0", b"18446744073709551615")], false);
        check(s, "year", &[("0", b"0"), ("2020", b"2020")], false);
        check(s, "decimal(9,2)", &[("-0.5", b"-0.50"), ("0", b"0.00")], false);
        check(s, "decimal(9,2) zerofill", &[("1.5", b"1.50")], false);
        let double = |v: f64| v.to_be_bytes();
        check(s, "double", &[("0.1", &double(0.1)), ("5e-324", &double(5e-324))], false);
        check(s, "double", &[("1.7976931348623157e308", &double(f64::MAX))], true);
        check(s, "double(9,2)", &[("1.25", &double(1.25))], false);
        check(s, "float", &[("0.1", &double(0.1_f32.into()))], false);
        check(s, "float", &[("16777217", &double(16_777_216.0))], true);
        check(
            s,
            "date",
            &[("'2020-02-29'", b"2020-02-29"), ("'0000-03-01'", b"0001-03-01 BC")],
            false,
        );
        check(s, "datetime", &[("'2020-02-29 01:02:10'", b"2020-02-29 01:02:10")], false);
        check(
            s,
            "datetime(3)",
            &[("'0000-01-01 00:00:00.120'", b"0001-01-01 00:00:00.12 BC")],
            false,
        );
        check(s, "datetime(3)", &[("'2020-01-01 00:00:00.120'", b"2020-01-01 00:00:00.120")], true);
        check(
            s,
            "timestamp(6)",
            &[("'2020-01-01 10:00:00.000001'", b"2020-01-01 10:00:00.000001")],
            false,
        );
        check(s, "time(6)", &[("'23:59:59.5'", b"23:59:59.5"), ("0", b"00:00:00")], false);
        check(s, "char(4)", &[("'ab'", b"ab")], false);
        check(s, "varchar(9) character set latin1", &[("'ä'", "ä".as_bytes())], false);
        check(s, "longtext", &[("'žluť 😀'", "žluť 😀".as_bytes()), ("''", b"")], false);
        check(s, "enum('a','ö')", &[("'ö'", "ö".as_bytes())], false);
        check(s, "varbinary(9)", &[("x'00ff'", b"\x00\xff")], false);
        check(s, "blob", &[("x'00ff'", b"00FF")], true);
        check(s, "json", &[("'[1]'", b"[1]")], false);
        check(s, "point", &[("POINT(1, 2)", b"POINT(1 2)")], false);
        if server.mariadb {
            let (sql, text) =
                ("'00000000-0000-0000-0000-0000000000FF'", b"00000000-0000-0000-0000-0000000000ff");
            check(s, "uuid", &[(sql, text)], false);
            check(s, "inet4", &[("'10.0.0.1'", b"10.0.0.1")], false);
        } else {
            check(s, "vector(1)", &[("TO_VECTOR('[1]')", &1_f32.to_le_bytes())], false);
        }
    }
}

#[test]
fn zero_dates_are_null_if_the_url_says_so() {
    let _turn = shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_checksum_zero");
        run(&mut session, "SET sql_mode = ''");
        run(&mut session, "CREATE TABLE one (c date)");
        run(&mut session, "INSERT INTO one VALUES ('0000-00-00'), ('2020-00-10'), ('2020-01-01')");
        let params = [("zeroDateTimeBehavior", "convertToNull")];
        let mut session = server.session("rsqoop_checksum_zero", &params);
        let wanted = ColumnChecksum::Sum { nulls: 2, sum: hash(b"2020-01-01") };
        assert_eq!(checksum(&mut session, false), (3, wanted));
    }
}

#[test]
fn a_value_too_long_for_the_server_is_said() {
    let _turn = shared();
    for server in both() {
        let mut session = server.fresh("rsqoop_checksum_long");
        run(&mut session, "CREATE TABLE one (c longtext character set latin1)");
        run(&mut session, "INSERT INTO one VALUES ('short'), (REPEAT('ä', 5000000))");
        // 10 MB as it is stored: below the smallest max_allowed_packet that is a default.
        run(&mut session, "UPDATE one SET c = CONCAT(c, c) WHERE c <> 'short'");
        let (rows, column) = checksum(&mut session, false);
        assert_eq!(rows, 2);
        match column {
            // 20 MB in UTF-8, within or beyond max_allowed_packet.
            ColumnChecksum::None(why) => assert!(why.contains("1 of its values"), "{why}"),
            ColumnChecksum::Sum { nulls, .. } => assert_eq!(nulls, 0),
        }
    }
}
