//! Locks: a directory with one entry for each owner, in the order in which they came. The first
//! one holds the lock, the others wait.
//!
//! The holder's fencing token is the `create_index` of its entry. The queue is served in order of
//! creation and an entry belongs to one log index, so the tokens of a lock strictly rise from grant
//! to grant and stay while the lock is held, and no further state is needed for them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use kv_api::{Owner, RootKey, SEPARATOR, check_key, lock_lease_ms};
use planted::{Bug, is_on};
use wire::BizCode;

use crate::lifetime::Lifetime;
use crate::machine::{Machine, Verdict};
use crate::node::{Marks, NodeId};
use crate::place::Place;
use crate::stamp::Stamp;
use crate::tree::NewNode;

/// A waiter holds the lock now: somebody has to tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockGranted {
    /// The key of the lock.
    pub key: Box<[u8]>,
    /// The new holder.
    pub owner: Owner,
    /// What the holder sent with its last attempt, by which it knows which one succeeded.
    pub value: Box<[u8]>,
    /// Log index of the entry that granted it.
    pub index: u64,
    /// Greater than that of every earlier holder of this lock.
    pub fencing_token: u64,
    /// Time since that attempt, on the clock of the entries.
    pub waited_ms: u64,
}

impl Machine {
    /// Takes the lock for the lease in `value`, or waits for it unless `wait_ms` is 0.
    pub(crate) fn try_lock(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        value: &[u8],
        wait_ms: u64,
    ) -> Verdict {
        let lease_ms = lease_ms(value).ok_or(BizCode::InvalidTtl)?;
        let lock = match self.place_outside_temporary(key)? {
            Place::Free(parent) => {
                let marks = Marks::DIRECTORY.with(Marks::LOCK);
                let lock = NewNode { parent, key, marks, value: b"", lifetime: None };
                let lock = self.tree.insert(lock, stamp);
                self.add_entry(stamp, lock, owner, value, lease_ms, wait_ms);
                return Ok(BizCode::Success);
            }
            Place::Taken(id) if self.tree.nodes[id].marks.is_lock_directory() => id,
            Place::Taken(_) => return Err(BizCode::NotLockNode),
        };
        match self.find_entry(lock, owner) {
            Some(entry) if self.tree.first_child(lock) == Some(entry) || is_on(Bug::TwoHolders) => {
                self.attempt_again(stamp, entry, owner, value, lease_ms);
                return Ok(BizCode::LockBySelf);
            }
            Some(entry) if wait_ms > 0 => {
                self.attempt_again(stamp, entry, owner, value, wait_ms);
            }
            None if wait_ms > 0 => self.add_entry(stamp, lock, owner, value, wait_ms, wait_ms),
            Some(_) | None => {}
        }
        Ok(BizCode::LockByOther)
    }

    /// Gives the lock back, or leaves the queue.
    pub(crate) fn unlock(&mut self, stamp: Stamp, owner: Owner, key: &[u8]) -> Verdict {
        let lock = self.find_lock(key)?;
        let entry = self.find_entry(lock, owner).ok_or(BizCode::LockByOther)?;
        let mut entry = entry;
        if is_on(Bug::UnlockOfAnother) {
            entry = self.tree.first_child(lock).unwrap_or(entry);
        }
        let holder = self.tree.first_child(lock) == Some(entry);
        self.remove_lock_entry(stamp, entry);
        Ok(if holder { BizCode::Success } else { BizCode::LockByOther })
    }

    pub(crate) fn update_lock_lease(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        lease_ms: u64,
    ) -> Verdict {
        let lock = self.find_lock(key)?;
        let entry = self.find_entry(lock, owner).ok_or(BizCode::LockByOther)?;
        if self.tree.first_child(lock) != Some(entry) {
            return Err(BizCode::LockByOther);
        }
        self.tree.renew(entry, &Lifetime::starting(stamp, owner, lease_ms));
        Ok(BizCode::Success)
    }

