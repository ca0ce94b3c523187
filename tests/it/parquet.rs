//! Parquet files as DuckDB and pyarrow see them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Dir, bytes, judge_footers, judge_parquet, parts};

/// A column of every type that SQLite's declared types lead to, with extremes and NULLs.
const TYPES: &str = "
    CREATE TABLE v (id INTEGER PRIMARY KEY, big BIGINT NOT NULL, b BOOLEAN, d DOUBLE, m DECIMAL(20,7),
        wide DECIMAL(60,2), day DATE, at TIMESTAMP, t TIME, s VARCHAR(20), x BLOB, u UUID, j JSON, free);
    INSERT INTO v VALUES
      (1, 9223372036854775807, 1, 1.7976931348623157e308, '1.5', '12', '0001-01-01',
       '2024-02-29 01:02:03.000004', '23:59:59.999999', 'Žluť 🦀', x'00ff', '0123abcd-4567-89ab-cdef-0123456789ab',
       '{\"a\": [1]}', 'x'),
      (2, -9223372036854775808, 0, 5e-324, '-0.0000001', '-0.25', '9999-12-31', '1969-12-31 23:59:59.999999',
       '00:00:00', '', x'', '00000000-0000-0000-0000-000000000000', 'null', 7),
      (3, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);";

/// Imports the table above and lets other readers look at its files.
fn types(look: impl Fn(&[std::path::PathBuf]) -> Value) -> Value {
    let dir = Dir::with_db(TYPES);
    dir.import("v", &["--target-dir", "out", "-m", "1", "--as-parquetfile"]);
    look(&parts(&dir.path("out")))
}

#[test]
fn values_are_what_other_readers_find() {
    let expected = json!([
        [
            "1",
            "9223372036854775807",
            true,
            "1.7976931348623157e+308",
            "1.5000000",
            "12.00",
            "0001-01-01",
            "2024-02-29 01:02:03.000004",
            "23:59:59.999999",
            "Žluť 🦀",
            "00ff",
            "0123abcd456789abcdef0123456789ab",
            "{\"a\": [1]}",
            "x"
        ],
        [
            "2",
            "-9223372036854775808",
            false,
            "5e-324",
            "-0.0000001",
            "-0.25",
            "9999-12-31",
            "1969-12-31 23:59:59.999999",
            "00:00:00",
            "",
            "",
            "00000000000000000000000000000000",
            "null",
            "7"
        ],
        ["3", "0", null, null, null, null, null, null, null, null, null, null, null, null],
    ]);
    assert_eq!(types(judge_parquet)["values"], expected);
}

#[test]
fn types_are_parquets_own() {
    let seen = types(judge_parquet);
    let expected = [
        ("big", "int64", "INT64", "", false),
        ("b", "bool", "BOOLEAN", "None", true),
        ("d", "double", "DOUBLE", "None", true),
        ("m", "decimal128(20, 7)", "FIXED_LEN_BYTE_ARRAY", "Decimal(precision=20, scale=7)", true),
        (
            "wide",
            "decimal256(60, 2)",
            "FIXED_LEN_BYTE_ARRAY",
            "Decimal(precision=60, scale=2)",
            true,
        ),
        ("day", "date32[day]", "INT32", "Date", true),
        (
            "at",
            "timestamp[us]",
            "INT64",
            "Timestamp(isAdjustedToUTC=false, timeUnit=microseconds",
            true,
        ),
        ("t", "time64[us]", "INT64", "Time(isAdjustedToUTC=false, timeUnit=microseconds", true),
        ("s", "string", "BYTE_ARRAY", "String", true),
        ("x", "binary", "BYTE_ARRAY", "None", true),
        ("u", "extension<arrow.uuid>", "FIXED_LEN_BYTE_ARRAY", "UUID", true),
        ("j", "extension<arrow.json>", "BYTE_ARRAY", "JSON", true),
        ("free", "string", "BYTE_ARRAY", "String", true),
    ];
    let schema = seen["schema"].as_array().unwrap();
    for (name, arrow, physical, logical, nullable) in expected {
        let column = schema.iter().find(|c| c["name"] == name).unwrap();
        assert_eq!(
            (&column["arrow"], &column["physical"]),
            (&arrow.into(), &physical.into()),
            "{name}"
        );
        assert!(column["logical"].as_str().unwrap().starts_with(logical), "{name}: {column}");
        assert_eq!(column["nullable"], nullable, "{name}");
    }
    let duckdb = &types(judge_footers)["duckdb"];
    for (name, expected) in [
        ("big", "BIGINT"),
        ("b", "BOOLEAN"),
        ("d", "DOUBLE"),
        ("m", "DECIMAL(20,7)"),
        ("day", "DATE"),
        ("at", "TIMESTAMP"),
        ("t", "TIME"),
        ("s", "VARCHAR"),
        ("x", "BLOB"),
        ("u", "UUID"),
        ("j", "JSON"),
    ] {
        assert_eq!(duckdb[name], expected, "{name}");
    }
}

