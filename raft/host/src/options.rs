//! What a group is opened with.

use std::time::Duration;

use raft_core::entry::record_size;
use raft_core::{Config, ConfigEntry, Position, RaftOptions, Standing};

use crate::error::GroupError;
use crate::log::frame::frame_size;
use crate::log::segment::{BLOCK, Identity};
use crate::snapshot::options::SnapshotOptions;

/// Name of the file that holds term and vote.
pub(crate) const HARD_STATE: &str = "hard-state";

/// The settings of one group on one node.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Where its files are, below the node's data directory.
    pub dir: String,
    /// Whose files they are.
    pub identity: Identity,
    /// The settings of consensus.
    pub raft: RaftOptions,
    /// The members that the group is founded with; what it has written since counts more.
    pub founding: Config,
    /// When snapshots are made, and what is kept.
    pub snapshots: SnapshotOptions,
    /// Which life of the node's disk this is.
    pub incarnation: u64,
    /// Whether this node may vote when the group opens; [`crate::Group::set_standing`] changes it.
    pub standing: Standing,
    /// Whether an entry counts as held when it is durable; without it, when it is written, and it
    /// is durable about a second later.
    pub sync_force: bool,
    /// Bytes of a segment file.
    pub segment_bytes: u64,
    /// Segments kept ready ahead of need.
    pub spare_segments: usize,
    /// Bytes of one log write, unless a single entry is larger.
    pub batch_bytes: usize,
    /// Bytes of an entry's payload.
    pub payload_bytes_max: usize,
    /// Entries accepted and not yet applied.
    pub pending_max: u64,
    /// Bytes of such entries.
    pub pending_bytes_max: u64,
    /// Bytes of applied entries kept in memory for followers.
    pub cache_bytes_max: usize,
    /// How long the log rests before its durable mark is written.
    pub mark_delay: Duration,
}

/// Where a snapshot stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotBoundary {
    /// The last entry in it; index zero for an empty state machine.
    pub position: Position,
    /// The membership there.
    pub config: ConfigEntry,
}

impl GroupOptions {
    /// Settings with the usual limits.
    pub fn new(dir: &str, identity: Identity, raft: RaftOptions, founding: Config) -> GroupOptions {
        GroupOptions {
            dir: dir.to_owned(),
            identity,
            raft,
            founding,
            snapshots: SnapshotOptions::default(),
            incarnation: 1,
            standing: Standing::Full,
            sync_force: true,
            segment_bytes: 64 << 20,
            spare_segments: 2,
            batch_bytes: 1 << 20,
            payload_bytes_max: 8 << 20,
            pending_max: 50_000,
            pending_bytes_max: 256 << 20,
            cache_bytes_max: 16 << 20,
            mark_delay: Duration::from_millis(200),
        }
    }

    /// The file that holds term and vote; there as soon as the group has been opened once.
    pub fn hard_state_path(&self) -> String {
        format!("{}/{HARD_STATE}", self.dir)
    }

    /// Where the snapshots are.
    pub(crate) fn snapshot_dir(&self) -> String {
        format!("{}/snapshot", self.dir)
    }

    /// Where the segments are.
    pub(crate) fn log_dir(&self) -> String {
        format!("{}/log", self.dir)
    }

    /// Bytes of the longest frame.
    pub(crate) fn frame_bytes_max(&self) -> u64 {
        frame_size(record_size(self.payload_bytes_max)).max(self.batch_bytes) as u64
    }

    /// Checks that the limits fit each other.
    pub(crate) fn check(&self) -> Result<(), GroupError> {
        let block = BLOCK as u64;
        if !self.segment_bytes.is_multiple_of(block) || self.segment_bytes > 1 << 31 {
            return Err(GroupError::Options("segment_bytes is not in whole blocks up to 2 GiB"));
        }
        if self.batch_bytes < BLOCK || !self.batch_bytes.is_multiple_of(BLOCK) {
            return Err(GroupError::Options("batch_bytes is not in whole blocks"));
        }
        if self.segment_bytes < block + self.frame_bytes_max() {
            return Err(GroupError::Options("the largest entry does not fit into a segment"));
        }
        if self.spare_segments == 0 {
            return Err(GroupError::Options("a group needs at least one spare segment"));
        }
        Ok(())
    }
}
