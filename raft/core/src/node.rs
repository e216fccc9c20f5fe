//! What a node is in every role: its durable promises, its log, and what it owes its host.

use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;

use crate::log::Log;
use crate::message::{Body, Handover, Message};
use crate::options::{RaftOptions, RestoreError, Restored, Standing};
use crate::output::{Outbound, Output};
use crate::random::Random;
use crate::reads::{Reads, RemoteRead};
use crate::types::{HardState, Index, NodeId, Position, Round, Term};

/// The part of a [`crate::Raft`] that outlives a role.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) options: RaftOptions,
    /// What the node has promised; never goes back.
    promised: HardState,
    /// What of it is durable. Nothing is said in a term before the term is durable.
    durable_promise: HardState,
    pub(crate) log: Log,
    /// `applied <= commit <= log.last`. Never goes back.
    commit: Index,
    applied: Index,
    /// No vote is granted before this time, because a leader was heard.
    pub(crate) loyal_until: Moment,
    /// Until then this node does not know what it answered before it was started.
    pub(crate) unsure_until: Moment,
    /// The newest leader's term and its newest round that this node has seen.
    pub(crate) seen: Handover,
    /// Up to here the log is the log of this term's leader.
    pub(crate) agreed: Index,
    pub(crate) standing: Standing,
    /// The boundary of the snapshot that is being put in place.
    pub(crate) installing: Option<Position>,
    /// The latest time the host has told.
    pub(crate) now: Moment,
    pub(crate) random: Random,
    pub(crate) reads: Reads,
    /// Distinguishes this life's questions from those of an earlier one.
    pub(crate) read_salt: u64,
    pub(crate) out: Output,
    /// Messages that wait for the promise to be durable.
    held_back: Vec<Outbound>,
    told_apply: Index,
}

