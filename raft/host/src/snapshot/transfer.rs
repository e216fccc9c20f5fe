//! What two hosts say to each other about a snapshot on its way.

use raft_core::{DecodeError, SnapshotChunk, SnapshotChunkReply};

/// Bytes that may be on their way to a receiver, and so the most that waits in one.
pub(super) const WINDOW: u64 = 1 << 20;

/// A message from host to host, which consensus does not see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotMessage<'a> {
    /// A piece, to the receiver.
    Chunk(SnapshotChunk<'a>),
    /// How far the receiver has come, and that it wants more.
    Reply(SnapshotChunkReply),
}

impl<'a> SnapshotMessage<'a> {
    /// Appends the bytes of the message: its kind, then what it is.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            SnapshotMessage::Chunk(chunk) => {
                out.push(0);
                chunk.encode(out);
            }
            SnapshotMessage::Reply(reply) => {
                out.push(1);
                reply.encode(out);
            }
        }
    }

    /// Reads a message that fills `bytes`.
    ///
    /// # Errors
    /// When they are none; `None` for a kind that a later release may have.
    pub fn decode(bytes: &'a [u8]) -> Option<Result<SnapshotMessage<'a>, DecodeError>> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            0 => Some(SnapshotChunk::decode(rest).map(SnapshotMessage::Chunk)),
            1 => Some(SnapshotChunkReply::decode(rest).map(SnapshotMessage::Reply)),
            _ => None,
        }
    }
}
