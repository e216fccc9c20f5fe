//! What a group says about its snapshots.

use super::header::SnapshotHeader;

/// A snapshot on the disk of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSnapshot {
    /// What it covers.
    pub header: SnapshotHeader,
    /// Bytes of its file.
    pub bytes: u64,
}

/// The snapshots of a group on this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SnapshotStatus {
    /// Those that are there, the oldest first.
    pub stored: Vec<StoredSnapshot>,
    /// Whether one is being saved.
    pub is_saving: bool,
    /// Bytes of the one that is being received from the leader.
    pub receiving: Option<u64>,
    /// Why the last attempt to save or receive one failed; cleared by the next success.
    pub problem: Option<String>,
}
