//! What must hold of the members of a group at every moment.

use std::collections::{BTreeMap, BTreeSet};

use raft_core::GroupId;
use raft_host::Entry;
use runtime::sim::NodeKey;

use super::revision::Applied;
use crate::violation::{Rule, Violation};

/// A member as its node sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The node.
    pub node: NodeKey,
    /// The group.
    pub group: GroupId,
    /// Whether the node leads.
    pub is_leader: bool,
    /// Whether it serves.
    pub is_ready: bool,
    /// Its term.
    pub term: u32,
    /// What it knows to be committed.
    pub commit: u64,
    /// What it has applied.
    pub applied: u64,
    /// What it has on its disk.
    pub durable: u64,
    /// The end of its log.
    pub last: u64,
    /// Number of voters of the group.
    pub voters: usize,
}

/// All members of all groups over the whole run.
#[derive(Default)]
pub struct Members {
    leaders: BTreeMap<(GroupId, u32), NodeKey>,
    now: BTreeMap<(NodeKey, GroupId), Observation>,
    /// What was durable when a node was last seen, also if it is down since.
    durable: BTreeMap<(NodeKey, GroupId), u64>,
    /// What a lost disk had: acknowledged while it was there, and counted perhaps only later.
    lost: BTreeMap<(NodeKey, GroupId), u64>,
    writes: BTreeMap<(NodeKey, GroupId), u64>,
    /// What is known to have been committed with enough copies.
    proven: BTreeMap<GroupId, u64>,
    logs: BTreeMap<GroupId, Vec<Applied>>,
    /// The last entry that a process has applied, once it has recovered.
    applied: BTreeMap<(NodeKey, GroupId), u64>,
    /// What recovery has applied so far: nobody sees it before it is made durable.
    recovering: BTreeMap<(NodeKey, GroupId), Vec<(Applied, u64)>>,
    times: BTreeMap<(GroupId, u64), u64>,
    hashes: BTreeMap<(GroupId, u64), (NodeKey, u64)>,
    violation: Option<Violation>,
}

impl Members {
    /// The first rule that was broken.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What all members together have applied, in order.
    pub fn log(&self, group: GroupId) -> &[Applied] {
        self.logs.get(&group).map_or(&[], Vec::as_slice)
    }

    /// How a member was seen last in its present life.
    pub fn last_seen(&self, node: NodeKey, group: GroupId) -> Option<&Observation> {
        self.now.get(&(node, group))
    }

    /// Whether the group has a leader that serves.
    pub fn leader(&self, group: GroupId) -> Option<NodeKey> {
        let leads = |seen: &&Observation| seen.group == group && seen.is_leader && seen.is_ready;
        self.now.values().find(leads).map(|seen| seen.node)
    }

    /// Whether all members that run have applied the same.
    pub fn are_level(&self, group: GroupId) -> bool {
        let mut applied = self.now.values().filter(|seen| seen.group == group);
        let first = applied.next().map(|seen| seen.applied);
        applied.all(|seen| Some(seen.applied) == first)
    }

    /// How many writes of its log a member has been seen to finish.
    pub fn writes(&self, node: NodeKey, group: GroupId) -> u64 {
        self.writes.get(&(node, group)).copied().unwrap_or(0)
    }

    /// The groups of a node that runs.
    pub fn groups_of(&self, node: NodeKey) -> impl Iterator<Item = GroupId> {
        self.now.keys().filter(move |(other, _)| *other == node).map(|(_, group)| *group)
    }

    /// A node's process has ended.
    pub fn died(&mut self, node: NodeKey) {
        self.now.retain(|(other, _), _| *other != node);
        self.applied.retain(|(other, _), _| *other != node);
        self.recovering.retain(|(other, _), _| *other != node);
    }

    /// A member's disk was exchanged for an older or an empty one.
    pub fn lost_disk(&mut self, node: NodeKey) {
        let lost = self.durable.extract_if(.., |(other, _), _| *other == node);
        for (key, durable) in lost {
            let before = self.lost.entry(key).or_default();
            *before = durable.max(*before);
        }
    }

    fn break_rule(&mut self, rule: Rule, what: String) {
        self.violation.get_or_insert(Violation::new(rule, what));
    }

    /// A member applies an entry, perhaps one that was applied before or elsewhere.
    pub fn applies(&mut self, node: NodeKey, group: GroupId, entry: &Entry<'_>) {
        let applied = Applied { index: entry.index.0, payload: entry.payload.to_vec() };
        if self.applied.contains_key(&(node, group)) {
            self.applied_for_good(node, group, applied, entry.time_ms);
        } else {
            let recovering = self.recovering.entry((node, group)).or_default();
            recovering.push((applied, entry.time_ms));
        }
    }