impl Node {
    pub(crate) fn restore(
        options: RaftOptions,
        restored: &Restored,
        now: Moment,
    ) -> Result<Node, RestoreError> {
        check_options(&options)?;
        let log = Log::restore(restored)?;
        if restored.commit > restored.last {
            let (commit, last) = (restored.commit, restored.last);
            return Err(RestoreError::CommitBeyondLast { commit, last });
        }
        if restored.applied < restored.boundary.index || restored.applied > restored.commit {
            return Err(RestoreError::Applied { applied: restored.applied });
        }
        let mut promised = restored.hard_state;
        let mut out = Output::default();
        if log.last_term() > promised.term {
            // The entry became durable before the term did; a vote in its term was never answered.
            let vote = spent_vote(options.id, restored.standing);
            promised = HardState { term: log.last_term(), vote };
            out.hard_state = Some(promised);
        }
        // What this node had promised a leader before it stopped is not known. It keeps the promise
        // by granting nothing for as long as one can last.
        let is_new = promised.term == Term(0);
        let loyal_until = if is_new { Moment::ZERO } else { now + options.election_timeout };
        let mut random = Random::new(options.seed);
        let read_salt = random.next();
        Ok(Node {
            options,
            promised,
            durable_promise: restored.hard_state,
            log,
            commit: restored.commit,
            applied: restored.applied,
            loyal_until,
            unsure_until: loyal_until,
            seen: Handover { term: Term(0), round: Round(0) },
            agreed: restored.commit,
            standing: restored.standing,
            installing: None,
            now,
            random,
            reads: Reads::default(),
            read_salt,
            out,
            held_back: Vec::new(),
            told_apply: restored.applied,
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.options.id
    }

    pub(crate) fn term(&self) -> Term {
        self.promised.term
    }

    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.promised.vote
    }

    pub(crate) fn commit(&self) -> Index {
        self.commit
    }

    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn election_timeout(&self) -> Duration {
        self.options.election_timeout
    }

    /// Whether this node may stand for election.
    ///
    /// A node that the membership in force leaves out still may while that is not committed: it can
    /// be the only one whose log lets the others commit it (section 4.2.2 of the dissertation).
    pub(crate) fn may_campaign(&self) -> bool {
        self.log.may_turn_to(self.id(), self.commit)
            && self.standing == Standing::Full
            && self.installing.is_none()
    }

    /// Whether no decision needs anyone but this node.
    pub(crate) fn decides_alone(&self) -> bool {
        let alone = [self.id()];
        self.log.config().config.halves().all(|members| members.voters == alone)
    }

    /// Whether a candidate's log has everything that may be committed.
    pub(crate) fn is_up_to_date(&self, candidate: Position) -> bool {
        let own = self.log.last();
        (candidate.term, candidate.index) >= (own.term, own.index)
    }

    /// Enters a newer term without a vote for anyone else.
    pub(crate) fn enter(&mut self, term: Term) {
        assert!(term > self.promised.term, "only a newer term is entered");
        self.promise(term, spent_vote(self.id(), self.standing));
    }

    /// Enters a newer term, or votes in this one.
    pub(crate) fn promise(&mut self, term: Term, vote: Option<NodeId>) {
        assert!(term >= self.promised.term, "a term never goes back");
        if term > self.promised.term {
            // Messages of a term that is left behind are of no use to anyone.
            self.held_back.clear();
            self.agreed = self.commit;
        } else {
            assert!(self.promised.vote.is_none() || self.promised.vote == vote, "one vote a term");
        }
        let promised = HardState { term, vote };
        if promised != self.promised {
            self.promised = promised;
            self.out.hard_state = Some(promised);
        }
    }

    pub(crate) fn durable_hard_state(&self) -> HardState {
        self.durable_promise
    }

    pub(crate) fn promise_is_durable(&self) -> bool {
        self.promised == self.durable_promise
    }

    /// Says whether everything promised is durable now. Messages that waited for it are released.
    pub(crate) fn hard_state_persisted(&mut self, durable: HardState) -> bool {
        assert!(durable.term <= self.promised.term, "only what was promised becomes durable");
        if durable.term < self.durable_promise.term || durable != self.promised {
            return false;
        }
        self.durable_promise = durable;
        self.out.messages.append(&mut self.held_back);
        true
    }

    /// Sends a message of this term, once the term and the vote in it are durable.
    pub(crate) fn send(&mut self, to: NodeId, body: Body) {
        assert!(to != self.id(), "a node does not write to itself");
        let outbound = Outbound { to, message: Message { term: self.term(), body } };
        match self.promise_is_durable() {
            true => self.out.messages.push(outbound),
            false => self.held_back.push(outbound),
        }
    }

    /// Sends a message that promises nothing.
    pub(crate) fn send_unbound(&mut self, to: NodeId, body: Body) {
        assert!(to != self.id(), "a node does not write to itself");
        self.out.messages.push(Outbound { to, message: Message { term: self.term(), body } });
    }

    /// A node needs a snapshot.
    pub(crate) fn want_snapshot(&mut self, to: NodeId) {
        if !self.out.snapshots.contains(&to) {
            self.out.snapshots.push(to);
        }
    }

    /// Everything up to `index` is committed. Old news change nothing.
    pub(crate) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.log.last_index(), "only what the log has is committed");
        self.commit = self.commit.max(index);
    }

    /// The state machine has applied up to `index`.
    pub(crate) fn applied_to(&mut self, index: Index) {
        assert!(index >= self.applied, "what is applied stays applied");
        assert!(index <= self.commit, "only what is committed is applied");
        self.applied = index;
        self.told_apply = self.told_apply.max(index);
    }

    /// A snapshot is in place.
    pub(crate) fn installed(&mut self, boundary: Position) {
        self.commit = self.commit.max(boundary.index);
        self.applied = self.applied.max(boundary.index);
        self.told_apply = self.told_apply.max(boundary.index);
        self.agreed = self.agreed.max(boundary.index);
    }

    /// Fills in what follows from the indexes, and hands everything owed over.
    pub(crate) fn take_output(&mut self) -> Output {
        // Nothing is applied here before it is durable here, so that a snapshot never covers what
        // the log could still lose.
        let may_apply = self.commit.min(self.log.durable());
        assert!(self.applied <= may_apply, "what is applied is committed and durable");
        assert!(self.log.boundary().index <= self.applied, "what is dropped was applied");
        assert!(self.agreed <= self.log.last_index(), "only what is in the log agrees");
        if may_apply > self.told_apply && self.installing.is_none() {
            self.told_apply = may_apply;
            self.out.apply_to = Some(may_apply);
        }
        if let Some(token) = self.reads.settle(self.applied) {
            self.out.reads.ready = Some(token);
        }
        core::mem::take(&mut self.out)
    }

    /// Gives up all waiting reads. Returns the other nodes whose reads waited here.
    pub(crate) fn refuse_reads(&mut self) -> Vec<RemoteRead> {
        if let Some(token) = self.reads.settle(self.applied) {
            self.out.reads.ready = Some(token);
        }
        let (token, remote) = self.reads.refuse_all();
        self.out.reads.refused = token.or(self.out.reads.refused);
        remote
    }
}

