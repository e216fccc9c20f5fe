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
    /// What members had acknowledged on disks that they have lost, until they vote again.
    forgetful: BTreeMap<(NodeKey, GroupId), u64>,
    /// The most that anybody has applied.
    applied: BTreeMap<GroupId, u64>,
    /// What a member has durably promised last, on the disk that it has now.
    promises: BTreeMap<(NodeKey, GroupId), HardState>,
    leaders: BTreeMap<(GroupId, u32), NodeKey>,
}

impl Elections {
    /// A member's disk was exchanged for an empty one: it has forgotten its promises, and that it
    /// has acknowledged entries up to `held`.
    pub(super) fn lost_disk(&mut self, node: NodeKey, held: impl Fn(GroupId) -> u64) {
        for ((_, group), _) in self.promises.extract_if(.., |(other, _), _| *other == node) {
            let forgotten = self.forgetful.entry((node, group)).or_default();
            *forgotten = held(group).max(*forgotten);
        }
    }

    /// Takes what a member looks like now. `proven` is the last entry known to be committed.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn observe(&mut self, seen: &Observation, proven: u64) -> Result<(), Violation> {
        self.take_promise(seen, proven)?;
        let newest = self.applied.entry(seen.group).or_default();
        *newest = seen.applied.max(*newest);
        if !seen.is_leader {
            return self.check_known_leader(seen);
        }
        self.check_read(seen)?;
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

    /// Whether the member was not known to lead its term.
    pub(super) fn is_new_leader(&self, seen: &Observation) -> bool {
        seen.is_leader && !self.leaders.contains_key(&(seen.group, seen.term))
    }

    /// Whom a member follows leads the term that both are in.
    fn check_known_leader(&self, seen: &Observation) -> Result<(), Violation> {
        let Observation { node, group, term, leader, .. } = *seen;
        let Some(leader) = leader else { return Ok(()) };
        match self.leaders.get(&(group, term)) {
            Some(known) if *known == leader => Ok(()),
            known => {
                let what = format!(
                    "{node}, group {}: follows {leader} in term {term}, which {known:?} leads",
                    group.0
                );
                Err(Violation::new(Rule::KnownLeader, what))
            }
        }
    }

    /// Who answers reads at once has applied whatever anybody can have been told.
    fn check_read(&self, seen: &Observation) -> Result<(), Violation> {
        let Observation { node, group, applied, reads_at_once, .. } = *seen;
        let newest = self.applied.get(&group).copied().unwrap_or(0);
        if reads_at_once && applied < newest {
            let what = format!(
                "{node}, group {}: would answer reads after entry {applied}, and {newest} is \
                 applied elsewhere",
                group.0
            );
            return Err(Violation::new(Rule::Lease, what));
        }
        Ok(())
    }

    /// A node that lost its disk may vote only when its log has what it had acknowledged.
    fn check_new_disk(&mut self, seen: &Observation, proven: u64) -> Result<(), Violation> {
        let Observation { node, group, durable, .. } = *seen;
        let Some(forgotten) = self.forgetful.remove(&(node, group)) else { return Ok(()) };
        let needed = forgotten.min(proven);
        if durable < needed {
            let what = format!(
                "{node}, group {}: votes on a new disk with entries up to {durable}, and had \
                 acknowledged those up to {needed}",
                group.0
            );
            return Err(Violation::new(Rule::NewDisk, what));
        }
        Ok(())
    }

    /// Durable promises never go back, not even across a death.
    fn take_promise(&mut self, seen: &Observation, proven: u64) -> Result<(), Violation> {
        let Observation { node, group, promise, .. } = *seen;
        let before = self.promises.insert((node, group), promise);
        if before == Some(promise) {
            return Ok(());
        }
        // A node without a vote spends it on itself when it enters a term.
        let is_own = promise.vote == Some(NodeId(u32::from(node.0)));
        let is_spent = is_own && !seen.stands && self.forgetful.contains_key(&(node, group));
        let vote = promise.vote.filter(|_| !is_spent);
        if vote.is_some() {
            self.check_new_disk(seen, proven)?;
        }
        if let Some(vote) = vote
            && let Some(earlier) = self.votes.insert((group, promise.term.0, node), vote)
            && earlier != vote
        {
            let what = format!(
                "{node}, group {}: votes for {vote:?} in term {}, and did for {earlier:?}",
                group.0, promise.term.0
            );
            return Err(Violation::new(Rule::Promise, what));
        }
        let Some(before) = before else { return Ok(()) };
        let is_other_vote = before.vote.is_some() && before.vote != promise.vote;
        if promise.term < before.term || (promise.term == before.term && is_other_vote) {
            let what = format!(
                "{node}, group {}: it had promised {before:?}, and now it is {promise:?}",
                group.0
            );
            return Err(Violation::new(Rule::Promise, what));
        }
        Ok(())
    }

    /// A term begins with a leader that a majority of each half has durably voted for, and that has
    /// everything that was committed in earlier terms.
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
        // One that wins after a later leader need not have what that one has committed.
        let is_overtaken =
            self.leaders.range((group, term + 1)..=(group, u32::MAX)).next().is_some();
        if last < proven && !is_overtaken {
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
