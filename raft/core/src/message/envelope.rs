//! The message with its head: the kinds, their numbers and their bytes.

use alloc::vec::Vec;

use super::codec::{self, DecodeError, DecodeFault, Reader, put_u8, put_u32};
use super::{
    Append, AppendReply, Heartbeat, HeartbeatReply, ReadIndex, ReadIndexReply, SnapshotOffer,
    SnapshotReply, TimeoutNow, Vote, VoteReply,
};
use crate::types::Term;

/// The version of the bytes that this code writes and the only one it reads.
pub const MESSAGE_VERSION: u8 = 1;

/// A message between two nodes of one group. The host adds the group, the sender and the receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The sender's term.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// The kinds of message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Leader to follower: entries, or a probe without any.
    Append(Append),
    /// The answer, once the entries are durable or the mismatch is known.
    AppendReply(AppendReply),
    /// Leader to follower: I lead, and this much is committed.
    Heartbeat(Heartbeat),
    /// The answer, at once.
    HeartbeatReply(HeartbeatReply),
    /// Candidate to voter: would you, or do you vote for me.
    Vote(Vote),
    /// The answer.
    VoteReply(VoteReply),
    /// Leader to its successor: begin an election now.
    TimeoutNow(TimeoutNow),
    /// Leader to follower: you need a snapshot, and I have this one.
    SnapshotOffer(SnapshotOffer),
    /// The answer, when the snapshot is in place or will not be.
    SnapshotReply(SnapshotReply),
    /// Follower to leader: up to where must I have applied to serve a read begun now.
    ReadIndex(ReadIndex),
    /// The answer.
    ReadIndexReply(ReadIndexReply),
}

impl Message {
    /// Appends the message's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_u32(out, 0);
        put_u8(out, MESSAGE_VERSION);
        put_u8(out, self.body.kind());
        put_u32(out, self.term.0);
        match &self.body {
            Body::Append(body) => body.encode(out),
            Body::AppendReply(body) => body.encode(out),
            Body::Heartbeat(body) => body.encode(out),
            Body::HeartbeatReply(body) => body.encode(out),
            Body::Vote(body) => body.encode(out),
            Body::VoteReply(body) => body.encode(out),
            Body::TimeoutNow(body) => body.encode(out),
            Body::SnapshotOffer(body) => body.encode(out),
            Body::SnapshotReply(body) => body.encode(out),
            Body::ReadIndex(body) => body.encode(out),
            Body::ReadIndexReply(body) => body.encode(out),
        }
        codec::fill_length(out, start);
    }

    /// Reads one message; returns it and the bytes after it.
    ///
    /// # Errors
    /// When the bytes are cut short, of another version, of an unknown kind, over a limit, or when
    /// the message has bytes left over.
    pub fn decode(bytes: &[u8]) -> Result<(Message, &[u8]), DecodeError> {
        let (mut reader, rest) = Reader::framed(bytes)?;
        let version = reader.u8()?;
        if version != MESSAGE_VERSION {
            return Err(reader.fault(DecodeFault::Version(version)));
        }
        let kind = reader.u8()?;
        let term = Term(reader.u32()?);
        let body = match kind {
            1 => Body::Append(Append::decode(&mut reader)?),
            2 => Body::AppendReply(AppendReply::decode(&mut reader)?),
            3 => Body::Heartbeat(Heartbeat::decode(&mut reader)?),
            4 => Body::HeartbeatReply(HeartbeatReply::decode(&mut reader)?),
            5 => Body::Vote(Vote::decode(&mut reader)?),
            6 => Body::VoteReply(VoteReply::decode(&mut reader)?),
            7 => Body::TimeoutNow(TimeoutNow::decode(&mut reader)?),
            8 => Body::SnapshotOffer(SnapshotOffer::decode(&mut reader)?),
            9 => Body::SnapshotReply(SnapshotReply::decode(&mut reader)?),
            10 => Body::ReadIndex(ReadIndex::decode(&mut reader)?),
            11 => Body::ReadIndexReply(ReadIndexReply::decode(&mut reader)?),
            _ => return Err(reader.fault(DecodeFault::Kind(kind))),
        };
        reader.end()?;
        Ok((Message { term, body }, rest))
    }
}

impl Body {
    const fn kind(&self) -> u8 {
        match self {
            Body::Append(_) => 1,
            Body::AppendReply(_) => 2,
            Body::Heartbeat(_) => 3,
            Body::HeartbeatReply(_) => 4,
            Body::Vote(_) => 5,
            Body::VoteReply(_) => 6,
            Body::TimeoutNow(_) => 7,
            Body::SnapshotOffer(_) => 8,
            Body::SnapshotReply(_) => 9,
            Body::ReadIndex(_) => 10,
            Body::ReadIndexReply(_) => 11,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Round;

    #[test]
    fn another_version_and_an_unknown_kind_are_refused() {
        let message =
            Message { term: Term(3), body: Body::TimeoutNow(TimeoutNow { round: Round(1) }) };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let mut other = bytes.clone();
        other[4] = 2;
        assert_eq!(Message::decode(&other).unwrap_err().fault, DecodeFault::Version(2));
        bytes[5] = 99;
        assert_eq!(Message::decode(&bytes).unwrap_err().fault, DecodeFault::Kind(99));
    }

    #[test]
    fn bytes_after_the_message_are_handed_back() {
        let message =
            Message { term: Term(3), body: Body::TimeoutNow(TimeoutNow { round: Round(1) }) };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes.extend_from_slice(b"records");
        assert_eq!(Message::decode(&bytes), Ok((message, &b"records"[..])));
    }
}
