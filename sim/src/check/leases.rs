//! What expires, and locks: the part of the model in which the time of entries counts.

use client::BizCode;
use kv_api::Owner;

use super::model::{Life, Mark, Model, Stamp, parent};

/// From when on expiries must be in time: since then there is a leader that nothing disturbs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Punctuality {
    pub(super) from_ms: u64,
}

/// The most that an expiry may be late, beside a hundredth of its countdown.
const LATE_MAX_MS: u64 = 1_000;

impl Punctuality {
    pub(super) fn is_late(self, life: Life, now_ms: u64) -> bool {
        let due = life.deadline_ms().max(self.from_ms);
        now_ms.saturating_sub(due) > LATE_MAX_MS + life.ttl_ms / 100
    }
}

impl Model {
    pub(super) fn put_temporary(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        value: &[u8],
        ttl_ms: u64,
    ) -> BizCode {
        let life = Life::starting(stamp, owner, ttl_ms);
        if self.present.contains_key(key) {
            if !self.is_own(key, owner) {
                return BizCode::NotOwner;
            }
            self.overwrite(stamp.index, key, value);
            self.renew(key, life);
            return BizCode::SuccessOverwrite;
        }
        self.create(stamp.index, 0, key, Some(value));
        self.expires(key, Mark::Temporary, life);
        BizCode::Success
    }

    pub(super) fn make_temporary_directory(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        ttl_ms: u64,
    ) -> BizCode {
        let life = Life::starting(stamp, owner, ttl_ms);
        if self.present.contains_key(key) {
            if !self.is_own(key, owner) {
                return BizCode::NotOwner;
            }
            self.renew(key, life);
            return BizCode::DirExists;
        }
        self.create(stamp.index, 0, key, None);
        self.expires(key, Mark::Temporary, life);
        BizCode::Success
    }

    pub(super) fn update_ttl(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        ttl_ms: u64,
    ) -> BizCode {
        if !self.present.contains_key(key) {
            return BizCode::NotFound;
        }
        if !self.is_own(key, owner) {
            return BizCode::NotOwner;
        }
        self.renew(key, Life::starting(stamp, owner, ttl_ms));
        BizCode::Success
    }

    /// Carries out an expiry that the leader proposed. Returns the countdown that is over.
    ///
    /// # Errors
    /// When it removes something before its time.
    pub(super) fn expire(
        &mut self,
        stamp: Stamp,
        key: &[u8],
        ttl_index: u64,
    ) -> Result<Option<Life>, String> {
        let Some(node) = self.present.get(key) else { return Ok(None) };
        let Some(life) = node.life.filter(|life| life.ttl_index == ttl_index) else {
            return Ok(None);
        };
        if stamp.time_ms < life.deadline_ms() {
            return Err(format!(
                "entry {} of {} ms removes {}, which lives until {} ms",
                stamp.index,
                stamp.time_ms,
                String::from_utf8_lossy(key),
                life.deadline_ms()
            ));
        }
        match node.mark {
            Mark::LockEntry => self.remove_lock_entry(stamp, key),
            _ => self.remove_subtree(stamp.index, key),
        }
        Ok(Some(life))
    }

    /// What should have gone long before `now_ms`.
    pub(super) fn overdue(&self, punctuality: Punctuality, now_ms: u64) -> Option<String> {
        let mut lives = self.present.iter().filter_map(|(key, node)| Some((key, node.life?)));
        let (key, life) = lives.find(|(_, life)| punctuality.is_late(*life, now_ms))?;
        let deadline_ms = life.deadline_ms();
        let key = String::from_utf8_lossy(key);
        Some(format!("{key} is there at {now_ms} ms, and was to live until {deadline_ms} ms"))
    }

    pub(super) fn try_lock(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        value: &[u8],
        [lease_ms, wait_ms]: [u64; 2],
    ) -> BizCode {
        let entry = entry_key(key, owner);
        if !self.present.contains_key(key) {
            self.create(stamp.index, 0, key, None);
            if let Some(lock) = self.present.get_mut(key) {
                lock.mark = Mark::Lock;
            }
            self.add_lock_entry(stamp, owner, &entry, value, [lease_ms, lease_ms]);
            return BizCode::Success;
        }
        if self.holder(key).as_ref() == Some(&entry) {
            self.attempt_again(stamp, owner, &entry, value, [lease_ms, lease_ms]);
            return BizCode::LockBySelf;
        }
        if wait_ms > 0 {
            match self.present.contains_key(&entry) {
                true => self.attempt_again(stamp, owner, &entry, value, [lease_ms, wait_ms]),
                false => self.add_lock_entry(stamp, owner, &entry, value, [lease_ms, wait_ms]),
            }
        }
        BizCode::LockByOther
    }

