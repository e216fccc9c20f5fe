//! A node that follows a leader, or waits for one. Observers and strangers are followers too.

use core::time::Duration;

use moment::Moment;
use planted::{Bug, is_on};

use crate::message::{
    Append, AppendOutcome, AppendReply, Body, Heartbeat, HeartbeatReply, ReadIndex, ReadIndexReply,
    SnapshotOffer, SnapshotReply,
};
use crate::node::Node;
use crate::output::SnapshotWanted;
use crate::types::{Index, NodeId, Position, Round};

/// The state of a follower in one term.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) leader: Option<NodeId>,
    /// How long this node waits for a leader; drawn anew for each wait that failed.
    timeout: Duration,
    deadline: Moment,
    /// Entries were taken whose durability the leader has not been told yet.
    owes_reply: bool,
    /// The newest round whose heartbeat was answered.
    answered: Round,
    /// When an unanswered question about reads is given up.
    read_deadline: Option<Moment>,
}

impl Follower {
    pub(crate) fn new(node: &mut Node, leader: Option<NodeId>) -> Follower {
        let timeout = node.random.up_to_twice(node.election_timeout()) + node.options.reluctance();
        let deadline = node.now + timeout;
        Follower {
            leader,
            timeout,
            deadline,
            owes_reply: false,
            answered: Round(0),
            read_deadline: None,
        }
    }

    /// A follower that soon asks whether it could win. The question costs nothing, so nobody has to
    /// wait long where there never was a leader, or where some voter was loyal a moment longer.
    pub(crate) fn soon_to_ask(node: &mut Node) -> Follower {
        let wait = node.random.up_to_twice(node.options.heartbeat_interval);
        let wait = wait + node.options.reluctance();
        Follower { deadline: node.now + wait, ..Follower::new(node, None) }
    }

    pub(crate) fn deadline(&self) -> Moment {
        self.read_deadline.map_or(self.deadline, |deadline| deadline.min(self.deadline))
    }

    /// Says whether the wait for a leader is over.
    pub(crate) fn tick(&mut self, node: &mut Node) -> bool {
        if self.read_deadline.is_some_and(|deadline| deadline <= node.now) {
            self.read_deadline = None;
            node.refuse_reads();
        }
        node.now >= self.deadline
    }

    /// Waits anew, because a vote was granted: its receiver gets time to win.
    pub(crate) fn wait_again(&mut self, node: &Node) {
        self.deadline = node.now + self.timeout;
    }

    /// The link to a node broke. When that was the leader, it may have died: this node asks as soon as
    /// the others may be free of their loyalty, instead of after a drawn time. The question harms
    /// nobody if the leader is alive.
    pub(crate) fn lost_contact(&mut self, node: &mut Node, id: NodeId) {
        if self.leader != Some(id) {
            return;
        }
        // One after the other: two that stand at the same time keep each other from winning.
        let config = &node.log.config().config;
        let is_before = |other: &NodeId| *other < node.id() && *other != id && config.votes(*other);
        let turn = config.nodes().into_iter().filter(is_before).count() as u32;
        let pause = node.options.heartbeat_interval / 2;
        let wait = pause * turn + node.random.up_to_twice(pause / 10) + node.options.reluctance();
        self.deadline = self.deadline.min(node.loyal_until.max(node.now) + wait);
    }

    /// The leader has spoken. Its rounds may arrive in any order.
    pub(crate) fn heard(&mut self, node: &mut Node, round: Round) {
        self.deadline = node.now + self.timeout;
        node.loyal_until = node.loyal_until.max(node.now + node.election_timeout());
        if node.seen.term < node.term() {
            node.seen.term = node.term();
            node.seen.round = round;
        }
        assert!(node.seen.term == node.term(), "a leader is heard in its own term");
        node.seen.round = node.seen.round.max(round);
    }

    pub(crate) fn on_heartbeat(&mut self, node: &mut Node, from: NodeId, heartbeat: &Heartbeat) {
        self.heard(node, heartbeat.round);
        self.learn_commit(node, heartbeat.commit);
        // The same round again is a mere notice of commit.
        if heartbeat.round <= self.answered {
            return;
        }
        self.answered = heartbeat.round;
        let reply = HeartbeatReply {
            round: node.seen.round,
            loyalty: node.election_timeout(),
            priority: node.options.priority,
        };
        node.send(from, Body::HeartbeatReply(reply));
    }

    /// The message proves itself: a log that holds a committed entry holds all before it as well.
    fn learn_commit(&self, node: &mut Node, commit: Position) {
        if node.installing.is_none() && node.log.holds(commit) {
            node.commit_to(commit.index);
            node.agreed = node.agreed.max(commit.index);
        }
    }

