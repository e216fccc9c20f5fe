//! One raft group on a shard: its log, its hard state and the fibers that drive it.
//!
//! [`Group::open`] recovers a group from its directory and starts it. [`Group::propose`] puts a
//! command into the batch that the next log write takes; the answer comes through the
//! [`StateMachine`] once the entry is durable, committed and applied. Consensus decides, this crate
//! carries out: [`Raft::output`](raft_core::Raft::output) is executed in one function, in `execute.rs`.
//!
//! * `persist` writes: hard state, then one frame at a time, each durable before the next.
//! * `applier` feeds committed entries to the machine from the memory they were written from.
//! * `log` is the log: frames of records in segments, recovery, spare segments.
//! * `hard_state` is the vote.
//! * `snapshot` is the state machine on disk, in place of the log that has led to it.
//!
//! Acknowledged means durable: a caller hears of its entry after the write that holds it ended
//! without an error. After a failed write nothing is acknowledged any more and the group ends with
//! its cause; starting it again goes through the checks of recovery.
//!
//! Not here: sockets, connections, what a command means.

mod applier;
mod beginning;
mod bursts;
mod bytes;
mod core;
mod entry_clock;
mod error;
mod execute;
mod group;
mod members;
mod open;
mod options;
mod persist;
mod ports;
mod proposals;
mod read_log;
mod received;
mod restart;
mod send;
mod ticker;

pub mod hard_state;
pub mod log;
pub mod snapshot;

pub use error::GroupError;
pub use group::{Group, GroupStatus, ReadGate, ReadLevel};
pub use log::segment::Identity;
pub use members::ChangeFailed;
pub use options::{GroupOptions, SnapshotBoundary};
pub use ports::{Entry, LoadFault, Outbox, Refusal, SnapshotPiece, StateMachine};
pub use read_log::{LogPage, LogPages};
pub use snapshot::options::SnapshotOptions;
pub use snapshot::save::SaveFailed;
pub use snapshot::status::{SnapshotStatus, StoredSnapshot};
pub use snapshot::transfer::SnapshotMessage;
