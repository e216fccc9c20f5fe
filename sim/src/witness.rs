//! The simulator's eye inside the servers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use raft_core::GroupId;
use raft_host::{Entry, Group};
use runtime::sim::NodeKey;
use server::machine::KvStateMachine;
use server::witness::Witness;

use crate::check::{Members, Observation};

thread_local! {
    /// Groups of processes that run in this thread's world. They cannot be sent to another thread, a
    /// witness has to be able to.
    static GROUPS: RefCell<BTreeMap<(NodeKey, GroupId), Group<KvStateMachine>>> = RefCell::default();
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
            let status = group.status();
            let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
            let observation = Observation {
                node,
                group: *id,
                is_leader: status.raft.role == raft_core::RoleName::Leader,
                is_ready: status.raft.ready,
                term: status.raft.term.0,
                commit: status.raft.commit.0,
                commit_term: status.raft.commit_term.map(|term| term.0),
                applied: status.raft.applied.0,
                durable: status.raft.durable.0,
                last: status.raft.last.index.0,
                promise: status.raft.durable_hard_state,
                config: status.raft.config,
                config_index: status.raft.config_index.0,
            };
            members.observe(observation, || {
                group.with_machine(|machine| {
                    let tree = machine.tree();
                    (tree.applied_index(), tree.state_hash())
                })
            });
        }
    });
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
