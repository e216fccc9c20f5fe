//! Reads on a follower: it asks the leader up to where it must have applied.

use alloc::vec::Vec;

use super::codec::{DecodeError, DecodeFault, Reader, put_u8, put_u64};
use crate::types::Index;

/// Follower to leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadIndex {
    /// Chosen by the follower, unique while it runs; comes back with the answer.
    pub context: u64,
}

/// Leader to follower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadIndexReply {
    /// The question's context.
    pub context: u64,
    /// Everything acknowledged before the question was asked is at or below this index; `None`
    /// when the node asked does not lead.
    pub index: Option<Index>,
}

impl ReadIndex {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.context);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ReadIndex, DecodeError> {
        Ok(ReadIndex { context: reader.u64()? })
    }
}

impl ReadIndexReply {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.context);
        put_u8(out, u8::from(self.index.is_some()));
        put_u64(out, self.index.unwrap_or_default().0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ReadIndexReply, DecodeError> {
        let context = reader.u64()?;
        let index = match (reader.flag()?, reader.u64()?) {
            (true, index) => Some(Index(index)),
            (false, 0) => None,
            (false, _) => return Err(reader.fault(DecodeFault::Value)),
        };
        Ok(ReadIndexReply { context, index })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::super::codec::assert_round_trip;
    use super::*;

    #[test]
    fn read_index_round_trips() {
        assert_round_trip(Body::ReadIndex(ReadIndex { context: 12 }));
        let index = Some(Index(40));
        assert_round_trip(Body::ReadIndexReply(ReadIndexReply { context: 12, index }));
        assert_round_trip(Body::ReadIndexReply(ReadIndexReply { context: 13, index: None }));
    }
}
