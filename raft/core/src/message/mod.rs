//! What nodes of a group say to each other, and its bytes.
//!
//! A message is `length u32 | version u8 | kind u8 | term u32 | body`, little-endian; the length
//! counts what follows it. The records of an append come after the message and are not part of it.

mod envelope;

mod append;
mod codec;
mod heartbeat;
mod read;
mod snapshot;
mod vote;

pub use append::{Append, AppendOutcome, AppendReply, Entries, TermSpan};
pub(crate) use append::{CONFIGS_MAX, HINTS_MAX, RUNS_MAX};
pub use codec::{DecodeError, DecodeFault};
pub(crate) use codec::{Reader, put_u8, put_u16, put_u32};
pub use envelope::{Body, MESSAGE_VERSION, Message};
pub use heartbeat::{Heartbeat, HeartbeatReply};
pub use read::{ReadIndex, ReadIndexReply};
pub use snapshot::{SnapshotChunk, SnapshotChunkReply, SnapshotOffer, SnapshotReply};
pub use vote::{Ballot, Handover, TimeoutNow, Vote, VoteReply};
