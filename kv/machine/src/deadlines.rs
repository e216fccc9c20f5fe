//! When temporary nodes and entries of locks expire, in order.

use alloc::collections::BTreeSet;

use crate::lifetime::Lifetime;
use crate::node::NodeId;

/// All countdowns: deadline and ttl index, and the node, because a transaction may start several.
pub(crate) struct Deadlines(BTreeSet<(u64, u64, NodeId)>);

impl Deadlines {
    pub(crate) const fn new() -> Deadlines {
        Deadlines(BTreeSet::new())
    }

    pub(crate) fn insert(&mut self, lifetime: &Lifetime, id: NodeId) {
        let is_new = self.0.insert((lifetime.deadline_ms(), lifetime.ttl_index, id));
        assert!(is_new, "a node has one countdown");
    }

    pub(crate) fn remove(&mut self, lifetime: &Lifetime, id: NodeId) {
        let found = self.0.remove(&(lifetime.deadline_ms(), lifetime.ttl_index, id));
        assert!(found, "every lifetime has a deadline");
    }

    /// The earliest deadline.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.0.first().map(|&(deadline_ms, ..)| deadline_ms)
    }

    /// Nodes whose deadline is not after `now_ms`, the earliest first.
    pub(crate) fn due(&self, now_ms: u64) -> impl Iterator<Item = NodeId> {
        self.0.range(..=(now_ms, u64::MAX, NodeId::NONE)).map(|&(.., id)| id)
    }

    /// About how many bytes the entries take.
    pub(crate) fn memory_bytes(&self) -> usize {
        // A map's node has room for eleven entries and is three quarters full on average.
        self.0.len() * size_of::<(u64, u64, NodeId)>() * 4 / 3
    }
}
