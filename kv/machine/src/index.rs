//! From a key to its node.

use alloc::boxed::Box;
use core::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use hashbrown::HashTable;

use crate::node::NodeId;

/// A hash table of node ids, cut into [`TABLES`] parts so that growing is cheap: only one part
/// grows at a time.
///
/// It is never iterated: no order may come from a hash, or replicas with other seeds would differ.
pub(crate) struct KeyIndex {
    tables: Box<[HashTable<NodeId>]>,
    shared_seed: SharedSeed,
    seed: u64,
}

/// 10 million keys make parts of 10,000: one grows in about a millisecond.
const TABLES: usize = 1024;
/// The table uses the lowest bits of a hash for the place and the highest seven to compare.
const TABLE_SHIFT: u32 = 40;

impl KeyIndex {
    /// An empty index; the seed keeps clients from choosing keys that collide.
    pub(crate) fn new(seed: u64) -> KeyIndex {
        let tables = (0..TABLES).map(|_| HashTable::new()).collect();
        KeyIndex { tables, shared_seed: SharedSeed::from_u64(seed), seed }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared_seed);
        hasher.write(key);
        hasher.finish()
    }

    /// The node with this hash that `is_match` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_match: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        self.tables[part(hash)].find(hash, |&id| is_match(id)).copied()
    }

    /// Adds a node whose key is not there yet. `key_hash` is asked for others when a part grows.
    #[inline]
    pub(crate) fn insert<'a>(
        &mut self,
        hash: u64,
        id: NodeId,
        key_of: impl Fn(NodeId) -> &'a [u8],
    ) {
        let KeyIndex { tables, shared_seed, seed } = self;
        tables[part(hash)].insert_unique(hash, id, |&other| {
            let mut hasher = FoldHasher::with_seed(*seed, shared_seed);
            hasher.write(key_of(other));
            hasher.finish()
        });
    }

    /// Takes a node out that is there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, id: NodeId) {
        match self.tables[part(hash)].find_entry(hash, |&other| other == id) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("a node is in the index as long as it is in the tree"),
        }
    }

    /// Bytes of all parts.
    pub(crate) fn allocated_bytes(&self) -> usize {
        let parts = self.tables.iter().map(HashTable::allocation_size).sum::<usize>();
        parts + TABLES * size_of::<HashTable<NodeId>>()
    }
}

#[inline]
const fn part(hash: u64) -> usize {
    (hash >> TABLE_SHIFT) as usize % TABLES
}
