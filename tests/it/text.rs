//! Delimited text, compared as bytes with what Sqoop 1.4.7 writes.

use std::fs;

use crate::support::{Dir, bytes, judge_text, names, parts};

/// Everything that delimiters, quotes and NULL tokens can trip over, in a text column and, for NULL,
/// in a number column.
const HARD: [(Option<&str>, Option<i64>); 14] = [
    (Some("plain"), Some(1)),
    (Some("a,b"), None),
    (Some("say \"hi\""), Some(-3)),
    (Some("\"a"), Some(4)),
    (Some("it's"), Some(5)),
    (Some("back\\slash"), Some(6)),
    (Some("ends in \\"), Some(7)),
    (Some("line\nbreak"), Some(8)),
    (Some("cr\r\nlf\u{1}end"), Some(9)),
    (Some("tab\tpipe|semi;"), Some(10)),
    (Some("Žluťoučký 日本 🦀"), Some(11)),
    (Some(""), Some(12)),
    (Some("null"), None),
    (None, None),
];

fn hard() -> Dir {
    let mut sql = "CREATE TABLE hard (id INTEGER PRIMARY KEY, s TEXT, n INTEGER);\n".to_string();
    for (index, (text, number)) in HARD.iter().enumerate() {
        let text = text.map_or("NULL".to_string(), |t| {
            let hex: String = t.bytes().map(|b| format!("{b:02x}")).collect();
            format!("CAST(x'{hex}' AS TEXT)")
        });
        let number = number.map_or("NULL".to_string(), |n| n.to_string());
        sql += &format!("INSERT INTO hard VALUES ({index}, {text}, {number});\n");
    }
    Dir::with_db(&sql)
}

/// What a set of flags means, for the rules below.
struct Rules {
    field: char,
    record: char,
    enclose: Option<(char, bool)>,
    escape: Option<char>,
    null_string: &'static str,
    null_other: &'static str,
    compat: bool,
    hive: Option<&'static str>,
}

const PLAIN: Rules = Rules {
    field: ',',
    record: '\n',
    enclose: None,
    escape: None,
    null_string: "null",
    null_other: "null",
    compat: false,
    hive: None,
};

impl Rules {
    /// `FieldFormatter.escapeAndEnclose` of Sqoop 1.4.7, step by step.
    fn format(&self, text: &str) -> String {
        let mut out = text.to_string();
        if let Some(e) = self.escape {
            out = out.replace(e, &format!("{e}{e}"));
        }
        let Some((q, always)) = self.enclose else {
            if let Some(e) = self.escape {
                for delimiter in [self.field, self.record] {
                    out = out.replace(delimiter, &format!("{e}{delimiter}"));
                }
            }
            return out;
        };
        if let Some(e) = self.escape {
            out = out.replace(q, &format!("{e}{q}"));
        }
        if always || text.contains([self.field, self.record]) {
            format!("{q}{out}{q}")
        } else {
            out
        }
    }

    fn null(&self, token: &str) -> String {
        if self.compat {
            return self.format(token);
        }
        Rules { escape: None, ..*self }.format(token)
    }

