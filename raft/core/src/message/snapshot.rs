//! Snapshots on their way to a follower that the log can no longer help.
//!
//! The core speaks the offer and its end. The chunks in between are the two hosts' business and
//! never pass through the core; their bytes are defined here because they belong together.

use alloc::vec::Vec;

use super::codec::{DecodeError, DecodeFault, Reader, fill_length, put_u8, put_u32, put_u64};
use crate::types::{Index, Position, Round, Term};

/// Leader to follower: receive this snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotOffer {
    /// The newest round.
    pub round: Round,
    /// The last entry the snapshot covers.
    pub boundary: Position,
}

/// Follower to leader: how the offer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotReply {
    /// The newest round seen from this leader.
    pub round: Round,
    /// The offered boundary.
    pub boundary: Position,
    /// Whether everything up to the boundary is now durable here, by the snapshot or otherwise.
    pub holds: bool,
}

/// A piece of a snapshot, from host to host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotChunk<'a> {
    /// Which snapshot of the sender; pieces of two are never mixed.
    pub snapshot: u64,
    /// The last entry it covers.
    pub boundary: Position,
    /// Where the piece begins.
    pub offset: u64,
    /// Whether this is the last piece.
    pub last: bool,
    /// The piece.
    pub bytes: &'a [u8],
}

/// How far the receiver of a snapshot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotChunkReply {
    /// Which snapshot of the sender; zero when none of its pieces has come.
    pub snapshot: u64,
    /// The last entry it covers.
    pub boundary: Position,
    /// The next byte that is wanted.
    pub next_offset: u64,
    /// Whether what was sent from there on is missing.
    pub again: bool,
}

impl SnapshotOffer {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.round.0);
        put_position(out, self.boundary);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<SnapshotOffer, DecodeError> {
        Ok(SnapshotOffer { round: Round(reader.u64()?), boundary: position(reader)? })
    }
}

impl SnapshotReply {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.round.0);
        put_position(out, self.boundary);
        put_u8(out, u8::from(self.holds));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<SnapshotReply, DecodeError> {
        let round = Round(reader.u64()?);
        Ok(SnapshotReply { round, boundary: position(reader)?, holds: reader.flag()? })
    }
}

const CHUNK_VERSION: u8 = 1;

impl<'a> SnapshotChunk<'a> {
    /// Appends the chunk's bytes to `out`: `length u32 | version u8 | fields | bytes`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_u32(out, 0);
        put_u8(out, CHUNK_VERSION);
        put_u64(out, self.snapshot);
        put_position(out, self.boundary);
        put_u64(out, self.offset);
        put_u8(out, u8::from(self.last));
        out.extend_from_slice(self.bytes);
        fill_length(out, start);
    }

    /// Reads one chunk that fills `bytes`; the piece has checksums of its own.
    ///
    /// # Errors
    /// When the bytes are not exactly one chunk.
    pub fn decode(bytes: &'a [u8]) -> Result<SnapshotChunk<'a>, DecodeError> {
        let mut reader = versioned(bytes)?;
        Ok(SnapshotChunk {
            snapshot: reader.u64()?,
            boundary: position(&mut reader)?,
            offset: reader.u64()?,
            last: reader.flag()?,
            bytes: reader.remaining(),
        })
    }
}

impl SnapshotChunkReply {
    /// Appends the reply's bytes to `out`: `length u32 | version u8 | fields`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        put_u32(out, 0);
        put_u8(out, CHUNK_VERSION);
        put_u64(out, self.snapshot);
        put_position(out, self.boundary);
        put_u64(out, self.next_offset);
        put_u8(out, u8::from(self.again));
        fill_length(out, start);
    }

    /// Reads one reply that fills `bytes`.
    ///
    /// # Errors
    /// When the bytes are not exactly one reply.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotChunkReply, DecodeError> {
        let mut reader = versioned(bytes)?;
        let (snapshot, boundary) = (reader.u64()?, position(&mut reader)?);
        let (next_offset, again) = (reader.u64()?, reader.flag()?);
        reader.end()?;
        Ok(SnapshotChunkReply { snapshot, boundary, next_offset, again })
    }
}

fn versioned(bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let (mut reader, rest) = Reader::framed(bytes)?;
    if !rest.is_empty() {
        return Err(reader.fault(DecodeFault::Long));
    }
    match reader.u8()? {
        CHUNK_VERSION => Ok(reader),
        version => Err(reader.fault(DecodeFault::Version(version))),
    }
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    put_u64(out, position.index.0);
    put_u32(out, position.term.0);
}

fn position(reader: &mut Reader<'_>) -> Result<Position, DecodeError> {
    Ok(Position { index: Index(reader.u64()?), term: Term(reader.u32()?) })
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::super::codec::assert_round_trip;
    use super::*;

    const BOUNDARY: Position = Position { index: Index(5), term: Term(2) };

    #[test]
    fn offer_and_reply_round_trip() {
        let (round, boundary) = (Round(1), BOUNDARY);
        assert_round_trip(Body::SnapshotOffer(SnapshotOffer { round, boundary }));
        assert_round_trip(Body::SnapshotReply(SnapshotReply { round, boundary, holds: true }));
    }

    #[test]
    fn chunk_round_trips() {
        let chunk = SnapshotChunk {
            snapshot: 3,
            boundary: BOUNDARY,
            offset: 4096,
            last: true,
            bytes: b"piece",
        };
        let mut bytes = Vec::new();
        chunk.encode(&mut bytes);
        assert_eq!(SnapshotChunk::decode(&bytes), Ok(chunk));
        for cut in 0..bytes.len() {
            assert!(SnapshotChunk::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn chunk_reply_round_trips() {
        let boundary = BOUNDARY;
        let reply = SnapshotChunkReply { snapshot: 3, boundary, next_offset: 4101, again: true };
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        assert_eq!(SnapshotChunkReply::decode(&bytes), Ok(reply));
        for cut in 0..bytes.len() {
            assert!(SnapshotChunkReply::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(0);
        assert!(SnapshotChunkReply::decode(&bytes).is_err());
    }
}
