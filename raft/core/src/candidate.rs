//! A node that asks whether it could win, and one that asks for votes.

use alloc::vec::Vec;

use moment::Moment;
use planted::{Bug, is_on};

use crate::message::{Ballot, Body, Handover, Vote};
use crate::node::Node;
use crate::quorum::{Tally, tally};
use crate::types::NodeId;

/// An election, or the question before it.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    ballot: Ballot,
    deadline: Moment,
    answers: Vec<(NodeId, bool)>,
}

impl Campaign {
    /// Asks whether the next term could be won. Nothing changes but this node's role, and its own
    /// yes counts at once.
    pub(crate) fn ask(node: &mut Node) -> Campaign {
        let mut campaign = Campaign::new(node, Ballot::Pre(node.term().next()));
        campaign.answers.push((node.id(), true));
        campaign.send_to_all(node, None);
        campaign
    }

    /// Enters the next term and asks for votes. The requests leave, and the own vote counts, when
    /// the vote is durable.
    pub(crate) fn stand(node: &mut Node, handover: Option<Handover>) -> Campaign {
        node.promise(node.term().next(), Some(node.id()));
        let campaign = Campaign::new(node, Ballot::Real);
        campaign.send_to_all(node, handover);
        campaign
    }

    fn new(node: &mut Node, ballot: Ballot) -> Campaign {
        assert!(node.may_campaign(), "only a voter in good standing campaigns");
        // Shorter than the wait for a leader: whoever has tried in vain asks again, gently, and two
        // that have split the votes part here.
        let mut campaign = Campaign { ballot, deadline: node.now, answers: Vec::new() };
        campaign.wait_again(node);
        campaign
    }

    /// Gives the campaign as much time as it had, and draws it anew.
    pub(crate) fn wait_again(&mut self, node: &mut Node) {
        self.deadline = node.now + node.random.up_to_twice(node.election_timeout() / 2);
    }

    fn send_to_all(&self, node: &mut Node, handover: Option<Handover>) {
        let vote = Vote { ballot: self.ballot, last: node.log.last(), handover };
        let config = &node.log.config().config;
        let others: Vec<NodeId> =
            config.nodes().into_iter().filter(|&n| n != node.id() && config.votes(n)).collect();
        for other in others {
            match self.ballot {
                Ballot::Pre(_) => node.send_unbound(other, Body::Vote(vote)),
                Ballot::Real => node.send(other, Body::Vote(vote)),
            }
        }
    }

    pub(crate) fn deadline(&self) -> Moment {
        self.deadline
    }

    pub(crate) fn is_real(&self) -> bool {
        self.ballot == Ballot::Real
    }

    /// Notes an answer to this campaign's question; the first one of a node counts.
    pub(crate) fn answered(
        &mut self,
        node: &Node,
        from: NodeId,
        ballot: Ballot,
        granted: bool,
    ) -> Tally {
        if ballot == self.ballot && self.answer_of(from).is_none() {
            self.answers.push((from, granted));
        }
        self.tally(node)
    }

    /// The own vote is durable.
    pub(crate) fn vote_persisted(&mut self, node: &Node) -> Tally {
        assert!(node.vote() == Some(node.id()), "a candidate votes for itself");
        self.answered(node, node.id(), Ballot::Real, true)
    }

    fn tally(&self, node: &Node) -> Tally {
        let config = match is_on(Bug::MembersInForceWhenCommitted) {
            true => node.log.committed_config(node.commit()),
            false => node.log.config(),
        };
        tally(&config.config, |voter| self.answer_of(voter))
    }

    fn answer_of(&self, node: NodeId) -> Option<bool> {
        self.answers.iter().find(|(from, _)| *from == node).map(|(_, granted)| *granted)
    }
}
