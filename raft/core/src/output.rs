//! What the host owes after an input, in the order in which it is to be done.

use alloc::vec::Vec;

use crate::membership::Config;
use crate::message::Message;
use crate::types::{HardState, Index, NodeId, Position, Term};

/// Everything a drained input has brought about. The fields stand in the order of execution.
///
/// There is no list "send after persist": a message that must wait for the disk is kept back inside
/// the core and comes with the output that follows [`crate::Raft::hard_state_persisted`] or
/// [`crate::Raft::persisted`], so that a host cannot send it too early.
#[derive(Clone, Debug, Default)]
#[must_use = "an output that is dropped is lost: it holds messages and writes that are owed"]
pub struct Output {
    /// Send now, in this order for one receiver.
    pub messages: Vec<Outbound>,
    /// Make durable, then call [`crate::Raft::hard_state_persisted`]. Replaces one still under way.
    pub hard_state: Option<HardState>,
    /// A follower's log: cut the tail first if told so, then append these of the entries that came
    /// with the message just stepped.
    pub accepted: Option<Accepted>,
    /// A leader's own entries: append to the log in this order, like proposals.
    pub own_entries: Vec<OwnEntry>,
    /// Some follower may be owed entries: look at [`crate::Raft::sendable`] for each one.
    pub replicate: bool,
    /// Followers that need a snapshot: offer them the newest durable one.
    pub snapshots: Vec<NodeId>,
    /// A snapshot offered by the leader is wanted: receive it.
    pub install: Option<SnapshotWanted>,
    /// The state machine may be fed up to here (inclusive): committed and durable on this node.
    pub apply_to: Option<Index>,
    /// Waiting reads that are settled.
    pub reads: ReadsSettled,
    /// [`crate::Raft::next_deadline`] has come closer.
    pub is_sooner: bool,
    /// The role, the term or the leader has changed.
    pub role: Option<RoleChange>,
    /// A membership change was appended or given up.
    pub change: Option<ChangeOutcome>,
    /// A transfer of leadership has ended.
    pub transfer: Option<TransferOutcome>,
    /// A node was seen to have lost entries it once had acknowledged: its disk was replaced or
    /// damaged. For the operator; the node is replicated to again.
    pub lost_log: Option<NodeId>,
}

impl Output {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.hard_state.is_none()
            && self.accepted.is_none()
            && self.own_entries.is_empty()
            && !self.replicate
            && self.snapshots.is_empty()
            && self.install.is_none()
            && self.apply_to.is_none()
            && self.reads == ReadsSettled::default()
            && !self.is_sooner
            && self.role.is_none()
            && self.change.is_none()
            && self.transfer.is_none()
            && self.lost_log.is_none()
    }
}

/// A message and its receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outbound {
    /// The receiver.
    pub to: NodeId,
    /// The message.
    pub message: Message,
}

/// The part of an append message that belongs into the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Delete the entries from here on before appending; they were never committed.
    pub truncate_from: Option<Index>,
    /// First entry to append; entries of the message before it are in the log already.
    pub first: Index,
    /// Last entry to append; always the message's last.
    pub last: Index,
}

/// An entry that the core itself puts into a leader's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnEntry {
    /// Where it goes.
    pub index: Index,
    /// The leader's term.
    pub term: Term,
    /// What it is.
    pub body: OwnEntryBody,
}

/// The content of an [`OwnEntry`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnEntryBody {
    /// [`crate::EntryKind::Noop`] with an empty body.
    Noop,
    /// [`crate::EntryKind::Config`] with [`Config::encode`] as its body.
    Config(Config),
}

/// A snapshot that this node should receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotWanted {
    /// Who has it.
    pub from: NodeId,
    /// The last entry it covers.
    pub boundary: Position,
}

/// Which waiting reads may be answered. A token covers every read that was given it or an older one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadsSettled {
    /// Reads up to this token see all they must see: answer them from the state machine now.
    pub ready: Option<ReadToken>,
    /// Reads up to this token that are not ready cannot be answered here: nothing was read.
    pub refused: Option<ReadToken>,
}

/// A batch of waiting reads; rising.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReadToken(pub u64);

/// The answer to [`crate::Raft::read`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadAnswer {
    /// The state machine may be read now. With a lease the host checks
    /// [`crate::Raft::lease_holds`] with a fresh time before the answer leaves.
    Now,
    /// Wait for [`Output::reads`].
    Wait(ReadToken),
    /// This node cannot serve the read.
    NotLeader {
        /// Who can, if known.
        leader: Option<NodeId>,
    },
}

/// What a node is in its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleName {
    /// Leads.
    Leader,
    /// Follows, or waits for a leader.
    Follower,
    /// Asks whether it could win.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Receives the log and has no vote.
    Observer,
    /// In no list of the membership.
    Stranger,
}

/// The new state of affairs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleChange {
    /// What this node is now.
    pub role: RoleName,
    /// In which term.
    pub term: Term,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
}

/// How a membership change that was waiting for its newcomers went on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeOutcome {
    /// Its entry was appended here; it is done when that entry is applied.
    Appended(Index),
    /// The newcomers did not catch up in time, or leadership was lost: nothing was appended.
    GivenUp,
}

/// How a transfer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferOutcome {
    /// This node leads no more.
    Done,
    /// The target did not take over in time: this node leads on and accepts proposals again.
    TimedOut,
}
