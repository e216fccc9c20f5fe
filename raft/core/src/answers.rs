//! What the doors of the core answer.

use alloc::vec::Vec;

use moment::Moment;

use crate::membership::Config;
use crate::output::RoleName;
use crate::types::{HardState, Index, NodeId, Position, Term};

/// The place of new entries: `first`, `first + 1`, … in `term`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposed {
    /// The leader's term.
    pub term: Term,
    /// The first entry's index.
    pub first: Index,
}

/// Why nothing can be proposed here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProposeRefused {
    /// Another node leads, or none.
    NotLeader {
        /// Who, if known.
        leader: Option<NodeId>,
    },
    /// This leader is handing over; the one named will lead, or this one goes on.
    HandingOver {
        /// The next leader.
        to: NodeId,
    },
}

/// Entries that a follower may be sent: as many as `bytes_max` allows, but at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sendable {
    /// The first one.
    pub first: Index,
    /// The last one that may be sent.
    pub last: Index,
    /// How many bytes of records the message may have.
    pub bytes_max: u64,
}

/// What the host does with its log when it puts a snapshot in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogAfterInstall {
    /// The log agrees with the snapshot: keep the entries after the boundary.
    KeepTail,
    /// It does not: drop every entry. The log begins anew after the boundary.
    Reset,
}

/// Why leadership is not handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferRefused {
    /// Another node leads, or none.
    NotLeader {
        /// Who, if known.
        leader: Option<NodeId>,
    },
    /// The target leads already.
    AlreadyLeads,
    /// The target is not a voter.
    NotVoter,
    /// Another transfer is under way.
    UnderWay,
    /// A membership change is under way.
    Changing,
}

/// The state of a group as one node sees it.
#[derive(Clone, Debug)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Whom it voted for.
    pub vote: Option<NodeId>,
    /// What of term and vote is durable: all that others may have been told.
    pub durable_hard_state: HardState,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// The entry before the log's first one.
    pub boundary: Position,
    /// The log's last entry.
    pub last: Position,
    /// What is durable here.
    pub durable: Index,
    /// What is committed.
    pub commit: Index,
    /// The term of that entry, if the log still has it.
    pub commit_term: Option<Term>,
    /// What is applied here.
    pub applied: Index,
    /// A leader has applied an entry of its own term, a follower one that it received from the
    /// current leader.
    pub ready: bool,
    /// The membership in force.
    pub config: Config,
    /// The entry that brought it.
    pub config_index: Index,
    /// Who is being handed leadership.
    pub transfer_to: Option<NodeId>,
    /// A leader's view of the others.
    pub followers: Vec<FollowerStatus>,
}

/// A leader's view of one other node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerStatus {
    /// The node.
    pub id: NodeId,
    /// What it is known to hold durably.
    pub matched: Index,
    /// The next entry to send.
    pub next: Index,
    /// Whether it needs a snapshot.
    pub needs_snapshot: bool,
    /// When the newest round that it answered was begun.
    pub heard: Option<Moment>,
    /// How much it wanted to lead then.
    pub priority: u8,
}
