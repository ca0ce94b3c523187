//! A SQLite file, part files written by the real writers, and what is found when one of them changes.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use proptest::prelude::*;
use rsqoop_connector::{ConnectTarget, Connector, KeyRange, Relation, TableName};

use super::*;
use crate::format::text::text_writer;
use crate::job::{JobSpec, ParquetCodec, TextCodec};
use crate::plan::Draft;

/// A table in a file of its own, and how it is read.
struct Fixture {
    dir: tempfile::TempDir,
    session: Box<dyn Session>,
    query: ReadQuery,
    columns: Vec<OutputColumn>,
    format: Format,
}

impl Fixture {
    fn new(sql: &str, format: Format, map: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.db");
        let mut client =
            Command::new("sqlite3").arg(&file).stdin(Stdio::piped()).spawn().expect("sqlite3");
        client.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        assert!(client.wait().unwrap().success());
        let url = format!("sqlite:{}", file.display());
        let table = Relation::Table(TableName::new("t"));
        let mut job = JobSpec::import(&url, table.clone(), dir.path().join("out")).unwrap();
        job.format = format.clone();
        if !map.is_empty() {
            job.overrides = crate::plan::types::parse_map("--map-column", map).unwrap();
        }
        let target = ConnectTarget::parse(&url).unwrap();
        let mut session = rsqoop_sqlite::Sqlite.connect(&target).unwrap();
        let columns = Draft::new(&job, &mut *session).unwrap().columns;
        let fields: Vec<_> = columns.iter().map(|c| c.read_field.clone()).collect();
        let query = ReadQuery {
            relation: table,
            columns: columns.iter().map(|c| c.read.clone()).collect(),
            whole: true,
            filter: None,
            range: KeyRange::All,
            schema: Arc::new(Schema::new(fields)),
            batch_rows: 100,
            batch_bytes: 1 << 20,
            fetch_size: None,
            key: Some(0),
        };
        Fixture { dir, session, query, columns, format }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("part")
    }

    /// Writes the rows as the program does, without conversions.
    fn write(&mut self) -> u64 {
        let mut batches: Vec<RecordBatch> = Vec::new();
        self.session.read(&self.query, &mut batches).unwrap();
        let file = Box::new(fs::File::create(self.path()).unwrap());
        let schema = self.query.schema.clone();
        let mut writer = match &self.format {
            Format::Text(options) => {
                let kinds: Vec<_> = self.columns.iter().map(|c| c.kind).collect();
                text_writer(schema, &kinds, options, file).unwrap()
            }
            Format::Parquet(codec) => {
                let options = crate::format::parquet::ParquetOptions {
                    codec: *codec,
                    row_group_bytes: 1 << 20,
                    row_group_rows: 150,
                    parallel: false,
                    ascending: None,
                };
                Box::new(crate::format::parquet::ParquetWriter::new(schema, options, file))
                    as Box<dyn crate::format::FileWriter>
            }
        };
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap().rows
    }

    fn database(&mut self) -> Checksums {
        self.session.checksum(&self.query).unwrap().unwrap()
    }

    fn files(&self, rows: &[u64]) -> Result<Vec<Checksums>> {
        checksum_part(&self.format, &self.columns, &self.path(), rows)
    }

    fn compared(&mut self, rows: u64) -> Vec<Comparison> {
        let files = self.files(&[rows]).unwrap().remove(0);
        let database = self.database();
        compare(&self.format, &self.columns, &database, &files)
    }

    fn first_difference(&mut self, column: usize, key: usize, rows: u64) -> Option<String> {
        let path = self.path();
        let run = RunOfRows { path: &path, skip: 0, rows };
        let at = (column, key);
        first_difference(&mut *self.session, &self.query, at, &self.format, &self.columns, run)
            .unwrap()
    }
}

fn escaped_text(codec: TextCodec) -> Format {
    Format::Text(TextFormat { escaped_by: Some('\\'), codec, ..token("\\N") })
}

fn token(null: &str) -> TextFormat {
    let (null_string, null_non_string) = (null.to_string(), null.to_string());
    TextFormat { null_string, null_non_string, ..TextFormat::default() }
}

