//! What a group is started with.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::membership::{Config, ConfigEntry};
use crate::types::{HardState, Index, NodeId, Position, Run};

/// The settings of one group on one node.
#[derive(Clone, Debug)]
pub struct RaftOptions {
    /// This node.
    pub id: NodeId,
    /// A follower that has heard nothing for one to two times this long, drawn anew each time, asks
    /// for an election. For one time this long it grants no vote. A leader without a quorum for this
    /// long steps down.
    pub election_timeout: Duration,
    /// How often a leader begins a round of heartbeats. At most a third of the election timeout.
    pub heartbeat_interval: Duration,
    /// How much shorter than the voters' loyalty a lease is: covers the drift of two clocks over
    /// one election timeout.
    pub lease_margin: Duration,
    /// How reads are made safe.
    pub read_mode: ReadMode,
    /// Most entries on their way to one follower.
    pub window_items: u64,
    /// Most bytes on their way to one follower. One append always fits.
    pub window_bytes: u64,
    /// Most bytes of records in one append. One record always fits.
    pub append_bytes_max: u64,
    /// How long a follower to which no more entries go is not told that they are committed. With
    /// the next entry it learns of it without a message of its own.
    pub commit_notice_delay: Duration,
    /// A leader hands over to a caught-up voter whose priority is higher than its own. With 0 a node
    /// is *reluctant*: it leads only where nobody else can, and lets others stand first.
    pub priority: u8,
    /// The start of the sequence that election timeouts are drawn from; different on each node.
    pub seed: u64,
}

/// How a leader makes sure that it still leads before it serves a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadMode {
    /// By its lease, and by a round of heartbeats while it has none.
    Lease,
    /// By a round of heartbeats for each batch of reads.
    ReadIndex,
}

impl RaftOptions {
    /// Settings for a node of a cluster in one data centre.
    pub fn new(id: NodeId, seed: u64) -> RaftOptions {
        RaftOptions {
            id,
            election_timeout: Duration::from_millis(1500),
            heartbeat_interval: Duration::from_millis(300),
            lease_margin: Duration::from_millis(150),
            read_mode: ReadMode::Lease,
            window_items: 65_536,
            window_bytes: 16 << 20,
            append_bytes_max: 1 << 20,
            commit_notice_delay: Duration::ZERO,
            priority: 1,
            seed,
        }
    }

    /// How much longer than others this node waits before it asks for votes.
    pub(crate) fn reluctance(&self) -> Duration {
        if self.priority == 0 { self.election_timeout } else { Duration::ZERO }
    }
}

/// What a group's durable state says at start.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// The entry before the log's first one; index zero when nothing was ever dropped.
    pub boundary: Position,
    /// The membership at the boundary: the snapshot's, or the one the group was founded with.
    pub config: ConfigEntry,
    /// The terms of the entries after the boundary; empty when there are none.
    pub runs: Vec<Run>,
    /// The last entry, or the boundary's index.
    pub last: Index,
    /// The memberships among the entries after the boundary, in order.
    pub configs: Vec<ConfigEntry>,
    /// Known to be committed; a lower bound will do. At least `applied`.
    pub commit: Index,
    /// What the state machine already holds. At least the boundary's index.
    pub applied: Index,
    /// Whether this node may vote.
    pub standing: Standing,
}

impl Restored {
    /// The state of a node that has never run.
    pub fn founded_with(config: Config) -> Restored {
        Restored {
            hard_state: HardState::default(),
            boundary: Position::default(),
            config: ConfigEntry { index: Index::ZERO, config },
            runs: Vec::new(),
            last: Index::ZERO,
            configs: Vec::new(),
            commit: Index::ZERO,
            applied: Index::ZERO,
            standing: Standing::Full,
        }
    }
}

/// Entries in front of a log that begins behind an older part of itself; see [`crate::Raft::log_found`].
#[derive(Clone, Debug)]
pub struct OlderLog {
    /// The entry before the first of them.
    pub boundary: Position,
    /// Their terms, from the entry behind that one to the log's boundary.
    pub runs: Vec<Run>,
    /// The membership that the group was founded with.
    pub founding: ConfigEntry,
    /// The memberships among them.
    pub configs: Vec<ConfigEntry>,
}

/// Whether a node can be trusted with a vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Its durable state is whole.
    Full,
    /// It has lost its disk, or a part of its log is damaged: it may have forgotten a vote or an
    /// entry that it acknowledged. It receives the log like an observer, neither votes nor asks for
    /// votes, and does not lead.
    Withheld,
}

/// Why the durable state cannot be started from. Starting again gives the same answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestoreError {
    /// Entries that were known to be committed are gone.
    CommitBeyondLast {
        /// What was known to be committed.
        commit: Index,
        /// What the log ends with.
        last: Index,
    },
    /// `applied` is below the boundary or above `commit`.
    Applied {
        /// What was given.
        applied: Index,
    },
    /// The runs do not begin after the boundary, do not rise, or go over the last entry.
    Runs,
    /// A membership is malformed or outside the log.
    Config {
        /// Its index.
        index: Index,
    },
    /// The settings contradict each other.
    Options(&'static str),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::CommitBeyondLast { commit, last } => {
                write!(formatter, "the log ends at {last} but {commit} was committed: data is lost")
            }
            RestoreError::Applied { applied } => {
                write!(formatter, "the state machine is at {applied}, outside the committed log")
            }
            RestoreError::Runs => formatter.write_str("the terms of the log are out of order"),
            RestoreError::Config { index } => {
                write!(formatter, "the membership at {index} is malformed or outside the log")
            }
            RestoreError::Options(what) => formatter.write_str(what),
        }
    }
}

impl core::error::Error for RestoreError {}
