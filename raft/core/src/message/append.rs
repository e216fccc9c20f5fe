//! Entries on their way to a follower, and where its log agrees.

use alloc::vec::Vec;

use super::codec::{DecodeError, DecodeFault, Reader, put_count, put_u8, put_u32, put_u64};
use crate::membership::{Config, ConfigEntry};
use crate::types::{Index, Position, Round, Run, Term};

/// Most changes of term inside one append; the leader cuts the append there.
pub(crate) const RUNS_MAX: usize = 64;
/// Most membership entries inside one append; the leader cuts the append there.
pub(crate) const CONFIGS_MAX: usize = 16;
/// Most spans of terms in one mismatch.
pub(crate) const HINTS_MAX: usize = 32;

/// Entries `previous.index + 1 ..= previous.index + entries.count`, whose records follow the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    /// The entry before them, which the follower's log must hold.
    pub previous: Position,
    /// The newest round begun before this was sent.
    pub round: Round,
    /// The leader's commit index.
    pub commit: Index,
    /// What consensus must know of the entries.
    pub entries: Entries,
}

/// What consensus knows of a range of entries. The host checks that the records agree with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entries {
    /// How many; zero is a probe.
    pub count: u64,
    /// The term of the first one; zero when there is none.
    pub first_term: Term,
    /// Where the term changes after the first entry; almost always empty.
    pub later_runs: Vec<Run>,
    /// The memberships among them, in order.
    pub configs: Vec<ConfigEntry>,
}

/// The follower's answer to an [`Append`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppendReply {
    /// The newest round seen from this leader.
    pub round: Round,
    /// Where the logs stand.
    pub outcome: AppendOutcome,
}

/// Where a follower's log agrees with the leader's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppendOutcome {
    /// Everything up to here is the leader's and durable.
    Matched(Index),
    /// The entry `previous` of the append is not in the log.
    Mismatch {
        /// The index of that entry.
        previous: Index,
        /// The follower's last entry.
        last: Index,
        /// Spans of the follower's log at and below `previous`, newest first: the sixteen newest
        /// without a gap, the ones below at doubling distances, and the one of its commit index
        /// last. Enough to find the place of agreement in O(log n) round trips.
        hints: Vec<TermSpan>,
    },
}

/// The entries `first ..= last` of a log are of one term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TermSpan {
    /// Their term.
    pub term: Term,
    /// The first one that the log still has.
    pub first: Index,
    /// The last one, or the last below the index in question.
    pub last: Index,
}

impl Append {
    /// The last entry it carries, or `previous.index` when it carries none.
    pub fn last(&self) -> Index {
        self.previous.index.plus(self.entries.count)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.previous.index.0);
        put_u32(out, self.previous.term.0);
        put_u64(out, self.round.0);
        put_u64(out, self.commit.0);
        put_u64(out, self.entries.count);
        put_u32(out, self.entries.first_term.0);
        put_count(out, self.entries.later_runs.len());
        for run in &self.entries.later_runs {
            put_u64(out, run.first.0);
            put_u32(out, run.term.0);
        }
        put_count(out, self.entries.configs.len());
        for entry in &self.entries.configs {
            put_u64(out, entry.index.0);
            entry.config.encode(out);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Append, DecodeError> {
        let previous = Position { index: Index(reader.u64()?), term: Term(reader.u32()?) };
        let round = Round(reader.u64()?);
        let commit = Index(reader.u64()?);
        let count = reader.u64()?;
        let first_term = Term(reader.u32()?);
        let mut later_runs = Vec::new();
        for _ in 0..reader.count(RUNS_MAX)? {
            later_runs.push(Run { first: Index(reader.u64()?), term: Term(reader.u32()?) });
        }
        let mut configs = Vec::new();
        for _ in 0..reader.count(CONFIGS_MAX)? {
            let index = Index(reader.u64()?);
            configs.push(ConfigEntry { index, config: Config::read(reader)? });
        }
        let entries = Entries { count, first_term, later_runs, configs };
        Ok(Append { previous, round, commit, entries })
    }
}

impl Entries {
    /// The spans of one term after `previous`, in order.
    pub(crate) fn segments(&self, previous: Index) -> impl Iterator<Item = TermSpan> {
        let first_run = Run { first: previous.next(), term: self.first_term };
        let last = previous.plus(self.count);
        (0..=self.later_runs.len()).filter(|_| self.count > 0).map(move |place| {
            let run = if place == 0 { first_run } else { self.later_runs[place - 1] };
            let last = self.later_runs.get(place).map_or(last, |next| next.first.previous());
            TermSpan { term: run.term, first: run.first, last }
        })
    }