#[test]
fn the_databases_own_types_are_in_the_metadata() {
    let seen = types(judge_parquet);
    let text = seen["metadata"]["rsqoop.columns"].as_str().unwrap();
    let columns: Value = serde_json::from_str(text).unwrap();
    let columns: Vec<(&str, &str)> = columns
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["native_type"].as_str().unwrap()))
        .collect();
    assert_eq!(columns.len(), 14);
    assert_eq!(columns[0], ("id", "INTEGER"));
    assert_eq!(columns[4], ("m", "DECIMAL(20,7)"));
    assert_eq!(columns[9], ("s", "VARCHAR(20)"));
    assert_eq!(columns[13], ("free", ""));
}

#[test]
fn every_codec_opens_elsewhere_and_holds_the_same_rows() {
    let dir = Dir::with_db(&format!(
        "{TYPES}
         WITH RECURSIVE n (i) AS (SELECT 4 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO v (id, big, s, d) SELECT i, i * 7919 % 1000, 'text ' || (i % 31), i / 8.0 FROM n;"
    ));
    dir.import(
        "v",
        &["--target-dir", "none", "-m", "1", "--as-parquetfile", "--compression-codec", "none"],
    );
    let expected = judge_parquet(&parts(&dir.path("none")));
    assert_eq!((&expected["rows"], &expected["codecs"]), (&json!(3000), &json!(["UNCOMPRESSED"])));
    for (name, flags, codec) in [
        ("default", &[][..], "ZSTD"),
        ("z", &["-z"], "ZSTD"),
        ("snappy", &["--compression-codec", "snappy"], "SNAPPY"),
        ("gzip", &["--compression-codec", "org.apache.hadoop.io.compress.GzipCodec"], "GZIP"),
        ("zstd", &["--compression-codec", "zstd"], "ZSTD"),
        ("lz4", &["--compression-codec", "lz4"], "LZ4"),
        ("brotli", &["--compression-codec", "brotli"], "BROTLI"),
    ] {
        let fixed = ["--target-dir", name, "-m", "1", "--as-parquetfile"];
        dir.import("v", &[&fixed, flags].concat());
        let seen = judge_parquet(&parts(&dir.path(name)));
        assert_eq!(seen["codecs"], json!([codec]), "{name}");
        assert_eq!(seen["values"], expected["values"], "{name}");
        assert_eq!(seen["schema"], expected["schema"], "{name}");
        assert!(bytes(&dir.path(name)).len() < bytes(&dir.path("none")).len(), "{name} compresses");
    }
}

#[test]
fn statistics_page_index_and_row_groups() {
    let dir = Dir::with_db(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER NOT NULL, s TEXT, d DOUBLE);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500000)
         INSERT INTO t SELECT i, i % 9, CASE WHEN i % 4 THEN 's' || (i % 1000) END, i / 3.0 FROM n;",
    );
    dir.import("t", &["--target-dir", "out", "-m", "1", "--as-parquetfile"]);
    let seen = judge_footers(&parts(&dir.path("out")));
    let file = &seen["files"][0];
    assert_eq!(file["rows"], 1_500_000);
    let groups: Vec<u64> =
        file["row_groups"].as_array().unwrap().iter().map(|g| g.as_u64().unwrap()).collect();
    assert!(groups.len() >= 2, "{groups:?}");
    assert_eq!(groups.iter().sum::<u64>(), 1_500_000);
    assert!(file["created_by"].as_str().unwrap().starts_with("rsqoop version "), "{file}");
    let columns = file["columns"].as_object().unwrap();
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["id", "k", "s", "d"]);
    for (name, column) in columns {
        assert_eq!(column["offset_index"], true, "{name}");
        if name == "d" {
            // NaN would lie beyond both ends; see `format::parquet`.
            assert_eq!(column["min_max"], false, "{name}");
            continue;
        }
        assert_eq!(column["column_index"], true, "{name}");
        assert_eq!(column["min_max"], true, "{name}");
        let nulls = if name == "s" { groups[0] / 4 } else { 0 };
        assert_eq!(column["nulls"], nulls, "{name}");
    }
    let encodings = |name: &str| -> BTreeSet<&str> {
        columns[name]["encodings"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect()
    };
    assert!(encodings("id").contains("DELTA_BINARY_PACKED"), "the key: {:?}", encodings("id"));
    assert!(encodings("k").contains("RLE_DICTIONARY"), "{:?}", encodings("k"));
}

