//! A leader: sends entries and heartbeats, and counts copies.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use moment::Moment;
use planted::{Bug, is_on};

use crate::answers::Sendable;
use crate::change::PendingChange;
use crate::log::Search;
use crate::message::{
    Append, AppendOutcome, AppendReply, Body, Heartbeat, HeartbeatReply, TermSpan,
};
use crate::node::Node;
use crate::output::{OwnEntry, OwnEntryBody};
use crate::progress::{Flow, Progress};
use crate::quorum;
use crate::transfer::Transfer;
use crate::types::{Index, NodeId, Position, Round};

/// Rounds whose answers still say something about time. Older answers only say less.
const ROUNDS_MAX: usize = 256;

/// The state of a leader in its term.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// The empty entry that this term began with. Nothing is read before it is committed, and no
    /// membership is changed.
    pub(crate) first: Index,
    /// Everyone this leader replicates to, by id.
    pub(crate) progress: Vec<Progress>,
    pub(crate) round: Round,
    /// When the newest rounds were begun.
    pub(crate) rounds: VecDeque<(Round, Moment)>,
    next_round_at: Moment,
    /// The lease rests on answers to this round and later ones.
    pub(crate) lease_from: Round,
    /// The lease holds before this time.
    pub(crate) lease_until: Moment,
    /// When the newest round that a quorum answered was begun.
    pub(crate) quorum_heard: Moment,
    pub(crate) transfer: Option<Transfer>,
    /// No hand-over by priority before this time.
    pub(crate) takeover_from: Moment,
    pub(crate) change: Option<PendingChange>,
    /// Some follower may know less than it could.
    pub(crate) has_news: bool,
    /// When followers without entries to come are told what is committed.
    notices_at: Option<Moment>,
}

impl Leader {
    /// Begins a term with an empty entry of its own.
    pub(crate) fn new(node: &mut Node) -> Leader {
        assert!(node.promise_is_durable(), "a leader's own vote is durable");
        assert!(node.vote() == Some(node.id()), "a leader voted for itself");
        let term = node.term();
        assert!(node.log.last_term() < term, "no entry of a term is older than its leader");
        let last = node.log.last_index();
        let first = node.log.append(1, term);
        node.out.own_entries.push(OwnEntry { index: first, term, body: OwnEntryBody::Noop });
        node.agreed = first;
        let mut leader = Leader {
            first,
            progress: Vec::new(),
            round: Round(0),
            rounds: VecDeque::new(),
            next_round_at: node.now,
            lease_from: Round(0),
            lease_until: Moment::ZERO,
            quorum_heard: node.now,
            transfer: None,
            takeover_from: node.now + node.election_timeout(),
            change: None,
            has_news: false,
            notices_at: None,
        };
        leader.follow_config(node, last.next());
        leader.begin_round(node);
        // A leader that decides alone has its answer already.
        leader.count_answers(node);
        leader
    }

    pub(crate) fn progress_of(&mut self, id: NodeId) -> Option<&mut Progress> {
        let place = self.progress.binary_search_by_key(&id, |progress| progress.id).ok()?;
        Some(&mut self.progress[place])
    }

    pub(crate) fn progress(&self, id: NodeId) -> Option<&Progress> {
        let place = self.progress.binary_search_by_key(&id, |progress| progress.id).ok()?;
        Some(&self.progress[place])
    }

    /// When time alone will make this leader do something.
    pub(crate) fn deadline(&self, node: &Node) -> Moment {
        if self.progress.is_empty() {
            return Moment::MAX;
        }
        let quorum = match node.decides_alone() {
            true => Moment::MAX,
            false => self.quorum_heard + node.election_timeout(),
        };
        let transfer = self.transfer.as_ref().map_or(Moment::MAX, |transfer| transfer.deadline);
        let change = self.change.as_ref().map_or(Moment::MAX, |change| change.deadline);
        let notices = self.notices_at.unwrap_or(Moment::MAX);
        self.next_round_at.min(quorum).min(transfer).min(change).min(notices)
    }

    /// Says whether this node still leads.
    pub(crate) fn tick(&mut self, node: &mut Node) -> bool {
        self.tick_transfer(node);
        self.tick_change(node);
        self.has_news |= self.notices_at.is_some_and(|at| node.now >= at);
        if !self.has_quorum(node) {
            return false;
        }
        if node.now >= self.next_round_at && !self.progress.is_empty() {
            self.begin_round(node);
            self.forget_leavers(node);
        }
        true
    }

    /// Whether a quorum was in contact within the last election timeout.
    pub(crate) fn has_quorum(&self, node: &Node) -> bool {
        node.decides_alone() || node.now.since(self.quorum_heard) < node.election_timeout()
    }