const TYPES: &str = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, b BOOLEAN, d DOUBLE, n DECIMAL(10,3), \
    w DECIMAL(50,2), day DATE, clock TIME, moment DATETIME, s TEXT, u UUID, x BLOB, j JSON, o);
    INSERT INTO t VALUES (1, 1, 0.1, '1.5', '1234567890123.5', '0000-02-29', '03:04', \
    '2024-02-29T01:02:03.40', 'a,b\\c\n''\"', '00000000-0000-0000-0000-0000000000FF', x'00ff', '{}', 1.5),
    (2, 0, -9e999, -2, 7, '9999-12-31', '23:59:59.999999', '0000-01-01 00:00', '', NULL, x'', '[]', 'x'),
    (-3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    WITH RECURSIVE r(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM r WHERE i < 999)
    INSERT INTO t SELECT i, i % 2, i / 7.0, i, i, date('2000-01-01', i || ' days'), time(i * 60, 'unixepoch'), \
    datetime(i * 86399, 'unixepoch'), 'row ' || i, NULL, randomblob(i % 9), NULL, i FROM r;";

#[test]
fn what_was_written_is_equal_in_every_format() {
    let mut formats: Vec<Format> = [
        TextCodec::None,
        TextCodec::Gzip,
        TextCodec::Bzip2,
        TextCodec::Zstd,
        TextCodec::Snappy,
        TextCodec::Lz4,
        TextCodec::Deflate,
    ]
    .map(escaped_text)
    .to_vec();
    formats.push(Format::Parquet(ParquetCodec::Zstd));
    formats.push(Format::Parquet(ParquetCodec::None));
    let enclosed = TextFormat {
        enclosed_by: Some('"'),
        enclose_all: true,
        escaped_by: Some('\\'),
        ..token("\\N")
    };
    formats.push(Format::Text(enclosed));
    for format in formats {
        for map in ["", "n=string,d=string,day=string,s=string,x=string,moment=string"] {
            // Bytes that are no text cannot be read as such.
            let sql = if map.is_empty() {
                TYPES.to_string()
            } else {
                TYPES.replace("x'00ff'", "x'61'").replace("randomblob(i % 9)", "x'62'")
            };
            let mut fixture = Fixture::new(&sql, format.clone(), map);
            let rows = fixture.write();
            assert_eq!(rows, 993);
            for (index, outcome) in fixture.compared(rows).iter().enumerate() {
                assert_eq!(*outcome, Comparison::Equal, "{format:?} {map:?} column {index}");
            }
        }
    }
}

#[test]
fn runs_of_rows_add_up() {
    for format in [escaped_text(TextCodec::None), Format::Parquet(ParquetCodec::Snappy)] {
        let mut fixture = Fixture::new(TYPES, format, "");
        let rows = fixture.write();
        let mut all = Checksums::default();
        for run in fixture.files(&[1, 0, 500, rows - 501]).unwrap() {
            all.add(&run);
        }
        assert_eq!(all, fixture.files(&[rows]).unwrap()[0]);
        assert_eq!(all, fixture.database());
        for wrong in [rows - 1, rows + 1] {
            let error = fixture.files(&[wrong]).unwrap_err();
            assert_eq!(error.kind(), rsqoop_connector::ErrorKind::Verify);
            assert!(error.message().contains("993 rows"), "{error}");
        }
    }
}

/// Changes one value in the database after the file was written: as good as a change in the file.
#[test]
fn a_changed_value_is_found_and_its_key_named() {
    for format in [escaped_text(TextCodec::Zstd), Format::Parquet(ParquetCodec::Zstd)] {
        let mut fixture = Fixture::new(TYPES, format.clone(), "");
        let rows = fixture.write();
        for (column, sql, key) in [
            (8, "UPDATE t SET s = 'other' WHERE id = 500", "500"),
            (10, "UPDATE t SET x = x'0102' WHERE id = -3", "-3"),
            (8, "UPDATE t SET s = 'a,b\\c\n''' WHERE id = 1", "1"),
            (5, "UPDATE t SET day = '0000-02-28' WHERE id = 1", "1"),
        ] {
            let before = fixture.compared(rows);
            assert_eq!(before[0], Comparison::Equal);
            fixture.session.execute(sql).unwrap();
            let after = fixture.compared(rows);
            assert_eq!(after[column], Comparison::Different { column }, "{sql}");
            assert_eq!(fixture.first_difference(column, 0, rows).as_deref(), Some(key), "{sql}");
            fixture.write();
        }
    }
}

#[test]
fn the_server_is_asked_where_both_readers_agree() {
    let mut fixture = Fixture::new(TYPES, Format::Parquet(ParquetCodec::Zstd), "");
    let rows = fixture.write();
    let path = fixture.path();
    let part = Part {
        format: &fixture.format,
        columns: &fixture.columns,
        path: &path,
        skip: 0,
        rows: Some(rows),
    };
    let suspect = Suspect { query: &fixture.query, column: 8, key: 0, part };
    // A reader that agrees with the file while the server does not: the server's rows change only for
    // the checksum.
    fixture.session.execute("UPDATE t SET s = 'other' WHERE id IN (321, 800)").unwrap();
    let found = difference::by_ranges(&mut *fixture.session, &suspect, &suspect.wanted().unwrap());
    assert_eq!(found.unwrap().as_deref(), Some("321"));
}

#[test]
fn a_changed_key_and_a_changed_byte_of_the_file_are_found() {
    let mut fixture = Fixture::new(TYPES, escaped_text(TextCodec::None), "");
    let rows = fixture.write();
    let text = fs::read(fixture.path()).unwrap();
    let at = memchr::memmem::find(&text, b"row 321").unwrap();
    let mut changed = text.clone();
    changed[at + 5] = b'9';
    fs::write(fixture.path(), &changed).unwrap();
    assert_eq!(fixture.compared(rows)[8], Comparison::Different { column: 8 });
    assert_eq!(fixture.first_difference(8, 0, rows).as_deref(), Some("321"));
    // Not one of the other columns.
    assert_eq!(fixture.compared(rows).iter().filter(|c| **c != Comparison::Equal).count(), 1);
    // A delimiter that turns up, and one that goes.
    for (byte, problem) in [(b',', "14 fields"), (b'\n', "rows where 993 were written")] {
        changed[at + 3] = byte;
        fs::write(fixture.path(), &changed).unwrap();
        let error = fixture.files(&[rows]).unwrap_err();
        assert!(error.message().contains(problem), "{error}");
    }
    fs::write(fixture.path(), &text[..text.len() - 1]).unwrap();
    let error = fixture.files(&[rows]).unwrap_err();
    assert!(error.message().contains("ends within row 993"), "{error}");
    fs::write(fixture.path(), b"").unwrap();
    assert!(fixture.files(&[rows]).is_err());
}

#[test]
fn every_flipped_byte_of_a_parquet_file_is_found_or_harmless() {
    let mut fixture = Fixture::new(TYPES, Format::Parquet(ParquetCodec::None), "");
    let rows = fixture.write();
    let bytes = fs::read(fixture.path()).unwrap();
    let database = fixture.database();
    let mut found = 0;
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        fs::write(fixture.path(), &changed).unwrap();
        // The decoder may not get through; that it does not agree by accident is what matters.
        let outcome = std::panic::catch_unwind(|| {
            checksum_part(
                &fixture.format,
                &fixture.columns,
                &fixture.dir.path().join("part"),
                &[rows],
            )
        });
        let same = outcome.is_ok_and(|o| o.is_ok_and(|sums| sums[0] == database));
        found += usize::from(!same);
    }
    // The rest are statistics, index and names of the program.
    assert!(found * 97 > bytes.len() / 2, "{found} of {} found", bytes.len() / 97);
}

