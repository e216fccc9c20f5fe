//! A group as all of its nodes see it, and whether it can do without some of them.

use std::thread;
use std::time::{Duration, Instant};

use client::GroupId;
use client::operations::administration::StatusOf;
use wire::{QueryStatusResp, StatusFlag};

use super::administered::Administered;
use super::exit::{Exit, Failure};

/// What the nodes of a group have said.
pub(super) struct Survey {
    /// The leader's own words.
    pub(super) leader: QueryStatusResp,
    /// What each node that has the group says, the leader included.
    pub(super) nodes: Vec<QueryStatusResp>,
}

impl Survey {
    /// Asks all nodes about a group, and again while it elects a leader.
    pub(super) fn of(cluster: &mut Administered, group: i32) -> Result<Survey, Failure> {
        let end = Instant::now() + LEADER_TIMEOUT;
        loop {
            match Survey::at_once(cluster, group) {
                Err(failure) if failure.exit == Exit::Unavailable && Instant::now() < end => {
                    thread::sleep(LOOK_INTERVAL);
                }
                settled => return settled,
            }
        }
    }

    fn at_once(cluster: &mut Administered, group: i32) -> Result<Survey, Failure> {
        let mut nodes = Vec::new();
        for node in cluster.nodes().keys().copied().collect::<Vec<_>>() {
            nodes.extend(cluster.ask(node, StatusOf(GroupId(group))).ok());
        }
        if nodes.is_empty() {
            let text = format!("no node says anything of group {group}; see `dongting group list`");
            return Err(Failure::new(Exit::NotFound, text));
        }
        let leads = |status: &&QueryStatusResp| status.leader_id == status.node_id;
        match nodes.iter().filter(leads).max_by_key(|status| status.term).cloned() {
            Some(leader) => Ok(Survey { leader, nodes }),
            None => {
                let text = format!("group {group} has no leader that answers; start its members");
                Err(Failure::new(Exit::Unavailable, text))
            }
        }
    }

    /// Members and observers that are ready and follow the leader, itself included.
    pub(super) fn following(&self) -> Vec<u32> {
        let seen = (self.leader.leader_id, self.leader.term);
        let follows = |status: &&QueryStatusResp| {
            (status.leader_id, status.term) == seen && status.flag & StatusFlag::GROUP_READY != 0
        };
        self.nodes.iter().filter(follows).map(|status| status.node_id as u32).collect()
    }

    /// What keeps the group from going on without a node.
    pub(super) fn needs(&self, node: u32) -> Option<String> {
        let following = self.following();
        let halves = [&self.leader.members, &self.leader.prepared_members];
        for members in halves.into_iter().filter(|members| members.contains(&node)) {
            let others = members.iter().filter(|id| **id != node && following.contains(id));
            let (others, all) = (others.count(), members.len());
            if others < majority(all) {
                return Some(format!(
                    "group {}: without node {node} only {others} of {all} members would follow, \
                     and {} are needed",
                    self.leader.group_id,
                    majority(all)
                ));
            }
        }
        None
    }
}

/// How long a leader is waited for.
pub(super) const LEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether something has come about.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A node that is so many entries behind has caught up: under load it always lacks some.
pub(super) const NEAR: u64 = 1000;

/// How many of so many decide.
pub(super) fn majority(members: usize) -> usize {
    members / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(node_id: i32, leader_id: i32) -> QueryStatusResp {
        let flag = StatusFlag::INIT_FINISHED | StatusFlag::GROUP_READY;
        let members = vec![1, 2, 3];
        QueryStatusResp { node_id, leader_id, flag, members, ..QueryStatusResp::default() }
    }

    #[test]
    fn a_member_may_go_when_a_majority_follows_without_it() {
        let all = Survey { leader: says(1, 1), nodes: (1..=3).map(|id| says(id, 1)).collect() };
        assert_eq!((all.needs(1), all.needs(3), all.needs(4)), (None, None, None));
        let two = Survey { leader: says(1, 1), nodes: vec![says(1, 1), says(2, 1), says(3, 0)] };
        assert_eq!(two.following(), [1, 2]);
        assert!(two.needs(2).unwrap().contains("only 1 of 3 members would follow"));
        assert_eq!(two.needs(3), None);
    }
}