    /// Begins a round: one heartbeat to everyone, and a question to those who owe an answer.
    ///
    /// While a successor has been ordered to take over no round is begun, because the voters would
    /// take a later round for the end of the order. The heartbeats go on.
    pub(crate) fn begin_round(&mut self, node: &mut Node) {
        if !self.has_ordered_transfer() {
            self.round = self.round.next();
            self.rounds.push_back((self.round, node.now));
            assert!(self.round >= self.lease_from, "a new round always renews the lease");
            if self.rounds.len() > ROUNDS_MAX {
                self.rounds.pop_front();
            }
        }
        self.next_round_at = node.now + node.options.heartbeat_interval;
        for place in 0..self.progress.len() {
            self.send_heartbeat(node, place);
            match self.progress[place].flow {
                // Also finds out what happened to entries whose answer is overdue.
                Flow::Probe | Flow::Pipeline(_) => self.send_probe_if_owed(node, place),
                Flow::Snapshot(None) => node.want_snapshot(self.progress[place].id),
                Flow::Snapshot(Some(_)) => {}
            }
        }
    }

    fn send_heartbeat(&mut self, node: &mut Node, place: usize) {
        let progress = &mut self.progress[place];
        let index = node.commit().min(progress.matched);
        // Before the boundary the term is not known any more; then there is nothing to tell.
        let commit = match node.log.term(index) {
            Some(term) => Position { index, term },
            None => Position::default(),
        };
        progress.told_commit = progress.told_commit.max(commit.index);
        let to = progress.id;
        node.send(to, Body::Heartbeat(Heartbeat { round: self.round, commit }));
    }

    /// Looks for the place of agreement without waiting for the next round.
    pub(crate) fn probe_at_once(&mut self, node: &mut Node, id: NodeId) {
        if let Ok(place) = self.progress.binary_search_by_key(&id, |progress| progress.id) {
            self.send_probe_if_owed(node, place);
        }
    }

    /// Asks whether the node's log agrees up to what it was sent.
    fn send_probe_if_owed(&mut self, node: &mut Node, place: usize) {
        let progress = &mut self.progress[place];
        let is_even = progress.next == progress.matched.next();
        if progress.needs_snapshot() || (progress.is_pipelining() && is_even) {
            return;
        }
        let index = progress.next.previous();
        let Some(term) = node.log.term(index) else {
            progress.flow = Flow::Snapshot(None);
            node.want_snapshot(progress.id);
            return;
        };
        let previous = Position { index, term };
        let (round, commit) = (self.round, node.commit());
        let to = progress.id;
        let entries = Default::default();
        node.send(to, Body::Append(Append { previous, round, commit, entries }));
    }

    pub(crate) fn on_heartbeat_reply(
        &mut self,
        node: &mut Node,
        from: NodeId,
        reply: &HeartbeatReply,
    ) {
        if let Some(progress) = self.progress_of(from) {
            // Never trusted beyond what this node itself would promise.
            progress.loyalty = reply.loyalty.min(node.election_timeout());
            progress.priority = reply.priority;
            if self.answered(node, from, reply.round) {
                self.consider_takeover(node, from);
            }
        }
    }

    pub(crate) fn on_append_reply(&mut self, node: &mut Node, from: NodeId, reply: &AppendReply) {
        if !self.answered(node, from, reply.round) {
            return;
        }
        match &reply.outcome {
            AppendOutcome::Matched(index) => self.on_matched(node, from, *index),
            AppendOutcome::Mismatch { previous, last, hints } => {
                self.on_mismatch(node, from, *previous, *last, hints);
            }
        }
    }

    /// The node holds the log durably up to `index`.
    pub(crate) fn on_matched(&mut self, node: &mut Node, from: NodeId, index: Index) {
        let last = node.log.last_index();
        let Some(progress) = self.progress_of(from).filter(|_| index <= last) else { return };
        progress.holds(index);
        progress.before_restart = Index::ZERO;
        let boundary = node.log.boundary().index;
        if progress.is_pipelining() && progress.next.previous() < boundary {
            progress.flow = Flow::Snapshot(None);
            node.want_snapshot(from);
        } else if progress.needs_snapshot() && progress.matched >= boundary {
            progress.probe_from(progress.matched.next());
        }
        node.out.replicate |= progress.is_pipelining() && progress.next <= last;
        self.has_news = true;
        self.count_copies(node);
        self.advance_transfer(node);
        self.advance_change(node);
    }