#[test]
fn what_looks_like_null_is_not_verified() {
    let sql = "CREATE TABLE t (id INT, s TEXT, n INT); INSERT INTO t VALUES (1, 'null', 5), (2, NULL, NULL), (3, 'x', 6);";
    let mut fixture = Fixture::new(sql, Format::Text(token("null")), "");
    let rows = fixture.write();
    let compared = fixture.compared(rows);
    assert_eq!(compared[2], Comparison::Equal);
    let Comparison::NotVerifiable { column: 1, why } = &compared[1] else { panic!("{compared:?}") };
    assert!(why.contains("1 of its values are \"null\""), "{why}");
    // Another value of that column is a difference all the same.
    fixture.session.execute("UPDATE t SET s = 'y' WHERE id = 3").unwrap();
    assert_eq!(fixture.compared(rows)[1], Comparison::Different { column: 1 });
    assert_eq!(fixture.first_difference(1, 0, rows).as_deref(), Some("3"));
    fixture
        .session
        .execute("UPDATE t SET s = NULL WHERE id = 1; UPDATE t SET s = 'x' WHERE id = 3")
        .unwrap_or_default();
}

#[test]
fn delimiters_that_nothing_escapes_are_not_verified() {
    let create = "CREATE TABLE t (id INT, s TEXT, n INT);";
    for (value, format, verified) in [
        ("a", token("null"), true),
        ("a,b", token("null"), false),
        ("a\nb", token("null"), false),
        ("a,5\n2,b", token("null"), false),
        ("a,b", TextFormat { enclosed_by: Some('"'), ..token("null") }, true),
        ("a\"b", TextFormat { enclosed_by: Some('"'), enclose_all: true, ..token("null") }, true),
        ("a\",", TextFormat { enclosed_by: Some('"'), ..token("null") }, false),
        (
            "a\",\"b",
            TextFormat { enclosed_by: Some('"'), enclose_all: true, ..token("null") },
            false,
        ),
        ("a\"\n", TextFormat { enclosed_by: Some('"'), ..token("null") }, false),
    ] {
        let value = value.replace('\n', "'||char(10)||'");
        let sql = format!("{create} INSERT INTO t VALUES (1, '{value}', 5), (2, 'x', 6);");
        let mut fixture = Fixture::new(&sql, Format::Text(format.clone()), "");
        let rows = fixture.write();
        for outcome in fixture.compared(rows) {
            match outcome {
                Comparison::Equal => assert!(verified, "{value:?} {format:?}"),
                Comparison::NotVerifiable { why, .. } => {
                    assert!(!verified, "{value:?} {format:?}");
                    assert!(why.contains("--escaped-by"), "{why}");
                }
                Comparison::Different { column } => panic!("{value:?} {format:?} column {column}"),
            }
        }
    }
}