    /// A member has recovered: what it has applied so far counts, and all that comes.
    pub fn opened(&mut self, node: NodeKey, group: GroupId) {
        self.applied.insert((node, group), 0);
        for (entry, time_ms) in self.recovering.remove(&(node, group)).unwrap_or_default() {
            self.applied_for_good(node, group, entry, time_ms);
        }
    }

    fn applied_for_good(&mut self, node: NodeKey, group: GroupId, entry: Applied, time_ms: u64) {
        let index = entry.index;
        let before = self.applied.insert((node, group), index).unwrap_or(0);
        let log = self.logs.entry(group).or_default();
        let next = log.partition_point(|applied| applied.index <= before);
        let what = match log.get(next) {
            Some(known) if known.index < index => {
                format!("{node}, group {}: entry {} was there before", group.0, known.index)
            }
            Some(known) if known.index > index => {
                format!("{node}, group {}: entry {index} was not there before", group.0)
            }
            Some(known) => {
                let time = self.times.get(&(group, index)).copied();
                if known.payload == entry.payload && time == Some(time_ms) {
                    return;
                }
                format!("{node}, group {}: entry {index} is another than before", group.0)
            }
            None => {
                log.push(entry);
                self.times.insert((group, index), time_ms);
                return;
            }
        };
        self.break_rule(Rule::CommittedEntry, what);
    }

    /// Takes what a member looks like now. `state` gives the applied index and hash of its machine.
    pub fn observe(&mut self, seen: Observation, state: impl FnOnce() -> (u64, u64)) {
        let key = (seen.node, seen.group);
        let before = self.now.insert(key, seen);
        if before == Some(seen) {
            return;
        }
        if self.durable.insert(key, seen.durable).is_some_and(|before| before < seen.durable) {
            *self.writes.entry(key).or_default() += 1;
        }
        self.check_leader(&seen);
        self.check_order(&seen, before.as_ref());
        if seen.commit > self.proven.get(&seen.group).copied().unwrap_or(0) {
            self.check_quorum(&seen);
        }
        if before.is_none_or(|before| before.applied != seen.applied) {
            self.check_state(&seen, state());
        }
    }

    fn check_leader(&mut self, seen: &Observation) {
        if !seen.is_leader {
            return;
        }
        let Observation { node, group, term, .. } = *seen;
        let leader = *self.leaders.entry((group, term)).or_insert(node);
        if leader != node {
            let what = format!("group {}: {leader} and {node} both lead term {term}", group.0);
            self.break_rule(Rule::OneLeader, what);
        }
    }

    fn check_order(&mut self, seen: &Observation, before: Option<&Observation>) {
        let Observation { node, group, applied, commit, last, durable, .. } = *seen;
        if applied > commit || commit > last || durable > last {
            let what = format!(
                "{node}, group {}: applied {applied}, commit {commit}, durable {durable}, last {last}",
                group.0
            );
            self.break_rule(Rule::IndexOrder, what);
        }
        let Some(before) = before else { return };
        for (name, old, new) in [
            ("term", u64::from(before.term), u64::from(seen.term)),
            ("commit", before.commit, commit),
            ("applied", before.applied, applied),
        ] {
            if new < old {
                let what = format!("{node}, group {}: {name} went from {old} to {new}", group.0);
                self.break_rule(Rule::Monotonic, what);
            }
        }
    }

    fn check_quorum(&mut self, seen: &Observation) {
        let all = self.durable.iter().chain(&self.lost);
        let copies =
            all.filter(|((_, group), durable)| *group == seen.group && **durable >= seen.commit);
        let copies = copies.map(|((node, _), _)| *node).collect::<BTreeSet<_>>().len();
        self.proven.insert(seen.group, seen.commit);
        if copies < seen.voters / 2 + 1 {
            let what = format!(
                "{}, group {}: {} is committed with {copies} durable copies for {} voters",
                seen.node, seen.group.0, seen.commit, seen.voters
            );
            self.break_rule(Rule::DurableQuorum, what);
        }
    }

    fn check_state(&mut self, seen: &Observation, (applied, hash): (u64, u64)) {
        let Observation { node, group, .. } = *seen;
        let (other, expected) = *self.hashes.entry((group, applied)).or_insert((node, hash));
        if expected != hash {
            let what = format!(
                "group {}: after entry {applied}, {node} has another state than {other} had",
                group.0
            );
            self.break_rule(Rule::StateHash, what);
        }
    }
}