    pub(super) fn unlock(&mut self, stamp: Stamp, owner: Owner, key: &[u8]) -> BizCode {
        let entry = entry_key(key, owner);
        if !self.present.contains_key(key) {
            return BizCode::NotFound;
        }
        if !self.present.contains_key(&entry) {
            return BizCode::LockByOther;
        }
        let held = self.holder(key).as_ref() == Some(&entry);
        self.remove_lock_entry(stamp, &entry);
        if held { BizCode::Success } else { BizCode::LockByOther }
    }

    pub(super) fn update_lease(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        lease_ms: u64,
    ) -> BizCode {
        if !self.present.contains_key(key) {
            return BizCode::NotFound;
        }
        let entry = entry_key(key, owner);
        if self.holder(key).as_ref() != Some(&entry) {
            return BizCode::LockByOther;
        }
        self.renew(&entry, Life::starting(stamp, owner, lease_ms));
        BizCode::Success
    }

    /// What the holder of a lock has to show: greater than what every earlier one had.
    pub fn fencing_token(&self, key: &[u8]) -> Option<u64> {
        let holder = self.holder(key)?;
        self.present.get(&holder).map(|entry| entry.view.created)
    }

    /// Removes an entry; the next in the queue holds the lock from then on.
    fn remove_lock_entry(&mut self, stamp: Stamp, entry: &[u8]) {
        let lock = parent(entry).to_vec();
        let held = self.holder(&lock).as_deref() == Some(entry);
        self.remove_subtree(stamp.index, entry);
        if !held {
            return;
        }
        match self.holder(&lock) {
            None => self.remove_subtree(stamp.index, &lock),
            Some(next) => {
                let Some(life) = self.present.get(&next).and_then(|entry| entry.life) else {
                    return;
                };
                self.renew(&next, Life::starting(stamp, life.owner, life.lease_ms));
            }
        }
    }

    fn add_lock_entry(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        entry: &[u8],
        value: &[u8],
        [lease_ms, ttl_ms]: [u64; 2],
    ) {
        self.create(stamp.index, 0, entry, Some(value));
        let life = Life { lease_ms, ..Life::starting(stamp, owner, ttl_ms) };
        self.expires(entry, Mark::LockEntry, life);
    }

    fn attempt_again(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        entry: &[u8],
        value: &[u8],
        [lease_ms, ttl_ms]: [u64; 2],
    ) {
        self.overwrite(stamp.index, entry, value);
        let life = Life::starting(stamp, owner, ttl_ms);
        if let Some(node) = self.present.get_mut(entry) {
            node.life = Some(Life { lease_ms, ..life });
        }
    }

    /// The entry of a lock that was created first.
    fn holder(&self, lock: &[u8]) -> Option<Vec<u8>> {
        let entries = self.children(lock);
        let first = entries.min_by_key(|key| self.present.get(*key).map(|node| node.view.created));
        first.cloned()
    }

    fn remove_subtree(&mut self, index: u64, key: &[u8]) {
        let below: Vec<_> = self.children(key).cloned().collect();
        below.iter().for_each(|child| self.remove_subtree(index, child));
        self.present.remove(key);
        self.record(index, key);
        self.touch(index, parent(key));
    }

    fn is_own(&self, key: &[u8], owner: Owner) -> bool {
        let life = self.present.get(key).and_then(|node| node.life);
        life.is_some_and(|life| life.owner == owner)
    }

    fn expires(&mut self, key: &[u8], mark: Mark, life: Life) {
        if let Some(node) = self.present.get_mut(key) {
            (node.mark, node.life) = (mark, Some(life));
        }
    }

    /// A new countdown; the lease of a lock stays the one that was asked for.
    fn renew(&mut self, key: &[u8], life: Life) {
        if let Some(node) = self.present.get_mut(key) {
            let lease_ms = node.life.map_or(0, |life| life.lease_ms);
            node.life = Some(Life { lease_ms, ..life });
        }
    }
}

fn entry_key(lock: &[u8], owner: Owner) -> Vec<u8> {
    [lock, b".", &owner.name()].concat()
}
