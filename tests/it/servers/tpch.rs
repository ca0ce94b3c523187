//! TPC-H's lineitem, orders and customer at a small scale, in all four databases and both formats: an
//! independent reader finds every row again, and the right types.

use std::fmt::Write as _;

use super::support::{Database, Server, duckdb};

const ORDERS: u64 = 5_000;
const CUSTOMERS: u64 = 1_500;

struct Table {
    name: &'static str,
    ddl: &'static str,
    key: &'static str,
    /// Parquet's types where char, decimal and int are what they are in most databases.
    types: &'static str,
}

const LINEITEM: Table = Table {
    name: "lineitem",
    ddl: "l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber int NOT NULL, \
          l_quantity decimal(15,2) NOT NULL, l_extendedprice decimal(15,2) NOT NULL, l_discount decimal(15,2) NOT NULL, \
          l_tax decimal(15,2) NOT NULL, l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, \
          l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, \
          l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL",
    key: "l_orderkey, l_linenumber",
    types: "long long long int decimal decimal decimal decimal text text date date date text text text",
};

const ORDERS_TABLE: Table = Table {
    name: "orders",
    ddl: "o_orderkey bigint NOT NULL, o_custkey bigint NOT NULL, o_orderstatus char(1) NOT NULL, \
          o_totalprice decimal(15,2) NOT NULL, o_orderdate date NOT NULL, o_orderpriority char(15) NOT NULL, \
          o_clerk char(15) NOT NULL, o_shippriority int NOT NULL, o_comment varchar(79) NOT NULL",
    key: "o_orderkey",
    types: "long long text decimal date text text int text",
};

const CUSTOMER: Table = Table {
    name: "customer",
    ddl: "c_custkey bigint NOT NULL, c_name varchar(25) NOT NULL, c_address varchar(40) NOT NULL, \
          c_nationkey int NOT NULL, c_phone char(15) NOT NULL, c_acctbal decimal(15,2) NOT NULL, \
          c_mktsegment char(10) NOT NULL, c_comment varchar(117) NOT NULL",
    key: "c_custkey",
    types: "long text text int text decimal text text",
};

/// Numbers that are the same in every run (an LCG of Knuth's).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn cents(&mut self, limit: u64) -> String {
        let cents = self.below(limit);
        format!("{}.{:02}", cents / 100, cents % 100)
    }

    fn date(&mut self) -> String {
        format!("{}-{:02}-{:02}", 1992 + self.below(7), 1 + self.below(12), 1 + self.below(28))
    }

    fn word<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[usize::try_from(self.below(words.len() as u64)).expect("an index")]
    }

    /// Words with punctuation, at most `limit` characters, no blank at either end.
    fn comment(&mut self, limit: usize) -> String {
        const WORDS: [&str; 8] =
            ["furiously", "even;", "the", "ironic,", "deposits", "c'mon", "\"quoted\"", "žluť"];
        let mut text = String::new();
        while text.chars().count() < limit / 2 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(self.word(&WORDS));
        }
        text.chars().take(limit).collect::<String>().trim().to_string()
    }
}

