//! A hash table of node ids that is read one cache line at a time.

use alloc::boxed::Box;
use alloc::vec;
use core::mem;

use crate::node::NodeId;

/// Pairs of hash and id, each at the place that its hash asks for or, if others were there before,
/// in the next free one after it (linear probing).
///
/// Invariant: no place between the one that a pair asks for and the one that it has is free. So a
/// search ends at the first free place, and a removal moves up what would otherwise be cut off.
///
/// A lookup costs one cache line in most cases; a general table with a separate line of tags costs
/// two, and cache misses are nearly all that a lookup costs. Whole hashes are kept, so that growing
/// does not look at the nodes and others are hardly ever compared.
pub(crate) struct Probing {
    /// Their number is 0 or a power of two.
    slots: Box<[Slot]>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    /// [`NodeId::NONE`] if the place is free.
    id: NodeId,
}

const FREE: Slot = Slot { hash: 0, id: NodeId::NONE };
const SLOTS_MIN: usize = 8;

impl Probing {
    pub(crate) fn new() -> Probing {
        Probing { slots: Box::default(), len: 0 }
    }

    /// The id with this hash that `is_match` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_match: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let mut place = self.home(hash);
        loop {
            let slot = self.slots.get(place)?;
            if slot.id == NodeId::NONE {
                return None;
            }
            if slot.hash == hash && is_match(slot.id) {
                return Some(slot.id);
            }
            place = self.after(place);
        }
    }

    /// Adds an id that is not there yet.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, id: NodeId) {
        // Three quarters full is where sequences of taken places begin to get long.
        if self.len >= self.slots.len() / 4 * 3 {
            self.grow();
        }
        self.len += 1;
        self.put(Slot { hash, id });
    }

    /// Takes an id out that is there.
    pub(crate) fn remove(&mut self, hash: u32, id: NodeId) {
        let mut gap = self.home(hash);
        while self.slots[gap].id != id {
            assert!(self.slots[gap].id != NodeId::NONE, "a node in the tree is in the index");
            gap = self.after(gap);
        }
        self.len -= 1;
        let mut place = gap;
        loop {
            place = self.after(place);
            let slot = self.slots[place];
            if slot.id == NodeId::NONE {
                self.slots[gap] = FREE;
                return;
            }
            // It may go up to the gap unless it would get before the place that it asks for.
            let mask = self.slots.len() - 1;
            let from_home = place.wrapping_sub(self.home(slot.hash)) & mask;
            if from_home >= place.wrapping_sub(gap) & mask {
                self.slots[gap] = slot;
                gap = place;
            }
        }
    }

    pub(crate) fn allocated_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    #[inline(never)]
    fn grow(&mut self) {
        let count = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = mem::replace(&mut self.slots, vec![FREE; count].into_boxed_slice());
        for slot in old.into_iter().filter(|slot| slot.id != NodeId::NONE) {
            self.put(slot);
        }
    }

    #[inline]
    fn put(&mut self, slot: Slot) {
        let mut place = self.home(slot.hash);
        while self.slots[place].id != NodeId::NONE {
            place = self.after(place);
        }
        self.slots[place] = slot;
    }

    /// The place that a hash asks for.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & self.slots.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[test]
    fn behaves_like_a_map_from_id_to_hash() {
        for hashes in [1, 3, 40, 1 << 20] {
            let mut table = Probing::new();
            let mut map = BTreeMap::new();
            let mut state = 1_u64;
            let mut random = |limit: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % limit
            };
            for _ in 0..20_000 {
                let id = NodeId(random(60) as u32);
                // Hashes at the end of the table run over to its start.
                let hash = u32::MAX - random(hashes) as u32;
                match map.remove(&id) {
                    Some(hash) => table.remove(hash, id),
                    None => {
                        table.insert(hash, id);
                        map.insert(id, hash);
                    }
                }
                let id = NodeId(random(60) as u32);
                let hash = map.get(&id).copied();
                let found = table.find(hash.unwrap_or(u32::MAX), |other| other == id);
                assert_eq!(found.is_some(), hash.is_some());
                assert_eq!(table.len, map.len());
            }
            assert!(table.slots.len() <= 128);
        }
    }
}
