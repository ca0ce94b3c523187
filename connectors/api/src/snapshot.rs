//! How all readers of a run come to see one state of the database.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Relation;

/// How strong the state must be that all readers share (`--consistency`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// One snapshot; writers are kept waiting for no more than the moment of opening.
    #[default]
    Snapshot,
    /// The tables are locked against writers for as long as they are read: for tables without row
    /// versions.
    Lock,
    /// None: every statement may see another state.
    None,
}

/// What the readers must agree on.
#[derive(Debug, Clone)]
pub struct SnapshotRequest {
    /// All that will be read: tables, views, queries.
    pub relations: Vec<Relation>,
    /// How strong the state must be.
    pub consistency: Consistency,
}

/// The name of a snapshot, as the sharing session gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotId(pub String);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A state that readers can join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedSnapshot {
    /// Its name, for [`SnapshotOp::Join`].
    pub id: SnapshotId,
    /// How it was come by, in one line for people: `global read lock for 12 ms, one consistent
    /// snapshot per session`.
    pub recipe: String,
    /// Where the server's log stood, if it has one and this login may know: `gtid 0-1-17`, `wal
    /// 0/16B3748`.
    pub position: Option<String>,
    /// Names the state of the data itself, where a later run can recognise it: two snapshots with
    /// equal data versions hold the same rows.
    pub data_version: Option<String>,
}

/// A step in giving all readers one state.
#[derive(Debug, Clone)]
pub enum SnapshotOp {
    /// Makes this session the keeper of a state and names it.
    Share(SnapshotRequest),
    /// Makes this session see it.
    Join(SnapshotId),
    /// Everybody has joined: gives back locks that were needed only for joining.
    Release,
    /// Everything was read: fails if the state did not hold until now, because a table was
    /// truncated or rewritten under the readers or because the keeper lost its hold.
    Check,
}