    /// Removes an entry. If it held the lock the next in the queue holds it from now on, and
    /// without a next the lock goes.
    pub(crate) fn remove_lock_entry(&mut self, stamp: Stamp, entry: NodeId) {
        let lock = self.tree.nodes[entry].parent;
        let held = self.tree.first_child(lock) == Some(entry);
        self.tree.remove(entry, stamp);
        if !held {
            return;
        }
        match self.tree.first_child(lock) {
            Some(next) => self.grant(stamp, lock, next),
            None => self.tree.remove(lock, stamp),
        }
    }

    /// The lease of a waiter starts when it gets the lock.
    fn grant(&mut self, stamp: Stamp, lock: NodeId, entry: NodeId) {
        let node = &self.tree.nodes[entry];
        let (Some(waiting), Some(lease_ms)) = (node.lifetime(), lease_ms(node.value())) else {
            panic!("an entry of a lock has a lifetime and a lease");
        };
        self.granted.push(LockGranted {
            key: self.tree.nodes[lock].key().into(),
            owner: waiting.owner,
            value: node.value().into(),
            index: stamp.index,
            fencing_token: node.create_index,
            waited_ms: stamp.time_ms.saturating_sub(waiting.start_ms),
        });
        if is_on(Bug::LeaseFromQueue) {
            return;
        }
        self.tree.renew(entry, &Lifetime::starting(stamp, waiting.owner, lease_ms));
    }

    fn add_entry(
        &mut self,
        stamp: Stamp,
        lock: NodeId,
        owner: Owner,
        value: &[u8],
        ttl_ms: u64,
        wait_ms: u64,
    ) {
        // The mark tells whether the owner was ready to wait, even if it did not have to.
        let marks = if wait_ms > 0 { Marks::LOCK.with(Marks::TEMPORARY) } else { Marks::LOCK };
        let key = self.entry_key(lock, owner);
        let lifetime = Some(Lifetime::starting(stamp, owner, ttl_ms));
        self.tree.insert(NewNode { parent: lock, key: &key, marks, value, lifetime }, stamp);
    }

    /// The owner of an entry tries once more: value and countdown are new, its place stays.
    fn attempt_again(
        &mut self,
        stamp: Stamp,
        entry: NodeId,
        owner: Owner,
        value: &[u8],
        ttl_ms: u64,
    ) {
        self.tree.overwrite(entry, value, stamp);
        self.tree.renew(entry, &Lifetime::starting(stamp, owner, ttl_ms));
    }

    /// The fencing token of whoever holds the lock.
    pub(crate) fn holder_token(&self, key: &[u8]) -> Option<u64> {
        let lock = self.find_lock(key).ok()?;
        if is_on(Bug::TokenOfLock) {
            return Some(self.tree.nodes[lock].create_index);
        }
        self.tree.first_child(lock).map(|entry| self.tree.nodes[entry].create_index)
    }

    fn find_lock(&self, key: &[u8]) -> Result<NodeId, BizCode> {
        check_key(key, RootKey::Refused)?;
        let id = self.tree.find(key).ok_or(BizCode::NotFound)?;
        if self.tree.nodes[id].marks.is_lock_directory() {
            Ok(id)
        } else {
            Err(BizCode::NotLockNode)
        }
    }

    fn find_entry(&self, lock: NodeId, owner: Owner) -> Option<NodeId> {
        self.tree.find(&self.entry_key(lock, owner))
    }

    fn entry_key(&self, lock: NodeId, owner: Owner) -> Vec<u8> {
        let lock = self.tree.nodes[lock].key();
        [lock, &[SEPARATOR], &owner.name()].concat()
    }
}

/// The lease in the value of an entry. It was validated: above 0 and in range.
fn lease_ms(value: &[u8]) -> Option<u64> {
    lock_lease_ms(value).and_then(|lease_ms| u64::try_from(lease_ms).ok())
}
