//! Keys that somebody wants to know of, and which of them have changed.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A watched key, as long as it is watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchId(u32);

/// The watched keys. What happens to others costs nothing: their nodes do not have the mark, and
/// while nothing is watched creating a node costs one comparison.
#[derive(Default)]
pub(crate) struct Watched {
    by_key: BTreeMap<Box<[u8]>, WatchId>,
    slots: Vec<Slot>,
    vacant: Vec<WatchId>,
    /// Each watched key at most once, in the order of the first change.
    changes: Vec<WatchId>,
}

struct Slot {
    key: Box<[u8]>,
    /// How often it is watched; 0 for a vacant slot.
    watchers: u32,
    /// Whether it is among the changes; it stays there when the watch ends, and whoever gets the
    /// slot next is told once too often.
    changed: bool,
    /// What is told as its version while there is no node.
    missing_index: u64,
}

impl Watched {
    pub(crate) const fn new() -> Watched {
        Watched {
            by_key: BTreeMap::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Watches a key once more. `missing_index` counts for a key that nobody watches yet.
    pub(crate) fn add(&mut self, key: &[u8], missing_index: u64) -> WatchId {
        if let Some(&id) = self.by_key.get(key) {
            self.slots[id.0 as usize].watchers += 1;
            return id;
        }
        let id = self.vacant.pop().unwrap_or_else(|| self.push_slot());
        let slot = &mut self.slots[id.0 as usize];
        slot.key = key.into();
        slot.watchers = 1;
        slot.missing_index = missing_index;
        self.by_key.insert(key.into(), id);
        id
    }

    fn push_slot(&mut self) -> WatchId {
        let Ok(position) = u32::try_from(self.slots.len()) else {
            panic!("more watched keys than ids");
        };
        let key = Box::default();
        self.slots.push(Slot { key, watchers: 0, changed: false, missing_index: 0 });
        WatchId(position)
    }

    /// Watches a key once less; returns the key if that was the last time.
    pub(crate) fn take(&mut self, id: WatchId) -> Option<Box<[u8]>> {
        let slot = self.slot_mut(id);
        slot.watchers -= 1;
        if slot.watchers > 0 {
            return None;
        }
        let key = core::mem::take(&mut slot.key);
        self.by_key.remove(&key);
        self.vacant.push(id);
        Some(key)
    }

    /// All nodes are others now: every watched key counts as changed. `missing_index` tells what is
    /// told as the version of a key that has no node.
    pub(crate) fn renew(&mut self, mut missing_index: impl FnMut(&[u8]) -> Option<u64>) {
        for (key, &id) in &self.by_key {
            let slot = &mut self.slots[id.0 as usize];
            slot.missing_index = missing_index(key).unwrap_or(slot.missing_index);
            if !slot.changed {
                slot.changed = true;
                self.changes.push(id);
            }
        }
    }

    pub(crate) fn key(&self, id: WatchId) -> &[u8] {
        &self.slot(id).key
    }

    pub(crate) fn missing_index(&self, id: WatchId) -> u64 {
        self.slot(id).missing_index
    }

    /// A node is created; returns whether its key is watched.
    #[inline]
    pub(crate) fn created(&mut self, key: &[u8]) -> bool {
        !self.by_key.is_empty() && self.changed(key)
    }

    /// A watched node is removed.
    #[inline(never)]
    pub(crate) fn removed(&mut self, key: &[u8], index: u64) {
        if self.changed(key) {
            let id = self.by_key[key];
            self.slots[id.0 as usize].missing_index = index;
        }
    }

    /// A node is updated; returns whether its key is watched.
    #[inline(never)]
    pub(crate) fn changed(&mut self, key: &[u8]) -> bool {
        let Some(&id) = self.by_key.get(key) else {
            return false;
        };
        let slot = &mut self.slots[id.0 as usize];
        if !slot.changed {
            slot.changed = true;
            self.changes.push(id);
        }
        true
    }

    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Moves the changes to the end of `out`.
    pub(crate) fn drain_changes(&mut self, out: &mut Vec<WatchId>) {
        for id in self.changes.drain(..) {
            let slot = &mut self.slots[id.0 as usize];
            slot.changed = false;
            if slot.watchers > 0 {
                out.push(id);
            }
        }
    }

    /// About how many bytes all of it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let keys = self.by_key.keys().map(|key| 2 * key.len()).sum::<usize>();
        keys + self.slots.capacity() * size_of::<Slot>() + self.by_key.len() * 32
    }

    fn slot(&self, id: WatchId) -> &Slot {
        let slot = &self.slots[id.0 as usize];
        assert!(slot.watchers > 0, "the watch has ended");
        slot
    }

    fn slot_mut(&mut self, id: WatchId) -> &mut Slot {
        let slot = &mut self.slots[id.0 as usize];
        assert!(slot.watchers > 0, "the watch has ended");
        slot
    }
}
