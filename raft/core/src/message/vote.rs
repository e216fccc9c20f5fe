//! Elections: the question before a term, the vote in a term, and the order to begin one.

use alloc::vec::Vec;

use super::codec::{DecodeError, DecodeFault, Reader, put_u8, put_u32, put_u64};
use crate::types::{Index, Position, Round, Term};

/// Candidate to voter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vote {
    /// What is asked.
    pub ballot: Ballot,
    /// The candidate's last entry.
    pub last: Position,
    /// Leave of the old leader to vote although it is alive.
    pub handover: Option<Handover>,
}

/// Two kinds of vote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ballot {
    /// "Would you vote for me in this term?" Changes nothing on either side. The message's own term
    /// is the asker's current one, so that an answer can teach it a newer one.
    Pre(Term),
    /// "Vote for me in the message's term."
    Real,
}

/// A leader's order to its successor, shown to the voters.
///
/// It outweighs the voters' loyalty to that leader only while none of them has seen a later round:
/// a leader that has gone on after a transfer that failed begins later rounds, and its new lease
/// rests on those alone. An order that was delayed in the network is therefore harmless.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handover {
    /// The leader's term.
    pub term: Term,
    /// Its newest round when it gave the order.
    pub round: Round,
}

/// Voter to candidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VoteReply {
    /// The question that is answered.
    pub ballot: Ballot,
    /// The answer.
    pub granted: bool,
}

/// Leader to its successor: you have all I have, begin an election in the next term now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeoutNow {
    /// The leader's newest round; becomes [`Handover::round`].
    pub round: Round,
}

impl Ballot {
    fn encode(self, out: &mut Vec<u8>) {
        let (kind, term) = match self {
            Ballot::Pre(term) => (0, term),
            Ballot::Real => (1, Term(0)),
        };
        put_u8(out, kind);
        put_u32(out, term.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Ballot, DecodeError> {
        match (reader.u8()?, Term(reader.u32()?)) {
            (0, term) => Ok(Ballot::Pre(term)),
            (1, Term(0)) => Ok(Ballot::Real),
            _ => Err(reader.fault(DecodeFault::Value)),
        }
    }
}

impl Vote {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.ballot.encode(out);
        put_u64(out, self.last.index.0);
        put_u32(out, self.last.term.0);
        put_u8(out, u8::from(self.handover.is_some()));
        if let Some(handover) = self.handover {
            put_u32(out, handover.term.0);
            put_u64(out, handover.round.0);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Vote, DecodeError> {
        let ballot = Ballot::decode(reader)?;
        let last = Position { index: Index(reader.u64()?), term: Term(reader.u32()?) };
        let handover = match reader.flag()? {
            false => None,
            true => Some(Handover { term: Term(reader.u32()?), round: Round(reader.u64()?) }),
        };
        Ok(Vote { ballot, last, handover })
    }
}

impl VoteReply {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.ballot.encode(out);
        put_u8(out, u8::from(self.granted));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<VoteReply, DecodeError> {
        Ok(VoteReply { ballot: Ballot::decode(reader)?, granted: reader.flag()? })
    }
}

impl TimeoutNow {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.round.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<TimeoutNow, DecodeError> {
        Ok(TimeoutNow { round: Round(reader.u64()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::super::codec::assert_round_trip;
    use super::*;

    #[test]
    fn vote_round_trips() {
        let last = Position { index: Index(8), term: Term(3) };
        assert_round_trip(Body::Vote(Vote { ballot: Ballot::Pre(Term(4)), last, handover: None }));
        let handover = Some(Handover { term: Term(3), round: Round(77) });
        assert_round_trip(Body::Vote(Vote { ballot: Ballot::Real, last, handover }));
    }

    #[test]
    fn vote_reply_round_trips() {
        assert_round_trip(Body::VoteReply(VoteReply { ballot: Ballot::Real, granted: true }));
        let ballot = Ballot::Pre(Term(9));
        assert_round_trip(Body::VoteReply(VoteReply { ballot, granted: false }));
    }

    #[test]
    fn timeout_now_round_trips() {
        assert_round_trip(Body::TimeoutNow(TimeoutNow { round: Round(5) }));
    }
}
