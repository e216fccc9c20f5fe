//! When temporary nodes and entries of locks expire, in order.

use alloc::collections::BTreeMap;

use crate::lifetime::Lifetime;
use crate::node::NodeId;

/// All countdowns. No two start in the same entry, so that deadline and ttl index name one.
pub(crate) struct Deadlines(BTreeMap<(u64, u64), NodeId>);

impl Deadlines {
    pub(crate) const fn new() -> Deadlines {
        Deadlines(BTreeMap::new())
    }

    pub(crate) fn insert(&mut self, lifetime: &Lifetime, id: NodeId) {
        assert!(self.try_insert(lifetime, id), "an entry starts one countdown");
    }

    /// As [`Deadlines::insert`]; returns whether no other one starts in the same entry.
    pub(crate) fn try_insert(&mut self, lifetime: &Lifetime, id: NodeId) -> bool {
        self.0.insert((lifetime.deadline_ms(), lifetime.ttl_index), id).is_none()
    }

    pub(crate) fn remove(&mut self, lifetime: &Lifetime) {
        let found = self.0.remove(&(lifetime.deadline_ms(), lifetime.ttl_index));
        assert!(found.is_some(), "every lifetime has a deadline");
    }

    /// The earliest deadline.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.0.first_key_value().map(|(&(deadline_ms, _), _)| deadline_ms)
    }

    /// Nodes whose deadline is not after `now_ms`, the earliest first.
    pub(crate) fn due(&self, now_ms: u64) -> impl Iterator<Item = NodeId> {
        self.0.range(..=(now_ms, u64::MAX)).map(|(_, &id)| id)
    }

    /// About how many bytes the entries take.
    pub(crate) fn memory_bytes(&self) -> usize {
        // A map's node has room for eleven entries and is three quarters full on average.
        self.0.len() * size_of::<((u64, u64), NodeId)>() * 4 / 3
    }
}
