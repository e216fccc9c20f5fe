//! What must hold of votes and leaders, over all lives of all nodes.

use std::collections::BTreeMap;

use raft_core::{GroupId, HardState, NodeId};
use runtime::sim::NodeKey;

use super::members::Observation;
use crate::violation::{Rule, Violation};

/// All promises and leaders of a run.
#[derive(Clone, Default)]
pub(super) struct Elections {
    /// Whom a node has durably voted for in a term.
    votes: BTreeMap<(GroupId, u32, NodeKey), NodeId>,
    /// What a member has durably promised last, on the disk that it has now.
    promises: BTreeMap<(NodeKey, GroupId), HardState>,
    leaders: BTreeMap<(GroupId, u32), NodeKey>,
}

impl Elections {
    /// A member's disk was exchanged for an empty one: it has forgotten its promises.
    pub(super) fn lost_disk(&mut self, node: NodeKey) {
        self.promises.retain(|(other, _), _| *other != node);
    }

    /// Takes what a member looks like now. `proven` is the last entry known to be committed.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn observe(&mut self, seen: &Observation, proven: u64) -> Result<(), Violation> {
        self.take_promise(seen)?;
        if !seen.is_leader {
            return Ok(());
        }
        match self.leaders.insert((seen.group, seen.term), seen.node) {
            Some(leader) if leader == seen.node => Ok(()),
            Some(leader) => {
                let Observation { node, group, term, .. } = seen;
                let what = format!("group {}: {leader} and {node} both lead term {term}", group.0);
                Err(Violation::new(Rule::OneLeader, what))
            }
            None => self.check_begun(seen, proven),
        }
    }

    /// Durable promises never go back, not even across a death.
    fn take_promise(&mut self, seen: &Observation) -> Result<(), Violation> {
        let Observation { node, group, promise, .. } = *seen;
        let Some(before) = self.promises.insert((node, group), promise) else { return Ok(()) };
        let is_other_vote = before.vote.is_some() && before.vote != promise.vote;
        if promise.term < before.term || (promise.term == before.term && is_other_vote) {
            let what = format!(
                "{node}, group {}: it had promised {before:?}, and now it is {promise:?}",
                group.0
            );
            return Err(Violation::new(Rule::Promise, what));
        }
        if let Some(vote) = promise.vote {
            self.votes.insert((group, promise.term.0, node), vote);
        }
        Ok(())
    }

    /// A term begins with a leader that a majority of each half has durably voted for, and that has
    /// everything that was committed.
    fn check_begun(&self, seen: &Observation, proven: u64) -> Result<(), Violation> {
        let Observation { node, group, term, last, .. } = *seen;
        let own = NodeId(u32::from(node.0));
        for half in seen.config.halves() {
            let votes_for = |voter: &&NodeId| {
                let voter = NodeKey(voter.0 as u16);
                self.votes.get(&(group, term, voter)) == Some(&own)
            };
            let votes = half.voters.iter().filter(votes_for).count();
            if votes < half.voters.len() / 2 + 1 {
                let what = format!(
                    "{node}, group {}: leads term {term} with {votes} durable votes of {:?}",
                    group.0, half.voters
                );
                return Err(Violation::new(Rule::ElectionQuorum, what));
            }
        }
        if last < proven {
            let what = format!(
                "{node}, group {}: leads term {term} with entries up to {last}, but {proven} is \
                 committed",
                group.0
            );
            return Err(Violation::new(Rule::LeaderComplete, what));
        }
        Ok(())
    }
}
