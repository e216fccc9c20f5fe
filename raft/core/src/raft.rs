//! The doors of the core: inputs, the one output, and questions that change nothing.

use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;

use crate::membership::{Change, ChangeRefused, Config, ConfigEntry};
use crate::message::Message;
use crate::options::{RaftOptions, RestoreError, Restored, Standing};
use crate::output::{Output, ReadAnswer, RoleName};
use crate::types::{HardState, Index, NodeId, Position, Term};

/// One group on one node.
#[derive(Debug)]
pub struct Raft {}

impl Raft {
    /// Starts from durable state. A group whose only voter is this node elects itself at once: the
    /// first output already holds the hard state of its new term.
    ///
    /// # Errors
    /// When the durable state or the settings contradict themselves.
    pub fn new(
        options: RaftOptions,
        restored: Restored,
        now: Moment,
    ) -> Result<Raft, RestoreError> {
        unimplemented!()
    }

    /// Gives `count` entries their place in the log. The core must be drained, and the host appends
    /// exactly these entries at exactly these indexes before anything else.
    ///
    /// # Errors
    /// When this node does not lead, or is handing over. Nothing has happened then.
    #[inline]
    pub fn propose(&mut self, count: u64) -> Result<Proposed, ProposeRefused> {
        unimplemented!()
    }

    /// Takes a message of another node. A message that breaks the protocol is dropped.
    pub fn step(&mut self, from: NodeId, message: Message, now: Moment) {
        unimplemented!()
    }

    /// Does what time alone brings about. Late calls are harmless, early ones too.
    pub fn tick(&mut self, now: Moment) {
        unimplemented!()
    }

    /// When [`Raft::tick`] is needed next.
    pub fn next_deadline(&self) -> Moment {
        unimplemented!()
    }

    /// The log is durable up to the entry `last` whose term is `term_of_last`. A report about an
    /// entry that has been cut off since is ignored.
    pub fn persisted(&mut self, last: Index, term_of_last: Term) {
        unimplemented!()
    }

    /// This hard state is durable.
    pub fn hard_state_persisted(&mut self, hard_state: HardState, now: Moment) {
        unimplemented!()
    }

    /// The state machine has applied everything up to `index`.
    pub fn applied(&mut self, index: Index) {
        unimplemented!()
    }

    /// The log's entries up to `index` (applied, and covered by a durable snapshot) are dropped.
    pub fn compacted(&mut self, index: Index) {
        unimplemented!()
    }

    /// May a read that begins now be served here? Only a leader says yes.
    pub fn read(&mut self, now: Moment) -> ReadAnswer {
        unimplemented!()
    }

    /// Like [`Raft::read`], but a follower asks its leader how far it must have applied.
    pub fn read_here(&mut self, now: Moment) -> ReadAnswer {
        unimplemented!()
    }

    /// Whether nobody else can have been elected by `now`. To be asked with a fresh time just before
    /// the answer to a read that was given [`ReadAnswer::Now`] leaves; when it does not hold, the
    /// read begins anew.
    pub fn lease_holds(&self, now: Moment) -> bool {
        unimplemented!()
    }

    /// The nodes this leader replicates to; empty on other nodes.
    pub fn followers(&self) -> impl Iterator<Item = NodeId> {
        core::iter::empty()
    }

    /// Which entries may be sent to a follower now.
    pub fn sendable(&self, to: NodeId) -> Option<Sendable> {
        unimplemented!()
    }

    /// The host has the records `first ..= last` of a [`Sendable`] at hand, `bytes` in all, and
    /// sends them behind the message returned. `None` when they are not wanted any more.
    pub fn send_entries(
        &mut self,
        to: NodeId,
        first: Index,
        last: Index,
        bytes: u64,
        now: Moment,
    ) -> Option<Message> {
        unimplemented!()
    }

    /// The link to a node broke: what was on its way there may be lost.
    pub fn unreachable(&mut self, node: NodeId) {
        unimplemented!()
    }

    /// A node is back with a newer incarnation: what it acknowledged before is proven anew.
    pub fn peer_restarted(&mut self, node: NodeId) {
        unimplemented!()
    }

    /// The leader's host has a durable snapshot for a follower in [`Output::snapshots`]. `false`
    /// when it is not wanted any more.
    pub fn offer_snapshot(&mut self, to: NodeId, boundary: Position, now: Moment) -> bool {
        unimplemented!()
    }

    /// Streaming a snapshot to a node failed; it is tried again when it turns out to be needed.
    pub fn snapshot_ended(&mut self, to: NodeId) {
        unimplemented!()
    }

    /// A wanted snapshot has arrived whole. Says what becomes of the log; until
    /// [`Raft::finish_install`] or [`Raft::abort_install`] no entries are accepted. `None` when the
    /// log has caught up meanwhile: drop the snapshot.
    pub fn begin_install(&mut self, boundary: Position) -> Option<LogAfterInstall> {
        unimplemented!()
    }

    /// The snapshot is durable, the log cut as told, and the state machine loaded.
    pub fn finish_install(&mut self, boundary: Position, config: ConfigEntry, now: Moment) {
        unimplemented!()
    }

    /// The wanted snapshot did not arrive or could not be put in place.
    pub fn abort_install(&mut self, now: Moment) {
        unimplemented!()
    }

    /// Hands leadership over. Proposals are refused until [`Output::transfer`] tells the end.
    ///
    /// # Errors
    /// When this node does not lead, the target cannot, or a transfer is under way.
    pub fn transfer(
        &mut self,
        target: NodeId,
        limit: Duration,
        now: Moment,
    ) -> Result<(), TransferRefused> {
        unimplemented!()
    }

    /// Changes the membership. [`Output::change`] tells the index of the entry.
    ///
    /// # Errors
    /// When it cannot be done now or at all; nothing has happened then.
    pub fn change(
        &mut self,
        change: Change,
        limit: Duration,
        now: Moment,
    ) -> Result<(), ChangeRefused> {
        unimplemented!()
    }

    /// Gives this node its vote, or takes it away.
    pub fn set_standing(&mut self, standing: Standing, now: Moment) {
        unimplemented!()
    }

    /// Everything owed since the last call, to be carried out in the order of the fields. Costs
    /// nothing when nothing is owed.
    pub fn output(&mut self) -> Output {
        unimplemented!()
    }

    /// The state of the group as this node sees it.
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Whether this node leads, and in which term.
    pub fn is_leader(&self) -> Option<Term> {
        unimplemented!()
    }

    /// Whom this node takes for the leader.
    pub fn leader(&self) -> Option<NodeId> {
        unimplemented!()
    }

    /// The term of an entry that the log still has.
    pub fn term_of(&self, index: Index) -> Option<Term> {
        unimplemented!()
    }
}

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
}
