//! The end-to-end tests: the program `rsqoop` as its users run it, judged by other programs.
//!
//! | Module | What belongs there |
//! |---|---|
//! | `support` | temporary directories, running the program, SQLite fixtures, the independent judge; no tests |
//! | `cli` | help texts, error messages, exit statuses: what a person at the command line sees |
//! | `secrets` | that a password shows up nowhere |
//! | `publish` | what happens to the target directory: refuse, append, replace, races, names |
//! | `crash` | a kill or a failing disk at every call that changes the file system |
//! | `resume` | going on with a run that died; `runs` and `resume` |
//! | `race` | two runs on one target |
//! | `faults` | the network, signals, servers that die, limits that are to be kept |
//! | `balance` | one state for all workers, beside transfers at full speed |
//! | `memory` | memory-limited runs: long tables, rows of 100 MB, 1,600 columns |
//! | `kill` | that a run that dies leaves nothing that looks complete |
//! | `text` | delimited text, compared as bytes |
//! | `parquet` | Parquet files as DuckDB and pyarrow see them |
//! | `plan` | `plan` and `--dry-run` |
//! | `progress` | progress and the last lines of a run |
//! | `sample` | the sample database, every table in both formats |
//! | `verify` | that verification finds a connector that loses or doubles rows |
//! | `checksum` | that `--verify checksum` finds a value that is wrong, and says what it cannot tell |
//! | `metamorphic` | that the way of cutting and filtering never changes the rows |
//! | `servers` | the same program against PostgreSQL, MySQL and MariaDB |
//!
//! They need the `sqlite3` program, and in `RSQOOP_TEST_PYTHON` a Python with the packages of
//! `tests/lib/requirements.txt`; `tests/run it` provides both.

// Tells clippy that helpers outside `#[test]` functions are test code too.
#![cfg(test)]

mod balance;
mod checksum;
mod cli;
mod crash;
mod faults;
mod kill;
mod memory;
mod metamorphic;
mod parquet;
mod plan;
mod progress;
mod publish;
mod race;
mod resume;
mod sample;
mod secrets;
mod servers;
mod support;
mod text;
mod verify;