    /// Whether this can be what a leader of `term` sends after `previous`: terms rise and are none
    /// of the future, and everything lies inside the message.
    pub(crate) fn are_sound(&self, previous: Position, term: Term) -> bool {
        let Some(last) = previous.index.0.checked_add(self.count).filter(|&last| last < u64::MAX)
        else {
            return false;
        };
        let inside = |index: Index| index > previous.index && index.0 <= last;
        let mut newest = Run { first: previous.index.next(), term: self.first_term };
        let runs_rise = self.later_runs.iter().all(|&run| {
            let rises = run.first > newest.first && run.term > newest.term && inside(run.first);
            newest = run;
            rises
        });
        let configs_rise = self.configs.is_sorted_by(|left, right| left.index < right.index);
        let configs_inside = self.configs.iter().all(|entry| inside(entry.index));
        let empty_or_termed = match self.count {
            0 => self.first_term == Term(0) && self.later_runs.is_empty(),
            _ => self.first_term >= previous.term && self.first_term > Term(0),
        };
        let of_the_past = newest.term <= term && previous.term <= term;
        runs_rise && configs_rise && configs_inside && empty_or_termed && of_the_past
    }
}

impl AppendReply {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.round.0);
        match &self.outcome {
            AppendOutcome::Matched(index) => {
                put_u8(out, 0);
                put_u64(out, index.0);
            }
            AppendOutcome::Mismatch { previous, last, hints } => {
                put_u8(out, 1);
                put_u64(out, previous.0);
                put_u64(out, last.0);
                put_count(out, hints.len());
                for hint in hints {
                    put_u32(out, hint.term.0);
                    put_u64(out, hint.first.0);
                    put_u64(out, hint.last.0);
                }
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<AppendReply, DecodeError> {
        let round = Round(reader.u64()?);
        let outcome = match reader.u8()? {
            0 => AppendOutcome::Matched(Index(reader.u64()?)),
            1 => {
                let previous = Index(reader.u64()?);
                let last = Index(reader.u64()?);
                let mut hints = Vec::new();
                for _ in 0..reader.count(HINTS_MAX)? {
                    let term = Term(reader.u32()?);
                    let (first, last) = (Index(reader.u64()?), Index(reader.u64()?));
                    hints.push(TermSpan { term, first, last });
                }
                AppendOutcome::Mismatch { previous, last, hints }
            }
            _ => return Err(reader.fault(DecodeFault::Value)),
        };
        Ok(AppendReply { round, outcome })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::codec::assert_round_trip;
    use super::super::{Body, Message};
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn append_round_trips() {
        let config = Config::of([1, 2, 3].map(NodeId), [4].map(NodeId));
        assert_round_trip(Body::Append(Append {
            previous: Position { index: Index(7), term: Term(2) },
            round: Round(9),
            commit: Index(6),
            entries: Entries {
                count: 5,
                first_term: Term(2),
                later_runs: vec![Run { first: Index(10), term: Term(4) }],
                configs: vec![ConfigEntry { index: Index(11), config }],
            },
        }));
    }

    #[test]
    fn append_reply_round_trips() {
        assert_round_trip(Body::AppendReply(AppendReply {
            round: Round(1),
            outcome: AppendOutcome::Matched(Index(u64::MAX)),
        }));
        let hints = vec![TermSpan { term: Term(1), first: Index(2), last: Index(3) }];
        let outcome = AppendOutcome::Mismatch { previous: Index(9), last: Index(4), hints };
        assert_round_trip(Body::AppendReply(AppendReply { round: Round(2), outcome }));
    }

    #[test]
    fn a_list_over_its_limit_is_refused_before_it_is_read() {
        let entries = Entries::default();
        let (previous, round, commit) = (Position::default(), Round(0), Index(0));
        let body = Body::Append(Append { previous, round, commit, entries });
        let mut bytes = Vec::new();
        Message { term: Term(1), body }.encode(&mut bytes);
        let runs = bytes.len() - 4;
        bytes[runs..runs + 2].copy_from_slice(&u16::MAX.to_le_bytes());
        assert_eq!(Message::decode(&bytes).unwrap_err().fault, DecodeFault::Limit);
    }
}
