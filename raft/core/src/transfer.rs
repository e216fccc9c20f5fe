//! A leader hands over: the successor catches up, is ordered to stand, and takes over or does not.

use core::time::Duration;

use moment::Moment;
use planted::{Bug, is_on};

use crate::answers::TransferRefused;
use crate::leader::Leader;
use crate::message::{Body, TimeoutNow};
use crate::node::Node;
use crate::output::TransferOutcome;
use crate::types::NodeId;

/// How many election timeouts pass between two attempts to hand over by priority.
const TAKEOVER_PAUSE: u32 = 10;

/// A transfer under way. No proposals are taken while there is one.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) target: NodeId,
    /// When it is given up.
    pub(crate) deadline: Moment,
    /// The target has everything and was ordered to stand. There is no lease from here on.
    pub(crate) ordered: bool,
}

impl Leader {
    /// Begins to hand over to `target`.
    pub(crate) fn begin_transfer(
        &mut self,
        node: &mut Node,
        target: NodeId,
        limit: Duration,
    ) -> Result<(), TransferRefused> {
        if target == node.id() {
            return Err(TransferRefused::AlreadyLeads);
        }
        if self.transfer.is_some() {
            return Err(TransferRefused::UnderWay);
        }
        if self.change.is_some() {
            return Err(TransferRefused::Changing);
        }
        if !node.log.config().config.votes(target) || self.progress(target).is_none() {
            return Err(TransferRefused::NotVoter);
        }
        self.transfer = Some(Transfer { target, deadline: node.now + limit, ordered: false });
        self.advance_transfer(node);
        Ok(())
    }

    /// Gives the order as soon as the target has the whole log and all of it is committed: whoever
    /// waits for one of its entries here still gets an answer.
    pub(crate) fn advance_transfer(&mut self, node: &mut Node) {
        let Some(transfer) = self.transfer.as_ref().filter(|transfer| !transfer.ordered) else {
            return;
        };
        let target = transfer.target;
        let matched = self.progress(target).map(|progress| progress.matched);
        let last = node.log.last_index();
        if matched == Some(last) && node.commit() == last {
            self.order(node, target);
        }
    }

    fn order(&mut self, node: &mut Node, target: NodeId) {
        assert!(node.log.config().config.votes(target), "only a voter can follow a leader");
        // From here on voters may be disloyal, so the lease ends before the order leaves.
        if !is_on(Bug::LeaseKeptInTransfer) {
            self.drop_lease();
        }
        // Long enough for two durable votes, short enough for a quorum that hears no new round.
        let limit = node.now + node.election_timeout() / 2;
        if let Some(transfer) = &mut self.transfer {
            transfer.ordered = true;
            transfer.deadline = transfer.deadline.min(limit);
        }
        node.send(target, Body::TimeoutNow(TimeoutNow { round: self.round }));
    }

    pub(crate) fn has_ordered_transfer(&self) -> bool {
        self.transfer.as_ref().is_some_and(|transfer| transfer.ordered)
    }

    pub(crate) fn tick_transfer(&mut self, node: &mut Node) {
        let is_over = |transfer: &mut Transfer| transfer.deadline <= node.now;
        if self.transfer.take_if(is_over).is_some() {
            node.out.transfer = Some(TransferOutcome::TimedOut);
            self.takeover_from = node.now + node.election_timeout() * TAKEOVER_PAUSE;
            // The lease that ended with the order begins again with a round of its own, which also
            // revokes the order.
            self.begin_round(node);
        }
    }

    /// The successor cannot be reached: waiting for it would only keep proposals out.
    pub(crate) fn lost_successor(&mut self, node: &Node, id: NodeId) {
        if let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.target == id) {
            transfer.deadline = node.now;
        }
    }

    /// Hands over to a node that has everything and wants to lead more than this one does.
    pub(crate) fn consider_takeover(&mut self, node: &mut Node, candidate: NodeId) {
        let config = &node.log.config().config;
        let Some(progress) = self.progress(candidate) else { return };
        let is_wanted = progress.priority > node.options.priority
            && progress.is_pipelining()
            && progress.matched >= node.commit();
        let is_quiet = self.transfer.is_none() && self.change.is_none() && config.next.is_none();
        let is_settled = node.now >= self.takeover_from && node.commit() >= self.first;
        if is_wanted && is_quiet && is_settled && config.votes(candidate) {
            let limit = node.election_timeout() / 2;
            let begun = self.begin_transfer(node, candidate, limit);
            assert!(begun.is_ok(), "every condition of a transfer was checked");
        }
    }

    /// A leader that its own membership has left out goes when that is committed. It tells everyone,
    /// and has the voter that knows most follow it at once.
    pub(crate) fn is_out_of_office(&mut self, node: &mut Node) -> bool {
        let entry = node.log.config();
        let is_voter = entry.config.votes(node.id());
        if is_on(Bug::LeftOutLeaderStays)
            || is_voter
            || entry.config.next.is_some()
            || entry.index > node.commit()
        {
            return false;
        }
        let voters = self.progress.iter().filter(|progress| entry.config.votes(progress.id));
        let best = voters.max_by_key(|progress| progress.matched);
        let full = best.filter(|progress| progress.matched == node.log.last_index());
        if let Some(successor) = full.map(|progress| progress.id) {
            self.drop_lease();
            node.send(successor, Body::TimeoutNow(TimeoutNow { round: self.round }));
        }
        true
    }
}
