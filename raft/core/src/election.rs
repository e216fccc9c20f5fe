//! From one role to the next, and what every role answers alike.

use alloc::boxed::Box;

use planted::{Bug, is_on};

use crate::candidate::Campaign;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::message::{Ballot, Body, Handover, Message, ReadIndexReply, Vote, VoteReply};
use crate::options::Standing;
use crate::output::{ChangeOutcome, TransferOutcome};
use crate::quorum::Tally;
use crate::raft::{Raft, Role};
use crate::types::{NodeId, Term};

/// Terms beyond this are no result of elections; a message with one is refused, so that a broken
/// peer cannot use the terms of a group up.
const TERM_MAX: Term = Term(1 << 31);

impl Raft {
    /// Sorts a message: elections first, then by term, then by role.
    pub(crate) fn receive(&mut self, from: NodeId, message: Message) {
        if from == self.node.id() || message.term > TERM_MAX {
            return;
        }
        match message.body {
            Body::Vote(vote) => self.on_vote(from, message.term, vote),
            Body::VoteReply(reply) => self.on_vote_reply(from, message.term, reply),
            body if self.is_of_this_term(from, message.term, &body) => self.dispatch(from, body),
            _ => {}
        }
    }

    /// Compares terms: a newer one is entered, the sender of an older one is told.
    fn is_of_this_term(&mut self, from: NodeId, term: Term, body: &Body) -> bool {
        if term > self.node.term() {
            self.follow(term, None);
        }
        if term < self.node.term() && is_of_a_leader(body) {
            // A leader that was left behind steps down when it hears of this.
            let reply = VoteReply { ballot: Ballot::Real, granted: false };
            self.node.send(from, Body::VoteReply(reply));
        }
        term == self.node.term() || (is_on(Bug::OldLeaderFollowed) && is_of_a_leader(body))
    }

    fn dispatch(&mut self, from: NodeId, body: Body) {
        if is_of_a_leader(&body) && !self.recognise(from) {
            return;
        }
        let node = &mut self.node;
        match (&mut self.role, body) {
            (Role::Follower(follower), Body::Append(append)) => {
                follower.on_append(node, from, &append);
            }
            (Role::Follower(follower), Body::Heartbeat(heartbeat)) => {
                follower.on_heartbeat(node, from, &heartbeat);
            }
            (Role::Follower(follower), Body::SnapshotOffer(offer)) => {
                follower.on_snapshot_offer(node, from, &offer);
            }
            (Role::Follower(_), Body::TimeoutNow(order)) => {
                let handover = Handover { term: node.term(), round: order.round };
                // An order older than a round that was seen was revoked.
                if node.may_campaign() && order.round >= node.seen.round {
                    self.stand(Some(handover));
                }
            }
            (Role::Follower(follower), Body::ReadIndexReply(reply)) => {
                follower.on_read_index_reply(node, from, &reply);
            }
            (Role::Leader(leader), Body::AppendReply(reply)) => {
                leader.on_append_reply(node, from, &reply);
            }
            (Role::Leader(leader), Body::HeartbeatReply(reply)) => {
                leader.on_heartbeat_reply(node, from, &reply);
            }
            (Role::Leader(leader), Body::SnapshotReply(reply)) => {
                leader.on_snapshot_reply(node, from, &reply);
            }
            (Role::Leader(leader), Body::ReadIndex(question)) => {
                leader.on_read_index(node, from, question.context);
            }
            (_, Body::ReadIndex(question)) => {
                let reply = ReadIndexReply { context: question.context, index: None };
                node.send(from, Body::ReadIndexReply(reply));
            }
            // Answers to questions of an earlier role.
            _ => {}
        }
    }

    /// Takes the sender for the leader of this term, unless the term has another one: then one of
    /// the two breaks the protocol, and the second is not listened to.
    fn recognise(&mut self, from: NodeId) -> bool {
        match &mut self.role {
            Role::Leader(_) => false,
            Role::Candidate(_) => {
                self.follow(self.node.term(), Some(from));
                true
            }
            Role::Follower(follower) => *follower.leader.get_or_insert(from) == from,
        }
    }

    fn on_vote(&mut self, from: NodeId, term: Term, vote: Vote) {
        match vote.ballot {
            Ballot::Pre(wanted) => self.on_pre_vote(from, wanted, vote),
            Ballot::Real => self.on_real_vote(from, term, vote),
        }
    }

    /// A pure question: nothing changes here, not even a timer. The answer carries this node's term,
    /// so that a node that was away learns of a newer one.
    fn on_pre_vote(&mut self, from: NodeId, wanted: Term, vote: Vote) {
        let granted = self.node.standing == Standing::Full
            && wanted > self.node.term()
            && (self.node.is_up_to_date(vote.last) || is_on(Bug::VoteForShorterLog))
            && !self.is_loyal();
        self.node.send_unbound(from, Body::VoteReply(VoteReply { ballot: vote.ballot, granted }));
    }

