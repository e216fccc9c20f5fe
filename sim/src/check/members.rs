//! What must hold of the members of a group at every moment.

use std::collections::BTreeMap;

use raft_core::{Config, ConfigEntry, GroupId, HardState, Index, NodeId};
use raft_host::Entry;
use runtime::sim::NodeKey;

use super::elections::Elections;
use super::logs::Logs;
use super::memberships::Memberships;
use super::revision::Applied;
use crate::coverage::{Coverage, Rare};
use crate::violation::{Rule, Violation};
use crate::workload::Told;

/// A member as its node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The node.
    pub node: NodeKey,
    /// The group.
    pub group: GroupId,
    /// Whether the node leads.
    pub is_leader: bool,
    /// Whether it stands for election, or was elected.
    pub stands: bool,
    /// Whether it serves.
    pub is_ready: bool,
    /// Its term.
    pub term: u32,
    /// What it knows to be committed.
    pub commit: u64,
    /// The term of that entry.
    pub commit_term: Option<u32>,
    /// What it has applied.
    pub applied: u64,
    /// What it has on its disk.
    pub durable: u64,
    /// The end of its log.
    pub last: u64,
    /// What it has durably promised.
    pub promise: HardState,
    /// The members of the group, by its log.
    pub config: Config,
    /// The entry that says so.
    pub config_index: u64,
    /// The entry before the log's first one.
    pub boundary: u64,
    /// The term of the log's last entry.
    pub last_term: u32,
    /// Whom it takes for the leader.
    pub leader: Option<NodeKey>,
    /// Whether it would answer a read that must see everything without asking anybody.
    pub reads_at_once: bool,
    /// What it counts, as a leader, as durable on others.
    pub followers: Vec<(NodeKey, u64)>,
}

/// What is looked up of a member only when it matters.
pub trait Eye {
    /// The applied index and the hash of its state machine.
    fn state(&self) -> (u64, u64);
    /// The term of an entry that its log has.
    fn term_of(&self, index: u64) -> Option<u32>;
    /// Where its oldest snapshot ends, and its newest one; zero without any.
    fn snapshots(&self) -> (u64, u64);
    /// Other nodes that would answer reads at once by a lease of an earlier term.
    fn leases_before(&self, term: u32) -> Vec<NodeKey>;
}

/// All members of all groups over the whole run.
#[derive(Clone, Default)]
pub struct Members {
    elections: Elections,
    logs_seen: Logs,
    memberships: Memberships,
    coverage: Coverage,
    /// The members of each group, as the leader of the newest term has said.
    configs: BTreeMap<GroupId, (u32, ConfigEntry)>,
    now: BTreeMap<(NodeKey, GroupId), Observation>,
    /// What was durable when a node was last seen, also if it is down since.
    durable: BTreeMap<(NodeKey, GroupId), u64>,
    writes: BTreeMap<(NodeKey, GroupId), u64>,
    /// What is known to have been committed with enough copies.
    proven: BTreeMap<GroupId, u64>,
    logs: BTreeMap<GroupId, Vec<Applied>>,
    /// The last entry that a process has applied, once it has recovered.
    applied: BTreeMap<(NodeKey, GroupId), u64>,
    /// What recovery has applied so far: nobody sees it before it is made durable.
    recovering: BTreeMap<(NodeKey, GroupId), Vec<(Applied, u64)>>,
    /// Where recovery has begun, if it found a snapshot.
    restored: BTreeMap<(NodeKey, GroupId), u64>,
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

    /// The members of a group, and the leader who said so.
    pub fn config(&self, group: GroupId) -> Option<&(u32, ConfigEntry)> {
        self.configs.get(&group)
    }