    fn expected(&self) -> String {
        let mut out = String::new();
        for (id, (text, number)) in HARD.iter().enumerate() {
            let text = match (text, self.hive) {
                (Some(text), Some(with)) => Some(text.replace(['\n', '\r', '\u{1}'], with)),
                (text, _) => text.map(str::to_string),
            };
            let fields = [
                self.format(&id.to_string()),
                text.map_or_else(|| self.null(self.null_string), |t| self.format(&t)),
                number.map_or_else(|| self.null(self.null_other), |n| self.format(&n.to_string())),
            ];
            out += &fields.join(&self.field.to_string());
            out.push(self.record);
        }
        out
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Imports the table with every set of flags and compares the bytes with what the rules say.
fn check(cases: &[(&[&str], Rules)]) {
    let dir = hard();
    for (index, (flags, rules)) in cases.iter().enumerate() {
        let target = format!("out{index}");
        let run = dir.import("hard", &[&["-m", "1", "--target-dir", &target], *flags].concat());
        assert!(!run.stderr.contains("warning"), "{flags:?}: {}", run.stderr);
        let written = bytes(&dir.path(&target));
        assert!(
            written == rules.expected().as_bytes(),
            "{flags:?}\nwritten:\n{}\nexpected:\n{}",
            shown(&written),
            rules.expected()
        );
    }
}

fn q(enclose: char, always: bool) -> Option<(char, bool)> {
    Some((enclose, always))
}

#[test]
fn delimiters_enclosing_and_escaping_give_sqoops_bytes() {
    check(&[
        (&[], PLAIN),
        (&["--fields-terminated-by", "|"], Rules { field: '|', ..PLAIN }),
        (&["--fields-terminated-by", r"\t"], Rules { field: '\t', ..PLAIN }),
        (&["--fields-terminated-by", r"\001"], Rules { field: '\u{1}', ..PLAIN }),
        (&["--fields-terminated-by", r"\054"], Rules { field: ',', ..PLAIN }),
        (&["--fields-terminated-by", r"\0x7c"], Rules { field: '|', ..PLAIN }),
        (&["--fields-terminated-by", r"\0"], Rules { field: '\0', ..PLAIN }),
        (&["--fields-terminated-by", "§"], Rules { field: '§', ..PLAIN }),
        (
            &["--fields-terminated-by", ";", "--lines-terminated-by", r"\r"],
            Rules { field: ';', record: '\r', ..PLAIN },
        ),
        (&["--enclosed-by", "\""], Rules { enclose: q('"', true), ..PLAIN }),
        (&["--optionally-enclosed-by", "\""], Rules { enclose: q('"', false), ..PLAIN }),
        (
            &["--optionally-enclosed-by", "'", "--enclosed-by", "\""],
            Rules { enclose: q('"', true), ..PLAIN },
        ),
        (&["--escaped-by", r"\"], Rules { escape: Some('\\'), ..PLAIN }),
        (&["--escaped-by", r"\\"], Rules { escape: Some('\\'), ..PLAIN }),
        (
            &["--escaped-by", r"\\", "--enclosed-by", r#"\""#],
            Rules { escape: Some('\\'), enclose: q('"', true), ..PLAIN },
        ),
        (
            &["--escaped-by", "|", "--optionally-enclosed-by", "'", "--fields-terminated-by", ";"],
            Rules { field: ';', escape: Some('|'), enclose: q('\'', false), ..PLAIN },
        ),
        (&["--escaped-by", r"\0", "--enclosed-by", r"\0"], PLAIN),
        (&["--mysql-delimiters"], Rules { escape: Some('\\'), enclose: q('\'', false), ..PLAIN }),
    ]);
}

#[test]
fn null_tokens_and_hive_flags_give_sqoops_bytes() {
    check(&[
        (
            &["--null-string", r"\\N", "--null-non-string", r"\\N", "--escaped-by", r"\\"],
            Rules { null_string: r"\N", null_other: r"\N", escape: Some('\\'), ..PLAIN },
        ),
        (
            &["--null-string", r"\N", "--null-non-string", r"\N", "--escaped-by", r"\\"],
            Rules { null_string: r"\N", null_other: r"\N", escape: Some('\\'), ..PLAIN },
        ),
        (
            &[
                "--null-string",
                r"\\N",
                "--null-non-string",
                r"\\N",
                "--escaped-by",
                r"\\",
                "--compat",
                "sqoop1.4",
            ],
            Rules {
                null_string: r"\N",
                null_other: r"\N",
                escape: Some('\\'),
                compat: true,
                ..PLAIN
            },
        ),
        (
            &["--null-string", "", "--null-non-string", "-1"],
            Rules { null_string: "", null_other: "-1", ..PLAIN },
        ),
        (
            &["--null-string", "a,b", "--enclosed-by", "'"],
            Rules { null_string: "a,b", enclose: q('\'', true), ..PLAIN },
        ),
        (&["--hive-drop-import-delims"], Rules { hive: Some(""), ..PLAIN }),
        (
            &["--hive-delims-replacement", " , ", "--escaped-by", r"\\"],
            Rules { hive: Some(" , "), escape: Some('\\'), ..PLAIN },
        ),
        (
            &[
                "--hive-drop-import-delims",
                "--fields-terminated-by",
                r"\001",
                "--null-string",
                r"\\N",
            ],
            Rules { hive: Some(""), field: '\u{1}', null_string: r"\N", ..PLAIN },
        ),
        (&["--as-textfile", "--compat", "sqoop1.4"], Rules { compat: true, ..PLAIN }),
    ]);
}

/// The same without the rules above: bytes as they stand in Sqoop's output.
#[test]
fn lines_as_sqoop_writes_them() {
    let dir = hard();
    let line = |target: &str, id: usize, flags: &[&str]| {
        let filter = format!("id = {id}");
        let fixed = ["-m", "1", "--where", &filter, "--target-dir", target];
        dir.import("hard", &[&fixed[..], flags].concat());
        shown(&bytes(&dir.path(target)))
    };
    assert_eq!(line("a", 1, &[]), "1,a,b,null\n");
    assert_eq!(line("b", 1, &["--mysql-delimiters"]), "1,'a,b',null\n");
    assert_eq!(line("c", 4, &["--mysql-delimiters"]), "4,it\\'s,5\n");
    assert_eq!(line("d", 7, &["--mysql-delimiters"]), "7,'line\nbreak',8\n");
    assert_eq!(line("e", 5, &["--mysql-delimiters"]), "5,back\\\\slash,6\n");
    let quoted = ["--enclosed-by", "\"", "--escaped-by", "\\\\"];
    assert_eq!(line("f", 2, &quoted), "\"2\",\"say \\\"hi\\\"\",\"-3\"\n");
    assert_eq!(line("g", 13, &quoted), "\"13\",\"null\",\"null\"\n");
    assert_eq!(line("h", 7, &["--escaped-by", "\\\\"]), "7,line\\\nbreak,8\n");
    assert_eq!(line("i", 8, &["--hive-delims-replacement", "$"]), "8,cr$$lf$end,9\n");
}

#[test]
fn values_have_sqoops_forms() {
    let dir = Dir::with_db(
        "CREATE TABLE v (id INTEGER PRIMARY KEY, d DOUBLE, m DECIMAL(20,7), b BOOLEAN, day DATE,
             at TIMESTAMP, t TIME, x BLOB, u UUID, j JSON, big BIGINT);
         INSERT INTO v VALUES
           (1, 256.0, '1.5', 1, '2024-02-29', '2024-02-29 01:02:03', '23:59:59', x'0102ff',
            '0123ABCD-4567-89ab-cdef-0123456789AB', '{\"a\": [1]}', 9223372036854775807),
           (2, 1e10, 0, 0, '0001-01-01', '1969-12-31 23:59:59.999999', '00:00:00.5', x'',
            '00000000-0000-0000-0000-000000000000', 'null', -9223372036854775808),
           (3, 9e999, '-0.0000001', NULL, '9999-12-31', '2000-01-01 00:00:00.1200', NULL, NULL, NULL, NULL, NULL),
           (4, 0.1, 12345678, 1, NULL, NULL, '12:30', x'00', NULL, '[]', 0),
           (5, -9e999, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
           (6, 5e-324, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
           (7, 1.7976931348623157e308, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
           (8, -1.5, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
    );
    dir.import("v", &["-m", "1", "--target-dir", "out", "--fields-terminated-by", "|"]);
    let expected = "\
1|256.0|1.5000000|true|2024-02-29|2024-02-29 01:02:03.0|23:59:59|01 02 ff|0123abcd-4567-89ab-cdef-0123456789ab|{\"a\": [1]}|9223372036854775807
2|1.0E10|0.0000000|false|0001-01-01|1969-12-31 23:59:59.999999|00:00:00.5||00000000-0000-0000-0000-000000000000|null|-9223372036854775808
3|Infinity|-0.0000001|null|9999-12-31|2000-01-01 00:00:00.12|null|null|null|null|null
4|0.1|12345678.0000000|true|null|null|12:30:00|00|null|[]|0
5|-Infinity|null|true|null|null|null|null|null|null|null
6|4.9E-324|null|true|null|null|null|null|null|null|null
7|1.7976931348623157E308|null|true|null|null|null|null|null|null|null
8|-1.5|null|true|null|null|null|null|null|null|null
";
    assert_eq!(shown(&bytes(&dir.path("out"))), expected);
    let more = ["-m", "1", "--target-dir", "compat", "--compat", "sqoop1.4", "--where", "id = 2"];
    dir.import("v", &[&more[..], &["--columns", "t"]].concat());
    assert_eq!(bytes(&dir.path("compat")), b"00:00:00\n", "Sqoop drops the fraction of a time");
}

#[test]
fn compressed_files_hold_the_same_bytes() {
    // Enough for several of Hadoop's blocks.
    let dir = Dir::with_db(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
         INSERT INTO t SELECT i, hex(i * 2654435761 % 4294967296) || ' row ' || (i % 97) FROM n;
         CREATE TABLE none (id INTEGER PRIMARY KEY);",
    );
    dir.import("t", &["--target-dir", "plain", "-m", "2"]);
    let plain = bytes(&dir.path("plain"));
    assert!(plain.len() > 1_000_000);
    for (codec, ending, compat) in [
        ("gzip", ".gz", "org.apache.hadoop.io.compress.GzipCodec"),
        ("bzip2", ".bz2", "BZip2Codec"),
        ("zstd", ".zst", "ZStandardCodec"),
        ("snappy", ".snappy", "org.apache.hadoop.io.compress.SnappyCodec"),
        ("lz4", ".lz4", "Lz4Codec"),
        ("deflate", ".deflate", "org.apache.hadoop.io.compress.DefaultCodec"),
    ] {
        dir.import("t", &["--target-dir", codec, "-m", "2", "--compression-codec", codec]);
        let out = dir.path(codec);
        let files: Vec<String> = (0..2).map(|n| format!("part-m-{n:05}{ending}")).collect();
        assert_eq!(names(&out)[2..], files, "{codec}");
        assert!(bytes(&out).len() < plain.len() * 9 / 10, "{codec} compresses");
        assert!(judge_text(&parts(&out)) == plain, "{codec}: other bytes");
        // Hadoop's class name means the same, and a file without rows can be read too.
        let empty = format!("{codec}-empty");
        dir.import("none", &["--target-dir", &empty, "--compression-codec", compat, "-m", "1"]);
        assert_eq!(names(&dir.path(&empty))[2..], [format!("part-m-00000{ending}")]);
        assert_eq!(judge_text(&parts(&dir.path(&empty))), b"", "{codec}");
    }
    dir.import("t", &["--target-dir", "z", "-z"]);
    assert!(dir.path("z/part-m-00003.gz").is_file());
    dir.import("t", &["--target-dir", "no", "--compression-codec", "none"]);
    assert!(bytes(&dir.path("no")) == plain);
}

#[test]
fn an_empty_table_gives_empty_files() {
    let dir = Dir::with_db("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);");
    let run = dir.import("t", &["--target-dir", "out", "-m", "3"]);
    for part in parts(&dir.path("out")) {
        assert_eq!(fs::read(part).unwrap(), b"");
    }
    assert_eq!(names(&dir.path("out")).len(), 5);
    assert!(run.stderr.ends_with("Retrieved 0 records.\n"), "{}", run.stderr);
}

#[test]
fn a_delimiter_of_several_characters_is_cut_with_a_warning() {
    let dir = Dir::with_db("CREATE TABLE t (a INTEGER, b INTEGER); INSERT INTO t VALUES (1, 2);");
    let run = dir.import("t", &["--target-dir", "out", "--fields-terminated-by", "||"]);
    let warning = "warning: --fields-terminated-by \"||\" has several characters; only the first, '|', is used\n";
    assert!(run.stderr.contains(warning), "{}", run.stderr);
    assert_eq!(bytes(&dir.path("out")), b"1|2\n");
}
