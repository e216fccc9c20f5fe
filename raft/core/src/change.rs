//! A leader changes the membership: newcomers catch up first, then the entry is appended.

use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;
use planted::{Bug, is_on};

use crate::leader::Leader;
use crate::membership::{Change, ChangeRefused, Config, Members};
use crate::node::Node;
use crate::output::{ChangeOutcome, OwnEntry, OwnEntryBody};
use crate::progress::Progress;
use crate::types::{Index, NodeId};

/// A prepared change whose entry waits for its newcomers.
///
/// A voter without the log would count for a majority before it can help to reach one. So each
/// newcomer must reach `goal`, and if that took longer than an election timeout, another one
/// (section 4.2.1 of the Raft dissertation).
#[derive(Clone, Debug)]
pub(crate) struct PendingChange {
    next: Members,
    pub(crate) deadline: Moment,
    goal: Index,
    goal_set_at: Moment,
}

impl Leader {
    /// Begins a change; the newest membership must be committed, and an entry of this term as well.
    pub(crate) fn begin_change(
        &mut self,
        node: &mut Node,
        change: Change,
        limit: Duration,
    ) -> Result<(), ChangeRefused> {
        let entry = node.log.config();
        let newest = entry.index;
        if self.change.is_some()
            || self.transfer.is_some()
            || (newest > node.commit() && !is_on(Bug::SecondChange))
            || (node.commit() < self.first && !is_on(Bug::SecondChange))
        {
            return Err(ChangeRefused::Busy);
        }
        let config = entry.config.clone();
        match change {
            Change::Prepare { current, next } => {
                next.check()?;
                if current != config.current {
                    return Err(ChangeRefused::CurrentDiffers);
                }
                self.prepare(node, next, limit);
            }
            Change::Commit { prepared } if prepared != newest => {
                return Err(ChangeRefused::IndexDiffers { newest });
            }
            Change::Commit { .. } => {
                let current = match is_on(Bug::WrongHalfCommitted) {
                    true => node.log.committed_config(newest.previous()).config.current.clone(),
                    false => config.next.unwrap_or(config.current),
                };
                self.append_config(node, Config { current, next: None });
            }
            Change::Abort => self.append_config(node, Config { next: None, ..config }),
        }
        Ok(())
    }

    fn prepare(&mut self, node: &mut Node, next: Members, limit: Duration) {
        let goal = node.log.last_index();
        let (deadline, goal_set_at) = (node.now + limit, node.now);
        self.change = Some(PendingChange { next, deadline, goal, goal_set_at });
        self.follow_config(node, node.log.last_index().next());
        self.begin_round(node);
        self.advance_change(node);
    }

    /// Appends the prepared membership once its newcomers are near.
    pub(crate) fn advance_change(&mut self, node: &mut Node) {
        let Some(change) = &self.change else { return };
        let current = node.log.config().config.current.clone();
        let mut newcomers = change.next.voters.iter().filter(|&&voter| !current.votes(voter));
        let near = |id: &NodeId| self.progress(*id).is_some_and(|p| p.matched >= change.goal);
        if !newcomers.all(|voter| *voter == node.id() || near(voter)) {
            return;
        }
        if node.now.since(change.goal_set_at) > node.election_timeout() {
            let goal = node.log.last_index();
            if let Some(change) = &mut self.change {
                (change.goal, change.goal_set_at) = (goal, node.now);
            }
            return;
        }
        if let Some(PendingChange { next, .. }) = self.change.take() {
            self.append_config(node, Config { current, next: Some(next) });
        }
    }

    pub(crate) fn tick_change(&mut self, node: &mut Node) {
        if self.change.take_if(|change| change.deadline <= node.now).is_some() {
            node.out.change = Some(ChangeOutcome::GivenUp);
            self.follow_config(node, node.log.last_index().next());
        }
    }

    /// The membership is in force from the moment its entry is in the log.
    fn append_config(&mut self, node: &mut Node, config: Config) {
        let is_alone = node.log.config().index <= node.commit() || is_on(Bug::SecondChange);
        assert!(is_alone, "one uncommitted membership at a time");
        let term = node.term();
        let index = node.log.append_config(config.clone(), term);
        node.out.own_entries.push(OwnEntry { index, term, body: OwnEntryBody::Config(config) });
        node.out.change = Some(ChangeOutcome::Appended(index));
        node.out.replicate = true;
        self.follow_config(node, index);
        self.count_answers(node);
    }

    /// Replicates to everyone in the membership and to newcomers; others leave.
    pub(crate) fn follow_config(&mut self, node: &mut Node, next: Index) {
        let mut wanted = node.log.config().config.nodes();
        if let Some(change) = &self.change {
            wanted.extend(change.next.voters.iter().chain(&change.next.observers));
        }
        wanted.retain(|&id| id != node.id());
        for &id in &wanted {
            if let Err(place) = self.progress.binary_search_by_key(&id, |progress| progress.id) {
                self.progress.insert(place, Progress::new(id, next));
            }
        }
        for progress in &mut self.progress {
            progress.leaves_at = match wanted.contains(&progress.id) {
                true => None,
                // Time enough to learn that the change is committed.
                false => progress.leaves_at.or(Some(node.now + node.election_timeout() * 2)),
            };
        }
    }

    /// Stops replicating to nodes that left, once they know it or had their time.
    pub(crate) fn forget_leavers(&mut self, node: &Node) {
        let newest = node.log.config().index;
        let config: Vec<NodeId> = node.log.config().config.nodes();
        self.progress.retain(|progress| {
            let knows = newest <= node.commit() && progress.told_commit >= newest;
            let is_over = progress.leaves_at.is_some_and(|at| knows || at <= node.now);
            assert!(!is_over || !config.contains(&progress.id), "a member never leaves");
            !is_over
        });
    }
}