    /// Whether what an operator was told is so.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_told(&self, group: GroupId, told: &Told) -> Result<(), Violation> {
        self.memberships.check(group, told)
    }

    /// Whether every leader votes, as far as its committed members say.
    pub fn leaders_vote(&self) -> bool {
        let leaders = self.now.values().filter(|seen| seen.is_leader);
        let mut settled = leaders.filter(|seen| seen.config_index <= seen.commit);
        settled.all(|seen| seen.config.halves().any(|half| half.votes(id_of(seen.node))))
    }

    /// How all members that run look, for people.
    pub fn tell(&self) -> Vec<String> {
        let line = |seen: &Observation| {
            let Observation { node, group, term, commit, applied, durable, last, .. } = seen;
            let (leads, ready) = (if seen.is_leader { ", leads" } else { "" }, seen.is_ready);
            let voters = |members: &raft_core::Members| {
                let ids = |nodes: &[NodeId]| nodes.iter().map(|id| id.0).collect::<Vec<_>>();
                format!("{:?}+{:?}", ids(&members.voters), ids(&members.observers))
            };
            let next = seen.config.next.as_ref().map(|next| format!(" → {}", voters(next)));
            format!(
                "{node}, group {}: term {term}{leads}, ready {ready}, last {last}, durable {durable}, \
                 commit {commit}, applied {applied}, members {}{} by {}",
                group.0,
                voters(&seen.config.current),
                next.unwrap_or_default(),
                seen.config_index
            )
        };
        self.now.values().map(line).collect()
    }

    /// Whether all members that run have applied the same, but for those that are excused and take no
    /// part.
    pub fn are_level(&self, group: GroupId, is_excused: impl Fn(NodeKey) -> bool) -> bool {
        let config = self.configs.get(&group).map(|(_, entry)| &entry.config);
        let counts = |seen: &&Observation| {
            config.is_none_or(|config| config.contains(id_of(seen.node)))
                && (seen.is_ready || !is_excused(seen.node))
        };
        let members = self.now.values().filter(|seen| seen.group == group).filter(counts);
        let mut applied = members;
        let first = applied.next().map(|seen| seen.applied);
        applied.all(|seen| Some(seen.applied) == first)
    }

    /// The newest entry that a member which runs has, committed or not.
    pub fn newest(&self, group: GroupId) -> Option<u64> {
        self.now.values().filter(|seen| seen.group == group).map(|seen| seen.last).max()
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
        self.restored.retain(|(other, _), _| *other != node);
    }

    /// A member's disk was exchanged for an empty one.
    pub fn lost_disk(&mut self, node: NodeKey) {
        self.durable.retain(|(other, _), _| *other != node);
        self.logs_seen.lost_disk(node);
        let lost = |group| self.logs_seen.lost(node, group).unwrap_or(0);
        self.elections.lost_disk(node, lost);
    }

    /// How often what has happened.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    fn break_rule(&mut self, rule: Rule, what: String) {
        self.violation.get_or_insert(Violation::new(rule, what));
    }

    /// A member applies an entry, perhaps one that was applied before or elsewhere.
    pub fn applies(&mut self, node: NodeKey, group: GroupId, entry: &Entry<'_>) {
        let applied = Applied {
            index: entry.index.0,
            time_ms: entry.time_ms,
            payload: entry.payload.to_vec(),
        };
        if self.applied.contains_key(&(node, group)) {
            self.applied_for_good(node, group, applied, entry.time_ms);
        } else {
            let recovering = self.recovering.entry((node, group)).or_default();
            recovering.push((applied, entry.time_ms));
        }
    }

    /// A member has loaded a snapshot that ends with this entry: it goes on behind that.
    pub fn restored(&mut self, node: NodeKey, group: GroupId, index: u64) {
        match self.applied.get_mut(&(node, group)) {
            Some(applied) => *applied = index,
            None => drop(self.restored.insert((node, group), index)),
        }
    }

    /// A member has recovered: what it has applied so far counts, and all that comes.
    pub fn opened(&mut self, node: NodeKey, group: GroupId) {
        let from = self.restored.remove(&(node, group)).unwrap_or(0);
        self.applied.insert((node, group), from);
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
                let newest = log.last().and_then(|last| self.times.get(&(group, last.index)));
                let newest = newest.copied().unwrap_or(0);
                log.push(entry);
                self.times.insert((group, index), time_ms);
                if time_ms < newest {
                    let back = newest - time_ms;
                    let what = format!("group {}: entry {index} is {back} ms early", group.0);
                    self.break_rule(Rule::EntryTime, what);
                }
                return;
            }
        };
        self.break_rule(Rule::CommittedEntry, what);
    }

    /// Takes what a member looks like now.
    pub fn observe(&mut self, seen: Observation, eye: &impl Eye) {
        let key = (seen.node, seen.group);
        if self.now.get(&key) == Some(&seen) {
            return;
        }
        let before = self.now.insert(key, seen.clone());
        if self.durable.insert(key, seen.durable).is_some_and(|before| before < seen.durable) {
            *self.writes.entry(key).or_default() += 1;
        }
        let proven = self.proven.get(&seen.group).copied().unwrap_or(0);
        if self.elections.is_new_leader(&seen) {
            self.check_leases(&seen, eye);
        }
        let of_elections = self.elections.observe(&seen, proven);
        let of_logs = self.logs_seen.observe(&seen, before.as_ref(), eye, &mut self.coverage);
        let of_members = self.memberships.observe(&seen);
        if let Err(violation) = of_elections.and(of_logs).and(of_members) {
            self.violation.get_or_insert(violation);
        }
        self.check_order(&seen, before.as_ref());
        if seen.is_leader {
            self.take_config(&seen, before.as_ref());
        }
        if seen.commit > proven {
            self.check_quorum(&seen, before.as_ref());
        }
        if before.is_none_or(|before| before.applied != seen.applied) {
            self.check_state(&seen, eye.state());
        }
    }

    /// A leader begins, and no lease holds any more.
    fn check_leases(&mut self, seen: &Observation, eye: &impl Eye) {
        self.coverage.add(Rare::Election);
        if seen.config.next.is_some() {
            self.coverage.add(Rare::ElectionInChange);
        }
        if let Some(other) = eye.leases_before(seen.term).first() {
            let what = format!(
                "group {}: {} leads term {}, and {other} has a lease of an earlier one",
                seen.group.0, seen.node, seen.term
            );
            self.break_rule(Rule::Lease, what);
        }
    }

    /// What a leader says about the members, and how that may follow from what it said before.
    fn take_config(&mut self, seen: &Observation, before: Option<&Observation>) {
        let index = Index(seen.config_index);
        let newest = self.configs.get(&seen.group).map_or(0, |(term, _)| *term);
        if seen.term >= newest {
            let entry = ConfigEntry { index, config: seen.config.clone() };
            self.configs.insert(seen.group, (seen.term, entry));
        }
        let Some(before) = before.filter(|before| before.is_leader && before.term == seen.term)
        else {
            return;
        };
        let Observation { node, group, .. } = *seen;
        if seen.last < before.last {
            let what =
                format!("{node}, group {}: cuts from {} to {}", group.0, before.last, seen.last);
            self.break_rule(Rule::LeaderAppends, what);
        }
        if seen.config_index == before.config_index {
            return;
        }
        let (old, new) = (&before.config, &seen.config);
        self.coverage.add(match (&old.next, &new.next) {
            (Some(next), None) if new.current == *next => Rare::Changed,
            (Some(_), None) => Rare::Aborted,
            _ => Rare::Prepared,
        });
        let is_step = match (&old.next, &new.next) {
            (None, Some(_)) => new.current == old.current,
            (Some(next), None) => new.current == *next || new.current == old.current,
            (None, None) => new.current == old.current,
            // Another change is prepared instead.
            (Some(_), Some(_)) => new.current == old.current,
        };
        // Both may have happened in one step: a commit, and what waited for it.
        if !is_step || before.config_index > seen.commit {
            let what = format!(
                "{node}, group {}: entry {} makes {new:?} of {old:?} of entry {}; {} is committed",
                group.0, seen.config_index, before.config_index, seen.commit
            );
            self.break_rule(Rule::MembersChange, what);
        }
    }

    fn check_order(&mut self, seen: &Observation, before: Option<&Observation>) {
        let Observation { node, group, applied, commit, last, durable, .. } = *seen;
        if applied > commit || commit > last || durable > last || seen.config_index > last {
            let what = format!(
                "{node}, group {}: applied {applied}, commit {commit}, durable {durable}, last {last}, \
                 members by {}",
                group.0, seen.config_index
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

    /// What is committed is durable on a majority of each half. In the step that commits an entry
    /// its leader may have begun or ended a change, so that the members before it do as well.
    fn check_quorum(&mut self, seen: &Observation, before: Option<&Observation>) {
        self.proven.insert(seen.group, seen.commit);
        let is_older = seen.commit_term.is_some_and(|term| term < seen.term);
        if let Some(before) = before.filter(|before| before.is_leader && is_older)
            && before.term == seen.term
        {
            let what = format!(
                "{}, group {}: leads term {} and commits entry {} of term {:?} by its copies",
                seen.node, seen.group.0, seen.term, seen.commit, seen.commit_term
            );
            self.break_rule(Rule::OlderTerm, what);
        }
        let has_copy = |voter: &NodeId| {
            let key = (NodeKey(voter.0 as u16), seen.group);
            let copies = [self.durable.get(&key).copied(), self.logs_seen.lost(key.0, key.1)];
            copies.into_iter().flatten().any(|durable| durable >= seen.commit)
        };
        let lacking = |config: &Config| {
            config.halves().find_map(|half| {
                let copies = half.voters.iter().filter(|voter| has_copy(voter)).count();
                (copies < half.voters.len() / 2 + 1).then(|| (copies, half.voters.clone()))
            })
        };
        let Some((copies, voters)) = lacking(&seen.config) else { return };
        // A node that decided alone finds at its restart what it had committed before it prepared a
        // change: until that is committed nobody leads without its vote.
        let prepared = (before.is_none() && seen.commit < seen.config_index)
            .then(|| Config { next: None, ..seen.config.clone() });
        let earlier = before.map(|before| &before.config).or(prepared.as_ref());
        if earlier.is_some_and(|earlier| lacking(earlier).is_none()) {
            return;
        }
        let what = format!(
            "{}, group {}: {} is committed with {copies} durable copies among {voters:?}",
            seen.node, seen.group.0, seen.commit
        );
        self.break_rule(Rule::DurableQuorum, what);
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

fn id_of(node: NodeKey) -> NodeId {
    NodeId(u32::from(node.0))
}