    fn on_mismatch(
        &mut self,
        node: &mut Node,
        from: NodeId,
        previous: Index,
        last: Index,
        hints: &[TermSpan],
    ) {
        let Some(progress) = self.progress_of(from) else { return };
        let is_current = match progress.flow {
            Flow::Probe => previous == progress.next.previous(),
            Flow::Pipeline(_) => previous < progress.next,
            Flow::Snapshot(_) => false,
        };
        if !is_current || previous <= progress.matched {
            return;
        }
        if last < progress.before_restart {
            node.out.lost_log = Some(from);
            progress.before_restart = Index::ZERO;
        }
        match node.log.search(hints, last) {
            Search::Probe(index) if index < previous => {
                progress.probe_from(index.next());
            }
            // An answer that does not narrow the search down is not one.
            Search::Probe(_) => return,
            Search::Dropped(index) => {
                progress.probe_from(index.next());
                progress.flow = Flow::Snapshot(None);
            }
        }
        match progress.flow {
            Flow::Snapshot(_) => node.want_snapshot(from),
            _ => self.probe_at_once(node, from),
        }
    }

    /// Advances the commit index over what a quorum holds durably. Entries of older terms are only
    /// committed by one of this term after them (section 5.4.2 of the Raft paper).
    pub(crate) fn count_copies(&mut self, node: &mut Node) {
        let own = node.id();
        let config = match is_on(Bug::MembersCountedWhenCommitted) {
            true => node.log.committed_config(node.commit()),
            false => node.log.config(),
        };
        let held = quorum::reached(&config.config, |voter| match voter == own {
            _ if is_on(Bug::LeaverCounted) && !node.log.config().config.votes(own) => {
                let other = self.progress(voter).map_or(Index::ZERO, |progress| progress.matched);
                if config.config.halves().all(|half| half.voters.first() == Some(&voter)) {
                    node.log.durable()
                } else {
                    other
                }
            }
            true if is_on(Bug::LeaderCountsUnwritten) => node.log.last_index(),
            true => node.log.durable(),
            false => self.progress(voter).map_or(Index::ZERO, |progress| progress.matched),
        });
        assert!(held <= node.log.last_index(), "nobody holds more than the leader has");
        let is_of_this_term = held >= self.first || is_on(Bug::OlderTermCommitted);
        if held > node.commit() && is_of_this_term {
            node.commit_to(held);
            self.has_news = true;
        }
    }

    /// Entries that may be sent to a node now.
    pub(crate) fn sendable(&self, node: &Node, to: NodeId) -> Option<Sendable> {
        let progress = self.progress(to)?;
        let options = &node.options;
        let (items, bytes) = progress.room(options.window_items, options.window_bytes)?;
        let (first, last) = (progress.next, node.log.last_index());
        if first > last {
            return None;
        }
        let last = last.min(first.plus(items).previous());
        let last = node.log.cut_for_message(first, last);
        Some(Sendable { first, last, bytes_max: bytes.min(options.append_bytes_max) })
    }

    /// Makes the message for entries the host has at hand.
    pub(crate) fn send_entries(
        &mut self,
        node: &mut Node,
        to: NodeId,
        (first, last): (Index, Index),
        bytes: u64,
    ) -> Option<Append> {
        let sendable = self.sendable(node, to)?;
        if first != sendable.first || last < first || last > sendable.last {
            return None;
        }
        let index = first.previous();
        let previous = Position { index, term: node.log.term(index)? };
        let (round, commit) = (self.round, node.commit());
        let progress = self.progress_of(to)?;
        progress.sent(last, bytes);
        progress.told_commit = progress.told_commit.max(commit.min(last));
        Some(Append { previous, round, commit, entries: node.log.entries(first, last) })
    }

    /// Tells followers that more is committed. The next entries tell as well: those who wait for none
    /// are told after a while, and at once when reads there wait for it.
    fn tell_commit(&mut self, node: &mut Node) {
        let (last, commit, now) = (node.log.last_index(), node.commit(), node.now);
        let delay = node.options.commit_notice_delay;
        let is_due = delay.is_zero() || self.notices_at.is_some_and(|at| now >= at);
        let mut is_owed = false;
        for place in 0..self.progress.len() {
            let Progress { matched, told_commit, read_index, .. } = self.progress[place];
            if matched != last || told_commit >= commit {
                continue;
            }
            if is_due || told_commit < read_index {
                self.send_heartbeat(node, place);
            } else {
                is_owed = true;
            }
        }
        if is_due || !is_owed {
            self.notices_at = None;
        } else if self.notices_at.is_none() {
            self.notices_at = Some(now + delay);
            node.out.is_sooner = true;
        }
    }

    /// Does what waits for the end of an input: tells followers what is committed, and begins a round
    /// for reads. Says whether this node still leads.
    pub(crate) fn finish_input(&mut self, node: &mut Node) -> bool {
        if core::mem::take(&mut self.has_news) {
            self.tell_commit(node);
            if self.is_out_of_office(node) {
                return false;
            }
        }
        if node.reads.wants_proof() && !self.has_ordered_transfer() {
            self.begin_round(node);
            node.reads.begin(self.round.0, node.commit().max(self.first), node.now);
            self.count_answers(node);
        }
        true
    }
}