#[test]
fn forms_that_lose_something_are_not_verified() {
    let sql =
        "CREATE TABLE t (id INT, s TEXT, c TIME); INSERT INTO t VALUES (1, 'a', '01:02:03.5');";
    let reasons = |format: TextFormat| {
        let mut fixture = Fixture::new(sql, Format::Text(format), "");
        let rows = fixture.write();
        let outcomes = fixture.compared(rows).into_iter();
        outcomes
            .filter_map(|outcome| match outcome {
                Comparison::NotVerifiable { column, why } => Some((column, why)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let escaped = TextFormat { escaped_by: Some('\\'), ..token("\\N") };
    assert!(reasons(escaped.clone()).is_empty());
    let drop = reasons(TextFormat { hive_delims: HiveDelims::Drop, ..escaped.clone() });
    assert!(drop.len() == 1 && drop[0].0 == 1 && drop[0].1.contains("--hive-drop"), "{drop:?}");
    let compat = reasons(TextFormat { sqoop_compat: true, ..escaped.clone() });
    assert!(
        compat.len() == 1 && compat[0].0 == 2 && compat[0].1.contains("--compat"),
        "{compat:?}"
    );
    let odd = reasons(token("a,b"));
    assert!(odd.len() == 3 && odd[0].1.contains("a,b"), "{odd:?}");
    let dangling = reasons(TextFormat { escaped_by: Some('\\'), ..token("x\\") });
    assert_eq!(dangling.len(), 3, "{dangling:?}");
}

#[test]
fn conversions_are_verified_where_the_text_stays() {
    let sql = "CREATE TABLE t (id INT, n DECIMAL(9,2), d DOUBLE, day DATE);";
    let map = "id=decimal(20,0),n=decimal(12,2),d=float,day=timestamp";
    let fixture = Fixture::new(sql, Format::Parquet(ParquetCodec::Zstd), map);
    let told: Vec<bool> =
        fixture.columns.iter().map(|c| comparable(&fixture.format, c).is_ok()).collect();
    assert_eq!(told, [true, true, true, false]);
    let map = "id=double,n=double,d=decimal(9,2),day=string";
    let fixture = Fixture::new(sql, Format::Parquet(ParquetCodec::Zstd), map);
    let told: Vec<bool> =
        fixture.columns.iter().map(|c| comparable(&fixture.format, c).is_ok()).collect();
    assert_eq!(told, [false, false, false, true]);
}

#[test]
fn an_audit_names_what_it_found() {
    use crate::verify::audit::{Ask, Audit, AuditedRun, Layout, audit_part};
    let mut fixture = Fixture::new(TYPES, Format::Parquet(ParquetCodec::Zstd), "");
    let rows = fixture.write();
    let run = |rows, skip: Option<&str>| AuditedRun {
        query: fixture.query.clone(),
        rows,
        skip: skip.map(str::to_string),
    };
    let runs = [run(rows, None)];
    let skipped = [run(rows, Some("an earlier snapshot"))];
    let path = fixture.path();
    let layout = Layout { format: &fixture.format, columns: &fixture.columns };
    let ask: &mut Ask<'_> = &mut |session, query| session.checksum(query);
    let (audit, sums) = audit_part(&mut *fixture.session, layout, &path, &runs, ask).unwrap();
    assert_eq!(sums.len(), 1);
    assert!(audit.verified().unwrap().ends_with("in all 13 columns"));
    assert!(audit.not_verified().is_empty());
    let mut both = Audit::default();
    both.add(audit);
    let (audit, _) = audit_part(&mut *fixture.session, layout, &path, &skipped, ask).unwrap();
    both.add(audit);
    assert_eq!(both.verified(), None);
    let told = both.not_verified();
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("and 8 more: an earlier snapshot"), "{told:?}");
    fixture.session.execute("UPDATE t SET s = 'other' WHERE id = 500").unwrap();
    let error = audit_part(&mut *fixture.session, layout, &path, &runs, ask).unwrap_err();
    assert_eq!(error.kind(), rsqoop_connector::ErrorKind::Verify);
    assert!(error.message().contains("column s of a file"), "{error}");
    assert!(error.message().contains("has id = 500"), "{error}");
    assert!(!error.to_string().contains("other"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whatever the texts and the form: never a false difference, and never equal after a change.
    #[test]
    fn never_a_false_answer(
        texts in prop::collection::vec(prop::option::of("[a,\n\"\\\\N]{0,4}"), 1..6),
        enclosed: bool, all: bool, escaped: bool, null in prop::sample::select(vec!["null", "\\N", "N", ""]),
        change in 0..6_usize,
    ) {
        let mut sql = "CREATE TABLE t (id INT, s TEXT, n INT);".to_string();
        for (index, text) in texts.iter().enumerate() {
            let value = text.as_ref().map_or("NULL".to_string(), |t| format!("'{t}'"));
            sql.push_str(&format!("INSERT INTO t VALUES ({index}, {value}, 7);"));
        }
        let format = TextFormat {
            enclosed_by: enclosed.then_some('"'),
            enclose_all: enclosed && all,
            escaped_by: escaped.then_some('\\'),
            ..token(null)
        };
        let mut fixture = Fixture::new(&sql, Format::Text(format), "");
        let rows = fixture.write();
        for outcome in fixture.compared(rows) {
            prop_assert!(!matches!(outcome, Comparison::Different { .. }), "{outcome:?}");
        }
        if change < texts.len() {
            fixture.session.execute(&format!("UPDATE t SET n = 8, s = 'changed' WHERE id = {change}")).unwrap();
            let outcomes = fixture.compared(rows);
            prop_assert!(outcomes[1] != Comparison::Equal && outcomes[2] != Comparison::Equal, "{outcomes:?}");
            for (column, outcome) in outcomes.iter().enumerate() {
                if matches!(outcome, Comparison::Different { .. }) {
                    let key = fixture.first_difference(column, 0, rows);
                    prop_assert_eq!(key, Some(change.to_string()));
                }
            }
        }
    }
}
