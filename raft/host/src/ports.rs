//! What a group is plugged into: the state machine below it, and the links to the other members.

use bytes::Bytes;
use raft_core::{Index, Message, NodeId};

use crate::snapshot::transfer::SnapshotMessage;

/// A committed command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Its place in the log; rises without reuse.
    pub index: Index,
    /// The leader's clock when it was proposed, milliseconds since 1970; never goes back.
    pub time_ms: u64,
    /// What was proposed.
    pub payload: &'a [u8],
}

/// What a group applies its commands to. All calls come from one fiber at a time, between awaits.
///
/// The state after an entry depends on the entries alone, so that every member has the same.
pub trait StateMachine: 'static {
    /// Who waits for an answer: whatever it takes to find the connection again.
    type Caller: 'static;

    /// Applies a committed entry. `caller` is there when the entry was proposed through this
    /// group's handle and nobody has told the caller anything yet.
    fn apply(&mut self, entry: Entry<'_>, caller: Option<Self::Caller>);

    /// Says which payloads will be applied next, in this order, so that the memory that they need
    /// can be fetched for all of them at once. Has no effect but on speed.
    fn read_ahead<'a>(&self, payloads: impl Iterator<Item = &'a [u8]>) {
        let _ = payloads;
    }

    /// Tells a caller that was accepted by [`crate::Group::propose`] that it gets no result.
    fn refuse(&mut self, caller: Self::Caller, refusal: Refusal);

    /// Answers given since the last call may leave now.
    fn batch_end(&mut self);

    /// Begins a snapshot of the state as it is now, and appends the beginning of its stream; one
    /// under way is given up. Entries go on being applied between the pieces and are not in it. No
    /// more than about `kept_bytes_max` bytes are kept for that.
    fn begin_snapshot(&mut self, kept_bytes_max: usize, stream: &mut Vec<u8>);

    /// Appends about `bytes` more bytes of the stream; the work is bounded.
    fn snapshot_piece(&mut self, bytes: usize, stream: &mut Vec<u8>) -> SnapshotPiece;

    /// Gives up the snapshot under way.
    fn end_snapshot(&mut self);

    /// A stream will come that is to take the place of the state; what came of another one is
    /// forgotten. The state stays what it is until [`StateMachine::finish_load`].
    fn begin_load(&mut self);

    /// Takes the next bytes of the stream, which may be cut anywhere.
    ///
    /// # Errors
    /// What is wrong with them.
    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadFault>;

    /// Works for a moment on making a state of the stream, all of which was loaded. Returns whether
    /// [`StateMachine::finish_load`] may be called.
    ///
    /// # Errors
    /// What is wrong with the stream.
    fn prepare_load(&mut self) -> Result<bool, LoadFault>;

    /// The state is that of the stream from now on.
    fn finish_load(&mut self);

    /// Works for a moment on dropping what was replaced. Returns whether there is more to drop.
    fn drop_replaced(&mut self) -> bool;
}

/// Why a stream is no state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadFault {
    /// A newer version of the program has written it.
    Newer(String),
    /// Its checksums are right, and yet it contradicts itself.
    Malformed(String),
}

/// What became of a piece of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotPiece {
    /// More follows.
    More,
    /// The stream is complete.
    Last,
    /// More has changed between two pieces than may be kept: the stream is of no use.
    Overrun,
}

/// Why a proposal has no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another node leads, or none. Nothing was proposed.
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// Leadership is being handed over. Nothing was proposed; trying again is safe.
    HandingOver {
        /// Who will lead.
        to: NodeId,
    },
    /// Too many entries or bytes wait to be applied. Nothing was proposed.
    FlowControl,
    /// The payload is larger than an entry may be. Nothing was proposed.
    TooLarge,
    /// There is no space for the log on the disk. Nothing was proposed.
    DiskFull,
    /// The group is stopping. Nothing was proposed.
    Stopping,
    /// The group has failed. Nothing was proposed.
    Failed,
    /// The entry was proposed and may be committed now, later or never.
    OutcomeUnknown,
}

/// The links to the other members of the group.
pub trait Outbox {
    /// Queues a message for a node, with the records that belong to it, which other nodes may get too. A message that cannot be
    /// queued is dropped, which consensus survives; order is kept for each node.
    fn send(&self, to: NodeId, message: Message, records: Bytes);

    /// Queues a message of the hosts about a snapshot. Returns whether it was queued.
    fn send_snapshot(&self, to: NodeId, message: &SnapshotMessage<'_>) -> bool;
}