    fn on_real_vote(&mut self, from: NodeId, term: Term, vote: Vote) {
        if term > self.node.term() {
            let handed_over = vote.handover.is_some_and(|handover| self.accepts(handover, term));
            if self.is_loyal() && !handed_over {
                // Whoever asks has lost touch with a leader that is alive. Entering its term would
                // depose that leader for nothing.
                return;
            }
            self.follow(term, None);
        }
        let free = self.node.vote().is_none_or(|voted| voted == from) && self.leader().is_none();
        let granted = term == self.node.term()
            && (free || is_on(Bug::SecondVote))
            && self.node.standing == Standing::Full
            && (self.node.is_up_to_date(vote.last) || is_on(Bug::VoteForShorterLog));
        if granted && free {
            self.node.promise(term, Some(from));
            if let Role::Follower(follower) = &mut self.role {
                follower.wait_again(&self.node);
            }
        }
        let reply = Body::VoteReply(VoteReply { ballot: Ballot::Real, granted });
        if is_on(Bug::VoteBeforeDurable) {
            return self.node.send_unbound(from, reply);
        }
        // Kept back until the vote is durable.
        self.node.send(from, reply);
    }

    /// Whether this node keeps to a leader that is alive, as far as it knows.
    fn is_loyal(&self) -> bool {
        if is_on(Bug::Disloyal) {
            return false;
        }
        match &self.role {
            Role::Leader(leader) => leader.has_quorum(&self.node),
            _ => self.node.now < self.node.loyal_until,
        }
    }

    /// Whether a leader's order outweighs the loyalty to it. See [`Handover`].
    fn accepts(&self, handover: Handover, term: Term) -> bool {
        let seen = match &self.role {
            Role::Leader(leader) => Handover { term: self.node.term(), round: leader.round },
            _ => self.node.seen,
        };
        let not_revoked = handover.term > seen.term
            || (handover.term == seen.term && handover.round >= seen.round);
        let is_next = handover.term.0.checked_add(1) == Some(term.0);
        not_revoked && is_next && self.node.now >= self.node.unsure_until
    }

    fn on_vote_reply(&mut self, from: NodeId, term: Term, reply: VoteReply) {
        // A grant of a pre-vote comes from an older term or this one; anything newer is news.
        if term > self.node.term() {
            return self.follow(term, None);
        }
        let Role::Candidate(campaign) = &mut self.role else { return };
        if reply.ballot == Ballot::Real && term < self.node.term() {
            return;
        }
        let tally = campaign.answered(&self.node, from, reply.ballot, reply.granted);
        self.count_votes(tally);
    }

    pub(crate) fn count_votes(&mut self, tally: Tally) {
        let Role::Candidate(campaign) = &self.role else { return };
        match tally {
            Tally::Open => {}
            Tally::Lost if campaign.is_real() => self.follow(self.node.term(), None),
            Tally::Lost => self.role = Role::Follower(Follower::soon_to_ask(&mut self.node)),
            Tally::Won if campaign.is_real() => {
                self.role = Role::Leader(Box::new(Leader::new(&mut self.node)));
            }
            Tally::Won => self.stand(None),
        }
    }

    /// Nobody leads, as far as this node knows.
    pub(crate) fn wait_or_campaign(&mut self) {
        if self.node.may_campaign() {
            self.campaign();
        } else {
            self.follow(self.node.term(), None);
        }
    }

    pub(crate) fn campaign(&mut self) {
        if self.node.decides_alone() {
            return self.stand(None);
        }
        self.leave_role();
        self.role = Role::Candidate(Campaign::ask(&mut self.node));
    }

    fn stand(&mut self, handover: Option<Handover>) {
        self.leave_role();
        self.role = Role::Candidate(Campaign::stand(&mut self.node, handover));
    }

    /// Enters `term`, or stays in it, as a follower.
    pub(crate) fn follow(&mut self, term: Term, leader: Option<NodeId>) {
        assert!(term >= self.node.term(), "a term never goes back");
        self.leave_role();
        if term > self.node.term() {
            self.node.enter(term);
        }
        self.role = Role::Follower(Follower::new(&mut self.node, leader));
    }

    /// Settles what cannot outlive the role.
    fn leave_role(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            if leader.change.take().is_some() {
                self.node.out.change = Some(ChangeOutcome::GivenUp);
            }
            if leader.transfer.take().is_some() {
                self.node.out.transfer = Some(TransferOutcome::Done);
            }
        }
        for (to, context) in self.node.refuse_reads() {
            let reply = ReadIndexReply { context, index: None };
            self.node.send(to, Body::ReadIndexReply(reply));
        }
    }
}

fn is_of_a_leader(body: &Body) -> bool {
    matches!(
        body,
        Body::Append(_) | Body::Heartbeat(_) | Body::SnapshotOffer(_) | Body::TimeoutNow(_)
    )
}