    pub(crate) fn on_append(&mut self, node: &mut Node, from: NodeId, append: &Append) {
        if !append.entries.are_sound(append.previous, node.term()) {
            return;
        }
        self.heard(node, append.round);
        if node.installing.is_some() {
            return;
        }
        let (previous, last) = (append.previous, append.last());
        // What is committed is in every leader's log, so it matches even where it was dropped here.
        let is_unchecked = is_on(Bug::PreviousUnchecked) && previous.index <= node.log.last_index();
        if previous.index > node.commit() && !node.log.holds(previous) && !is_unchecked {
            return Self::refuse(node, from, previous.index);
        }
        let first = node.log.first_difference(previous.index, &append.entries);
        if first <= last {
            if !Self::may_take(node, append, first) {
                return;
            }
            node.out.accepted = Some(node.log.accept(first, previous.index, &append.entries));
        }
        node.agreed = node.agreed.max(last);
        // The leader's commit index says nothing about entries that this message did not prove.
        let proven = if is_on(Bug::UnprovenCommit) { append.commit } else { last };
        node.commit_to(append.commit.min(proven).min(node.log.last_index()));
        self.owes_reply = true;
        if node.log.durable() >= node.agreed || is_on(Bug::FollowerAcknowledgesUnwritten) {
            self.reply(node);
        }
    }

    /// Whether entries from `first` on may replace what the log has there. Only a leader that breaks
    /// the protocol would replace what is committed or what it sent itself.
    fn may_take(node: &Node, append: &Append, first: Index) -> bool {
        let mut segments = append.entries.segments(append.previous.index);
        let term = segments.find(|segment| segment.last >= first).map(|segment| segment.term);
        let before = node.log.term(first.previous());
        first > node.commit() && first > node.agreed && before.is_some() && before <= term
    }

    fn refuse(node: &mut Node, from: NodeId, previous: Index) {
        let outcome = AppendOutcome::Mismatch {
            previous,
            last: node.log.last_index(),
            hints: node.log.hints(previous, node.commit()),
        };
        let round = node.seen.round;
        node.send(from, Body::AppendReply(AppendReply { round, outcome }));
    }

    /// Tells the leader what is durable of what it sent.
    pub(crate) fn persisted(&mut self, node: &mut Node) {
        if self.owes_reply {
            self.reply(node);
        }
    }

    fn reply(&mut self, node: &mut Node) {
        let Some(leader) = self.leader else { return };
        let mut durable = node.log.durable();
        if is_on(Bug::FollowerAcknowledgesUnwritten) {
            durable = node.log.last_index();
        }
        self.owes_reply = durable < node.agreed;
        let outcome = AppendOutcome::Matched(durable.min(node.agreed));
        let round = node.seen.round;
        node.send(leader, Body::AppendReply(AppendReply { round, outcome }));
    }

    pub(crate) fn on_snapshot_offer(
        &mut self,
        node: &mut Node,
        from: NodeId,
        offer: &SnapshotOffer,
    ) {
        self.heard(node, offer.round);
        self.learn_commit(node, offer.boundary);
        if node.installing.is_some() || offer.boundary.term > node.term() {
            return;
        }
        if offer.boundary.index > node.commit() {
            node.out.install = Some(SnapshotWanted { from, boundary: offer.boundary });
        } else if offer.boundary.index <= node.log.durable() {
            self.answer_offer(node, offer.boundary, true);
        }
    }

    pub(crate) fn answer_offer(&mut self, node: &mut Node, boundary: Position, holds: bool) {
        let Some(leader) = self.leader else { return };
        let round = node.seen.round;
        node.send(leader, Body::SnapshotReply(SnapshotReply { round, boundary, holds }));
    }

    /// Asks the leader about the reads that wait, one question at a time.
    pub(crate) fn ask_about_reads(&mut self, node: &mut Node) {
        let Some(leader) = self.leader else { return };
        if node.reads.wants_proof() {
            let token = node.reads.begin_asking(node.now);
            let context = token.0 ^ node.read_salt;
            self.read_deadline = Some(node.now + node.election_timeout());
            node.send(leader, Body::ReadIndex(ReadIndex { context }));
        }
    }

    pub(crate) fn on_read_index_reply(
        &mut self,
        node: &mut Node,
        from: NodeId,
        reply: &ReadIndexReply,
    ) {
        let context = node.reads.asked().map(|token| token.0 ^ node.read_salt);
        if self.leader != Some(from) || context != Some(reply.context) {
            return;
        }
        self.read_deadline = None;
        match reply.index {
            Some(index) => drop(node.reads.prove(u64::MAX, Some(index))),
            None => drop(node.refuse_reads()),
        }
    }
}