#[test]
fn an_empty_table_gives_valid_files_without_rows() {
    let dir =
        Dir::with_db("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, d DECIMAL(5,2));");
    dir.import("t", &["--target-dir", "out", "-m", "3", "--as-parquetfile"]);
    let files = parts(&dir.path("out"));
    assert_eq!(files.len(), 3);
    let seen = judge_parquet(&files);
    assert_eq!((&seen["rows"], &seen["files"]), (&json!(0), &json!(3)));
    let names: Vec<&Value> =
        seen["schema"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["id", "a", "d"]);
    assert_eq!(seen["schema"][1]["nullable"], false);
}

#[test]
fn chosen_types_are_in_the_files() {
    let dir = Dir::with_db(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, flag INTEGER, price TEXT, day TEXT, n NUMERIC);
         INSERT INTO t VALUES (1, 1, '12.50', '2024-02-29', 3.25), (2, NULL, NULL, NULL, NULL);",
    );
    let types = "id=int,flag=boolean,price=decimal(10,2),day=date,n=double";
    dir.import("t", &["--target-dir", "out", "-m", "1", "--as-parquetfile", "--map-column", types]);
    let seen = judge_parquet(&parts(&dir.path("out")));
    let arrow: Vec<&str> =
        seen["schema"].as_array().unwrap().iter().map(|c| c["arrow"].as_str().unwrap()).collect();
    assert_eq!(arrow, ["int32", "bool", "decimal128(10, 2)", "date32[day]", "double"]);
    assert_eq!(
        seen["values"],
        json!([["1", true, "12.50", "2024-02-29", "3.25"], ["2", null, null, null, null]])
    );
    let java = "id=String,flag=Boolean,price=java.math.BigDecimal";
    let columns = ["--columns", "id,flag"];
    let java = java.split(",price").next().unwrap();
    let flags = ["--target-dir", "java", "-m", "1", "--as-parquetfile", "--map-column-java", java];
    dir.import("t", &[&flags[..], &columns].concat());
    let seen = judge_parquet(&parts(&dir.path("java")));
    assert_eq!(seen["values"], json!([["1", true], ["2", null]]));
    assert_eq!(seen["schema"][0]["arrow"], "string");
}

#[test]
fn names_of_columns_survive_whatever_they_are() {
    let dir = Dir::with_db(
        "CREATE TABLE t (\"select\" INTEGER, \"two words\" INTEGER, \"quote\"\"d\" INTEGER, \"dot.ted\" INTEGER, \"日本\" INTEGER, \"A\" INTEGER, \"semi;--\" INTEGER);
         INSERT INTO t VALUES (1, 2, 3, 4, 5, 6, 7);",
    );
    dir.import("t", &["--target-dir", "out", "--as-parquetfile"]);
    let seen = judge_parquet(&parts(&dir.path("out")));
    let names: Vec<&Value> =
        seen["schema"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["select", "two words", "quote\"d", "dot.ted", "日本", "A", "semi;--"]);
    assert_eq!(seen["values"], json!([["1", "2", "3", "4", "5", "6", "7"]]));
}
