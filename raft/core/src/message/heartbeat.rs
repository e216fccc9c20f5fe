//! A leader's sign of life, which is also its notice of commit, and what a follower says to it.

use alloc::vec::Vec;
use core::time::Duration;

use super::codec::{DecodeError, Reader, put_u8, put_u32, put_u64};
use crate::types::{Index, Position, Round, Term};

/// Leader to follower; not an entry of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// The newest round.
    pub round: Round,
    /// An entry that is committed and that the leader knows this follower to have. A follower whose
    /// log holds exactly this entry holds the leader's log up to it, so the message proves itself.
    pub commit: Position,
}

/// Follower to leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeartbeatReply {
    /// The newest round seen from this leader.
    pub round: Round,
    /// For how long after it has heard from a leader this node grants no vote. In milliseconds,
    /// rounded down. The leader's lease rests on it.
    pub loyalty: Duration,
    /// How much this node wants to lead; see [`crate::RaftOptions::priority`].
    pub priority: u8,
}

impl Heartbeat {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.round.0);
        put_u64(out, self.commit.index.0);
        put_u32(out, self.commit.term.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Heartbeat, DecodeError> {
        let round = Round(reader.u64()?);
        let commit = Position { index: Index(reader.u64()?), term: Term(reader.u32()?) };
        Ok(Heartbeat { round, commit })
    }
}

impl HeartbeatReply {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.round.0);
        put_u32(out, u32::try_from(self.loyalty.as_millis()).unwrap_or(u32::MAX));
        put_u8(out, self.priority);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<HeartbeatReply, DecodeError> {
        Ok(HeartbeatReply {
            round: Round(reader.u64()?),
            loyalty: Duration::from_millis(u64::from(reader.u32()?)),
            priority: reader.u8()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::super::codec::assert_round_trip;
    use super::*;

    #[test]
    fn heartbeat_round_trips() {
        let commit = Position { index: Index(4), term: Term(2) };
        assert_round_trip(Body::Heartbeat(Heartbeat { round: Round(3), commit }));
    }

    #[test]
    fn heartbeat_reply_round_trips() {
        assert_round_trip(Body::HeartbeatReply(HeartbeatReply {
            round: Round(3),
            loyalty: Duration::from_millis(1500),
            priority: 7,
        }));
    }
}