fn lineitem() -> String {
    let (mut n, mut out) = (Numbers(1), String::new());
    for order in 1..=ORDERS {
        for line in 1..=1 + n.below(7) {
            let key = order * 32;
            let (part, supplier, quantity) = (1 + n.below(2000), 1 + n.below(100), 1 + n.below(50));
            let flags = (n.word(&["A", "N", "R"]), n.word(&["F", "O"]));
            let instruct =
                n.word(&["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]);
            let mode = n.word(&["AIR", "REG AIR", "SHIP", "TRUCK"]);
            let money = (n.cents(10_000_000), n.below(11), n.below(9));
            let dates = [n.date(), n.date(), n.date()].join("|");
            writeln!(
                out,
                "{key}|{part}|{supplier}|{line}|{quantity}.00|{}|0.{:02}|0.{:02}|{}|{}|{dates}|{instruct}|{mode}|{}",
                money.0, money.1, money.2, flags.0, flags.1, n.comment(44)
            )
            .expect("a string takes everything");
        }
    }
    out
}

fn orders() -> String {
    let (mut n, mut out) = (Numbers(2), String::new());
    for order in 1..=ORDERS {
        let (customer, status, total) =
            (1 + n.below(CUSTOMERS), n.word(&["F", "O", "P"]), n.cents(50_000_000));
        let (date, priority, clerk) =
            (n.date(), n.word(&["1-URGENT", "5-LOW", "3-MEDIUM"]), n.below(10));
        let comment = n.comment(79);
        writeln!(
            out,
            "{}|{customer}|{status}|{total}|{date}|{priority}|Clerk#{clerk:09}|0|{comment}",
            order * 32
        )
        .expect("a string takes everything");
    }
    out
}

fn customers() -> String {
    let (mut n, mut out) = (Numbers(3), String::new());
    for customer in 1..=CUSTOMERS {
        let (address, nation, phone) = (n.comment(40), n.below(25), n.below(10_000));
        let sign = if n.below(10) == 0 { "-" } else { "" };
        let (balance, segment) =
            (n.cents(1_000_000), n.word(&["BUILDING", "MACHINERY", "FURNITURE"]));
        let comment = n.comment(117);
        writeln!(
            out,
            "{customer}|Customer#{customer:09}|{address}|{nation}|25-989-741-{phone:04}|{sign}{balance}|{segment}|{comment}"
        )
        .expect("a string takes everything");
    }
    // -0.00 is 0.00 in every database.
    out.replace("|-0.00|", "|0.00|")
}

fn load(db: &Database, table: &Table, rows: &str) -> String {
    let file = db.path(&format!("{}.tbl", table.name)).display().to_string();
    std::fs::write(&file, rows).expect("the disk has room");
    let (name, ddl, key) = (table.name, table.ddl, table.key);
    db.sql(&format!("CREATE TABLE {name} ({ddl}, PRIMARY KEY ({key}));"));
    match db.server {
        // A character that no text holds stands for the quote.
        Server::Postgres => db.sql(&format!(
            "\\copy {name} FROM '{file}' (FORMAT csv, DELIMITER '|', QUOTE E'\\x01')\nANALYZE {name};"
        )),
        Server::Sqlite => db.sql(&format!(".mode ascii\n.separator | \"\\n\"\n.import '{file}' {name}\nANALYZE;")),
        _ => db.sql(&format!(
            "LOAD DATA LOCAL INFILE '{file}' INTO TABLE {name} CHARACTER SET utf8mb4 FIELDS TERMINATED BY '|' ESCAPED BY '';
             ANALYZE TABLE {name};"
        )),
    };
    file
}

/// Name and type of each column, as DuckDB's CSV reader wants them.
fn duckdb_columns(table: &Table) -> String {
    let mut depth = 0;
    let text: String = table
        .ddl
        .chars()
        .map(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if c == ',' && depth == 0 { '\n' } else { c }
        })
        .collect();
    let column = |line: &str| {
        let (name, kind) = line.trim().split_once(' ').expect("name and type");
        format!("'{name}': '{}'", kind.trim_end_matches(" NOT NULL").replace("char(", "varchar("))
    };
    let columns: Vec<String> =
        text.lines().map(column).map(|c| c.replace("varvarchar", "varchar")).collect();
    format!("{{{}}}", columns.join(", "))
}

/// The loaded file as this server gives it back: PostgreSQL pads `char`.
fn expected(server: Server, table: &Table, file: &str) -> String {
    let from = csv(table, file);
    if server != Server::Postgres {
        return format!("(SELECT * FROM {from})");
    }
    let padded: Vec<String> = table
        .ddl
        .split(", ")
        .filter_map(|c| {
            let (name, rest) = c.trim().split_once(" char(")?;
            let width = rest.split_once(')')?.0;
            Some(format!("rpad({name}, {width}, ' ') AS {name}"))
        })
        .collect();
    format!("(SELECT * REPLACE ({}) FROM {from})", padded.join(", "))
}

fn csv(table: &Table, files: &str) -> String {
    let columns = duckdb_columns(table);
    format!(
        "read_csv('{files}', delim = '|', quote = '', escape = '', header = false, auto_detect = false, \
         nullstr = 'null', columns = {columns})"
    )
}

#[track_caller]
fn same_rows(server: Server, wanted: &str, found: &str) {
    let sql = format!(
        "SELECT (SELECT count(*) FROM {wanted}), (SELECT count(*) FROM {found}),
         (SELECT count(*) FROM (SELECT * FROM {wanted} EXCEPT ALL SELECT * FROM {found})),
         (SELECT count(*) FROM (SELECT * FROM {found} EXCEPT ALL SELECT * FROM {wanted}))"
    );
    let answer = duckdb(&sql);
    let counts: Vec<&str> = answer[0].iter().map(|c| c.as_deref().unwrap_or("")).collect();
    assert!(counts[0] != "0" && counts[0] == counts[1], "{server:?}: {counts:?} rows in {found}");
    assert_eq!(
        (counts[2], counts[3]),
        ("0", "0"),
        "{server:?}: missing and additional rows in {found}"
    );
}

fn parquet_types(server: Server, table: &Table) -> Vec<&'static str> {
    let kind = |word: &str| match word {
        "long" => "INT64",
        // SQLite knows one width of integers.
        "int" if server == Server::Sqlite => "INT64",
        "int" => "INT32",
        "decimal" => "INT64 DECIMAL(15,2)",
        "date" => "INT32 DATE",
        _ => "BYTE_ARRAY STRING",
    };
    table.types.split(' ').map(kind).collect()
}

fn check(server: Server) {
    let db = Database::new(server, "tpch");
    for (table, rows) in [(LINEITEM, lineitem()), (ORDERS_TABLE, orders()), (CUSTOMER, customers())]
    {
        let file = load(&db, &table, &rows);
        let wanted = expected(server, &table, &file);
        let count = u64::try_from(rows.lines().count()).expect("a count");
        let run = db
            .import(
                &format!("{}_parquet", table.name),
                &["--table", table.name, "--as-parquetfile"],
            )
            .ok();
        assert_eq!(run.records(), count, "{server:?} {}", table.name);
        let found = format!("read_parquet('{}/part-m-*.parquet')", run.target.display());
        same_rows(server, &wanted, &found);
        let none = db.import(
            "types",
            &["--table", table.name, "--as-parquetfile", "--where", "1 = 0", "--delete-target-dir"],
        );
        let files = none.ok().read();
        let types: Vec<&str> = files.columns.iter().map(|c| c.parquet.as_str()).collect();
        assert_eq!(types, parquet_types(server, &table), "{server:?} {}", table.name);
        assert!(files.columns.iter().all(|c| c.required), "{server:?}: all columns are NOT NULL");
        let flags = ["--table", table.name, "--as-textfile", "--fields-terminated-by", "|"];
        let run = db.import(&format!("{}_text", table.name), &flags).ok();
        assert_eq!(run.records(), count, "{server:?} {}", table.name);
        same_rows(server, &wanted, &csv(&table, &format!("{}/part-m-*", run.target.display())));
    }
}

#[test]
fn postgres_tpch() {
    check(Server::Postgres);
}

#[test]
fn mariadb_tpch() {
    check(Server::MariaDb);
}

#[test]
fn mysql_tpch() {
    check(Server::MySql);
}

#[test]
fn sqlite_tpch() {
    check(Server::Sqlite);
}
