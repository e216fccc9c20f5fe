//! Consensus of one raft group as plain data: no clock, no disk, no socket, no randomness.
//!
//! The core knows an entry by index, term and kind; the bytes stay with the host. The host feeds one
//! input, then drains [`Raft::output`] and carries it out before it feeds the next one:
//!
//! 1. Send `messages`. Whatever must wait for the disk is kept back inside the core.
//! 2. Make `hard_state` durable, then call [`Raft::hard_state_persisted`].
//! 3. `accepted`: cut the log if told so, then append the records that came with the message.
//! 4. Append `own_entries`. After [`Raft::propose`], which needs a drained core, append the
//!    proposals at the indexes it gave. When a log write is durable call [`Raft::persisted`] with its
//!    last index and that entry's term. Several writes may be under way, in order.
//! 5. If `replicate`: for each of [`Raft::followers`] with room on its link, ask
//!    [`Raft::sendable`], fetch those records, call [`Raft::send_entries`] with how many there are,
//!    and send the message it returns with the records behind it.
//! 6. Offer the nodes in `snapshots` the newest snapshot with [`Raft::offer_snapshot`], stream the
//!    chunks, and call [`Raft::snapshot_ended`] at the end, good or bad. `install`: receive the chunks;
//!    put them in place between [`Raft::begin_install`] and [`Raft::finish_install`].
//! 7. Feed the state machine up to `apply_to`, then call [`Raft::applied`].
//! 8. Answer the reads that are ready, refuse those that are refused.
//!
//! A message comes in by [`Raft::step`], an append only after the host has checked that the records
//! behind it are the ones it describes; the time by [`Raft::tick`], called when
//! [`Raft::next_deadline`] is reached, late or early without harm. When a link breaks call
//! [`Raft::unreachable`]; when a node is back with a newer incarnation, [`Raft::peer_restarted`],
//! and step no message of the older one any more.
//!
//! Not here: bytes of entries, snapshots' content, addresses, who may connect, retries of clients.
#![no_std]

extern crate alloc;

mod types;

pub mod entry;
pub mod message;

mod membership;
mod options;
mod output;

mod answers;
mod raft;

mod candidate;
mod catch_up;
mod change;
mod election;
mod follower;
mod leader;
mod lease;
mod transfer;

mod log;
mod node;
mod progress;
mod quorum;
mod random;
mod reads;

pub use answers::{
    FollowerStatus, LogAfterInstall, ProposeRefused, Proposed, Sendable, Status, TransferRefused,
};
pub use membership::{Change, ChangeRefused, Config, ConfigEntry, MEMBERS_MAX, Members};
pub use message::{Body, DecodeError, Message, SnapshotChunk, SnapshotChunkReply};
pub use options::{OlderLog, RaftOptions, ReadMode, RestoreError, Restored, Standing};
pub use output::{
    Accepted, ChangeOutcome, Outbound, Output, OwnEntry, OwnEntryBody, ReadAnswer, ReadToken,
    ReadsSettled, RoleChange, RoleName, SnapshotWanted, TransferOutcome,
};
pub use raft::Raft;
pub use types::{EntryKind, GroupId, HardState, Index, NodeId, Position, Round, Run, Term};
