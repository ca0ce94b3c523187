//! Tests of what only SQLite has: its types, its files, its locks.

#[cfg(test)]
mod common;
#[cfg(test)]
mod files;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod values;