/// The vote of a term that is entered. A node that may have forgotten a vote may have given it in
/// this very term, and it is trusted again before the term ends: so the vote is spent on itself.
fn spent_vote(id: NodeId, standing: Standing) -> Option<NodeId> {
    (standing == Standing::Withheld).then_some(id)
}

fn check_options(options: &RaftOptions) -> Result<(), RestoreError> {
    let error = |what| Err(RestoreError::Options(what));
    if options.election_timeout < Duration::from_millis(1) {
        return error("the election timeout is below a millisecond");
    }
    if options.heartbeat_interval.is_zero()
        || options.heartbeat_interval > options.election_timeout / 3
    {
        return error("the heartbeat interval is not within a third of the election timeout");
    }
    if options.lease_margin >= options.election_timeout {
        return error("the lease margin leaves nothing of the lease");
    }
    if options.window_items == 0 || options.window_bytes == 0 || options.append_bytes_max == 0 {
        return error("a window of zero lets nothing through");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{Config, ConfigEntry};
    use crate::raft::Raft;
    use crate::types::Run;

    /// Three entries of term 2 after a boundary at 5 of term 1.
    fn restored() -> Restored {
        let config = Config::of([1, 2, 3].map(NodeId), []);
        Restored {
            hard_state: HardState { term: Term(2), vote: None },
            boundary: Position { index: Index(5), term: Term(1) },
            runs: [Run { first: Index(6), term: Term(2) }].into(),
            last: Index(8),
            commit: Index(7),
            applied: Index(5),
            ..Restored::founded_with(config)
        }
    }

    fn start(restored: Restored) -> Result<Raft, RestoreError> {
        Raft::new(RaftOptions::new(NodeId(1), 7), restored, Moment::from_nanos(1))
    }

    #[test]
    fn a_log_that_ends_before_the_commit_is_a_clear_error() {
        let lost = Restored { commit: Index(9), ..restored() };
        let (commit, last) = (Index(9), Index(8));
        assert_eq!(start(lost).err(), Some(RestoreError::CommitBeyondLast { commit, last }));
    }

    #[test]
    fn durable_state_that_contradicts_itself_is_a_clear_error() {
        assert!(start(restored()).is_ok());
        let at = |index, term| Run { first: Index(index), term: Term(term) };
        let config = |index| ConfigEntry { index: Index(index), ..restored().config };
        let table = [
            (
                Restored { applied: Index(4), ..restored() },
                RestoreError::Applied { applied: Index(4) },
            ),
            (
                Restored { applied: Index(8), ..restored() },
                RestoreError::Applied { applied: Index(8) },
            ),
            (Restored { runs: [at(7, 2)].into(), ..restored() }, RestoreError::Runs),
            (Restored { runs: [].into(), ..restored() }, RestoreError::Runs),
            (Restored { runs: [at(6, 2), at(7, 2)].into(), ..restored() }, RestoreError::Runs),
            (Restored { runs: [at(6, 2), at(9, 3)].into(), ..restored() }, RestoreError::Runs),
            (
                Restored { config: config(6), ..restored() },
                RestoreError::Config { index: Index(6) },
            ),
            (
                Restored { configs: [config(9)].into(), ..restored() },
                RestoreError::Config { index: Index(9) },
            ),
            (
                Restored { configs: [config(7), config(7)].into(), ..restored() },
                RestoreError::Config { index: Index(7) },
            ),
        ];
        for (place, (restored, error)) in table.into_iter().enumerate() {
            assert_eq!(start(restored).err(), Some(error), "line {place}");
        }
    }

    #[test]
    fn a_term_known_from_the_log_alone_is_owed_to_the_disk() {
        let hard_state = HardState { term: Term(1), vote: Some(NodeId(3)) };
        let mut raft = start(Restored { hard_state, ..restored() }).unwrap();
        let owed = HardState { term: Term(2), vote: None };
        assert_eq!(raft.output().hard_state, Some(owed));
    }
}
