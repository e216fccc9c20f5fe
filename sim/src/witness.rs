//! The simulator's eye inside the servers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::KeyState;
use kv_api::NodeFlags;
use raft_core::{GroupId, Index, NodeId, RoleName};
use raft_host::{Entry, Group, StoredSnapshot};
use runtime::sim::NodeKey;
use server::machine::KvStateMachine;
use server::witness::Witness;

use crate::check::{Eye, Members, Observation};

thread_local! {
    /// Groups of processes that run in this thread's world. They cannot be sent to another thread, a
    /// witness has to be able to.
    static GROUPS: RefCell<Groups> = RefCell::default();
}

/// Looks on at the process of one node.
pub struct NodeWitness {
    node: NodeKey,
    members: Arc<Mutex<Members>>,
}

impl NodeWitness {
    /// Tells `members` of what happens on `node`.
    pub fn new(node: NodeKey, members: Arc<Mutex<Members>>) -> NodeWitness {
        NodeWitness { node, members }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for NodeWitness {
    fn opened(&self, group: &Group<KvStateMachine>) {
        let key = (self.node, group.id());
        self.members().opened(self.node, group.id());
        GROUPS.with_borrow_mut(|groups| drop(groups.insert(key, group.clone())));
    }

    fn restored(&self, group: GroupId, index: u64) {
        self.members().restored(self.node, group, index);
    }

    fn applies(&self, group: GroupId, entry: &Entry<'_>) {
        self.members().applies(self.node, group, entry);
    }
}

/// Looks at all groups of a node's process.
pub fn observe(node: NodeKey, members: &Mutex<Members>) {
    GROUPS.with_borrow(|groups| {
        let of_node = (node, GroupId(i32::MIN))..=(node, GroupId(i32::MAX));
        for ((_, id), group) in groups.range(of_node) {
            let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
            members.observe(observation(node, *id, group), &GroupEye { node, group, groups });
        }
    });
}

type Groups = BTreeMap<(NodeKey, GroupId), Group<KvStateMachine>>;

fn observation(node: NodeKey, group_id: GroupId, group: &Group<KvStateMachine>) -> Observation {
    let raft = group.status().raft;
    let key_of = |id: NodeId| NodeKey(id.0 as u16);
    let followers = raft.followers.iter();
    Observation {
        node,
        group: group_id,
        is_leader: raft.role == RoleName::Leader,
        stands: matches!(raft.role, RoleName::Candidate | RoleName::Leader),
        is_ready: raft.ready,
        term: raft.term.0,
        commit: raft.commit.0,
        commit_term: raft.commit_term.map(|term| term.0),
        applied: raft.applied.0,
        durable: raft.durable.0,
        last: raft.last.index.0,
        promise: raft.durable_hard_state,
        config: raft.config,
        config_index: raft.config_index.0,
        boundary: raft.boundary.index.0,
        last_term: raft.last.term.0,
        leader: raft.leader.map(key_of),
        reads_at_once: group.reads_at_once(),
        followers: followers.map(|other| (key_of(other.id), other.matched.0)).collect(),
    }
}

/// A closer look at one group.
struct GroupEye<'a> {
    node: NodeKey,
    group: &'a Group<KvStateMachine>,
    groups: &'a Groups,
}

impl Eye for GroupEye<'_> {
    fn state(&self) -> (u64, u64) {
        self.group.with_machine(|machine| {
            let tree = machine.tree();
            (tree.applied_index(), tree.state_hash())
        })
    }

    fn term_of(&self, index: u64) -> Option<u32> {
        self.group.term_of(Index(index)).map(|term| term.0)
    }

    fn snapshots(&self) -> (u64, u64) {
        let stored = self.group.snapshots().stored;
        let end = |snapshot: &StoredSnapshot| snapshot.header.boundary.position.index.0;
        (stored.first().map_or(0, end), stored.last().map_or(0, end))
    }

    fn leases_before(&self, term: u32) -> Vec<NodeKey> {
        let id = self.group.id();
        let others = self.groups.iter().filter(|((node, group), other)| {
            let raft = |group: &Group<KvStateMachine>| group.status().raft.term.0;
            *node != self.node && *group == id && other.lease_holds() && raft(other) < term
        });
        others.map(|((node, _), _)| *node).collect()
    }
}

/// What a node has under a key: the entry that wrote it last, and its state.
pub fn node_of(node: NodeKey, group: GroupId, key: &[u8]) -> Option<(u64, KeyState)> {
    GROUPS.with_borrow(|groups| {
        groups.get(&(node, group))?.with_machine(|machine| {
            let node = machine.tree().get(key).ok()?;
            let state = match node.flags.contains(NodeFlags::DIRECTORY) {
                true => KeyState::Directory,
                false => KeyState::Value(node.value.to_vec()),
            };
            Some((node.update_index, state))
        })
    })
}

/// Forgets the groups of a node: its process is about to end, or has ended.
pub fn forget(node: NodeKey) {
    let groups: Vec<_> = GROUPS.with_borrow_mut(|groups| {
        let keys: Vec<_> = groups.keys().filter(|(other, _)| *other == node).copied().collect();
        keys.iter().filter_map(|key| groups.remove(key)).collect()
    });
    drop(groups);
}

/// Forgets everything: a run is over.
pub fn forget_all() {
    drop(GROUPS.take());
}

/// Looks at the state of a group on a node's process, if it has recovered.
pub fn with_machine<R>(
    node: NodeKey,
    group: GroupId,
    look: impl FnOnce(&KvStateMachine) -> R,
) -> Option<R> {
    GROUPS.with_borrow(|groups| {
        let group = groups.get(&(node, group))?;
        Some(group.with_machine(|machine| look(machine)))
    })
}

/// The last entry that a group on a node's process has dropped from its log, if it has recovered.
pub fn log_begins_behind(node: NodeKey, group: GroupId) -> Option<u64> {
    GROUPS.with_borrow(|groups| {
        let group = groups.get(&(node, group))?;
        Some(group.status().raft.boundary.index.0)
    })
}
