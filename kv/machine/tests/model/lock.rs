//! Locks in the model.

use kv_api::KvRequest;
use kv_machine::Stamp;
use wire::BizCode;

use super::ttl::{lifetime, starting};
use super::{
    Call, DIRECTORY, LOCK, Model, ModelLifetime, TEMPORARY, check_syntax, lease_ms, parent,
};

impl Model {
    pub(super) fn try_lock(&mut self, call: Call<'_>) -> BizCode {
        let KvRequest { key, value, ttl_millis: wait_ms, .. } = *call.request;
        let Some(lease_ms) = lease_ms(value).filter(|&ms| (0..=ms as i64).contains(&wait_ms))
        else {
            return BizCode::InvalidTtl;
        };
        if let Err(code) = self.check_outside_temporary(key) {
            return code;
        }
        let flags = if wait_ms > 0 { LOCK | TEMPORARY } else { LOCK };
        let entry = entry_key(call);
        match self.nodes.get(key).map(|node| node.flags) {
            None => {
                self.create(call.stamp, key, DIRECTORY | LOCK, b"", None);
                let lifetime = Some(starting(call, lease_ms));
                self.create(call.stamp, &entry, flags, value, lifetime);
                return BizCode::Success;
            }
            Some(flags) if flags != DIRECTORY | LOCK => return BizCode::NotLockNode,
            Some(_) => {}
        }
        let holder = *self.children(key)[0] == entry;
        let waiting = starting(call, wait_ms as u64);
        match self.nodes.contains_key(&entry) {
            true if holder => self.replace(call, &entry, starting(call, lease_ms)),
            true if wait_ms > 0 => self.replace(call, &entry, waiting),
            false if wait_ms > 0 => {
                self.create(call.stamp, &entry, flags, value, Some(waiting));
            }
            _ => {}
        }
        if holder { BizCode::LockBySelf } else { BizCode::LockByOther }
    }

    pub(super) fn unlock(&mut self, call: Call<'_>) -> BizCode {
        if let Err(code) = self.check_lock(call.request.key) {
            return code;
        }
        let entry = entry_key(call);
        if !self.nodes.contains_key(&entry) {
            return BizCode::LockByOther;
        }
        let holder = *self.children(call.request.key)[0] == entry;
        self.remove_entry(call.stamp, &entry);
        if holder { BizCode::Success } else { BizCode::LockByOther }
    }

    pub(super) fn update_lock_lease(&mut self, call: Call<'_>) -> BizCode {
        let Some(lifetime) = lifetime(call) else {
            return BizCode::InvalidTtl;
        };
        if let Err(code) = self.check_lock(call.request.key) {
            return code;
        }
        let entry = entry_key(call);
        if *self.children(call.request.key)[0] != entry {
            return BizCode::LockByOther;
        }
        self.nodes.get_mut(&entry).expect("the holder").lifetime = Some(lifetime);
        BizCode::Success
    }

    /// Removes an entry, and the lock when it was the last; a new first entry holds the lock.
    pub(super) fn remove_entry(&mut self, stamp: Stamp, entry: &[u8]) {
        let lock = parent(entry).to_vec();
        let holder = *self.children(&lock)[0] == entry;
        self.delete(stamp, entry);
        let Some(next) = self.children(&lock).first().map(|&key| key.clone()) else {
            self.delete(stamp, &lock);
            return;
        };
        if !holder {
            return;
        }
        let node = self.nodes.get_mut(&next).expect("a child");
        let waiting = node.lifetime.expect("an entry has one");
        let lease_ms = lease_ms(&node.value).expect("checked when it was stored");
        node.lifetime = Some(ModelLifetime {
            owner: waiting.owner,
            ttl_index: stamp.index,
            start_ms: stamp.time_ms,
            deadline_ms: stamp.time_ms + lease_ms,
        });
        let value = node.value.clone();
        self.granted.push((lock, waiting.owner, value, stamp.time_ms - waiting.start_ms));
    }

    fn replace(&mut self, call: Call<'_>, entry: &[u8], lifetime: ModelLifetime) {
        let node = self.nodes.get_mut(entry).expect("found before");
        node.value = call.request.value.to_vec();
        node.lifetime = Some(lifetime);
        self.touch(call.stamp, entry);
    }

    fn check_lock(&self, key: &[u8]) -> Result<(), BizCode> {
        check_syntax(key)?;
        let node = self.nodes.get(key).ok_or(BizCode::NotFound)?;
        if node.flags == DIRECTORY | LOCK { Ok(()) } else { Err(BizCode::NotLockNode) }
    }
}

fn entry_key(call: Call<'_>) -> Vec<u8> {
    let name = format!("{:016x}{:016x}", call.owner.high, call.owner.low);
    [call.request.key, b".", name.as_bytes()].concat()
}
