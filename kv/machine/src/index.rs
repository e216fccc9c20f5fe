//! From a key to its node.

use alloc::boxed::Box;
use core::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use crate::node::NodeId;
use crate::probing::Probing;

/// A hash table of node ids in [`PARTS`] parts, of which only one grows at a time.
///
/// The parts get unequal shares of the keys, the largest twice as much as the smallest, so that
/// they do not all grow together: at any size some parts have just doubled and others are nearly
/// full.
///
/// It is never iterated: no order may come from a hash, or replicas with other seeds would differ.
pub(crate) struct KeyIndex {
    parts: Box<[Probing]>,
    shared_seed: SharedSeed,
    seed: u64,
}

/// With 100 million keys a part has half a million and grows in some milliseconds.
const PARTS: usize = 256;

/// The hash of a key: one half chooses the part, the other the place in it.
#[derive(Clone, Copy, Default)]
pub(crate) struct KeyHash(u64);

impl KeyIndex {
    /// An empty index; the seed keeps clients from choosing keys that collide.
    pub(crate) fn new(seed: u64) -> KeyIndex {
        let parts = (0..PARTS).map(|_| Probing::new()).collect();
        KeyIndex { parts, shared_seed: SharedSeed::from_u64(seed), seed }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared_seed);
        hasher.write(key);
        KeyHash(hasher.finish())
    }

    /// The node with this hash that `is_match` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: KeyHash, is_match: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        self.parts[hash.part()].find(hash.place(), is_match)
    }

    /// A node with this hash, which nearly always is the one meant: no node is looked at.
    #[inline]
    pub(crate) fn guess(&self, hash: KeyHash) -> Option<NodeId> {
        self.find(hash, |_| true)
    }

    /// Adds a node whose key is not there yet.
    #[inline]
    pub(crate) fn insert(&mut self, hash: KeyHash, id: NodeId) {
        self.parts[hash.part()].insert(hash.place(), id);
    }

    /// Takes a node out that is there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: KeyHash, id: NodeId) {
        self.parts[hash.part()].remove(hash.place(), id);
    }

    /// Bytes of all parts.
    pub(crate) fn allocated_bytes(&self) -> usize {
        let parts = self.parts.iter().map(Probing::allocated_bytes).sum::<usize>();
        parts + PARTS * size_of::<Probing>()
    }
}

impl KeyHash {
    /// A part grows when it holds a power of two times a constant. For such moments to be spread
    /// evenly, the shares have to be spread evenly by their logarithm, so the part is log2(1 + x)
    /// of the parts for x between 0 and 1. The polynomial comes within a hundredth of that.
    #[inline]
    const fn part(self) -> usize {
        const ONE: u64 = 1 << 16;
        const SLOPE: u64 = 87_805; // 1.3398
        const BEND: u64 = 22_269; // 0.3398, so that 1 comes out for 1
        let x = self.0 >> 48;
        let curve = x * (SLOPE * ONE - BEND * x) / (ONE * ONE);
        (curve as usize * PARTS) >> 16
    }

    #[inline]
    const fn place(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_parts_differ_by_two_at_most_and_rise() {
        let mut shares = [0_u32; PARTS];
        for x in 0..1 << 16 {
            shares[KeyHash(x << 48 | 0xffff_ffff_ffff).part()] += 1;
        }
        let (first, last) = (shares[0], shares[PARTS - 1]);
        assert!((190..=194).contains(&first) && (380..=390).contains(&last), "{first} {last}");
        // Rounding makes neighbours differ by one or two.
        assert!(shares.windows(2).all(|pair| pair[0] <= pair[1] + 2));
    }

    #[test]
    fn nodes_are_found_by_their_own_hash_only() {
        let mut index = KeyIndex::new(7);
        let keys = |number: u32| number.to_le_bytes();
        for number in 0..100_000 {
            index.insert(index.hash(&keys(number)), NodeId(number));
        }
        for number in (0..100_000).step_by(2) {
            index.remove(index.hash(&keys(number)), NodeId(number));
        }
        for number in 0..100_000 {
            let found = index.find(index.hash(&keys(number)), |id| id == NodeId(number));
            assert_eq!(found.is_some(), number % 2 == 1);
            let other = index.find(index.hash(&keys(number)), |_| true);
            assert!(other.is_none_or(|id| id.0 % 2 == 1));
        }
    }
}
