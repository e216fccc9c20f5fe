//! Temporary values and directories, and what happens when something expires.

use kv_api::{Owner, RootKey, check_key};
use planted::{Bug, is_on};
use wire::BizCode;

use crate::lifetime::Lifetime;
use crate::machine::{Machine, Verdict};
use crate::node::{Marks, NodeId};
use crate::place::Place;
use crate::put::check_value;
use crate::stamp::Stamp;
use crate::tree::NewNode;

/// Something whose countdown is over: the leader proposes its expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired<'a> {
    /// The key of a temporary node or of a lock's entry.
    pub key: &'a [u8],
    /// Log index of the entry that started the countdown; the expiry has to name it, so that it
    /// does nothing if the countdown was restarted in the meantime.
    pub ttl_index: u64,
    /// When it was over, on the clock of the entries.
    pub deadline_ms: u64,
}

impl Machine {
    /// When the next countdown is over, in milliseconds on the clock of the entries.
    pub fn next_expiry(&self) -> Option<u64> {
        self.tree.deadlines.next_ms()
    }

    /// What is over at `now_ms`, the earliest first. Nothing is removed before an entry says so.
    pub fn due(&self, now_ms: u64) -> impl Iterator<Item = Expired<'_>> {
        self.tree.deadlines.due(now_ms).filter_map(|id| {
            let node = &self.tree.nodes[id];
            let lifetime = node.lifetime()?;
            let (ttl_index, deadline_ms) = (lifetime.ttl_index, lifetime.deadline_ms());
            Some(Expired { key: node.key(), ttl_index, deadline_ms })
        })
    }

    pub(crate) fn put_temporary(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        value: &[u8],
        ttl_ms: u64,
    ) -> Verdict {
        check_value(value)?;
        let lifetime = Lifetime::starting(stamp, owner, ttl_ms);
        let parent = match self.place_outside_temporary(key)? {
            Place::Free(parent) => parent,
            Place::Taken(id) => {
                self.check_own_temporary(id, owner)?;
                if self.tree.nodes[id].marks.is_directory() {
                    return Err(BizCode::DirExists);
                }
                self.tree.overwrite(id, value, stamp);
                self.tree.renew(id, &lifetime);
                return Ok(BizCode::SuccessOverwrite);
            }
        };
        let (marks, lifetime) = (Marks::TEMPORARY, Some(lifetime));
        self.tree.insert(NewNode { parent, key, marks, value, lifetime }, stamp);
        Ok(BizCode::Success)
    }

    pub(crate) fn make_temporary_directory(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        ttl_ms: u64,
    ) -> Verdict {
        let lifetime = Lifetime::starting(stamp, owner, ttl_ms);
        let parent = match self.place_outside_temporary(key)? {
            Place::Free(parent) => parent,
            Place::Taken(id) => {
                self.check_own_temporary(id, owner)?;
                if !self.tree.nodes[id].marks.is_directory() {
                    return Err(BizCode::ValueExists);
                }
                self.tree.renew(id, &lifetime);
                return Ok(BizCode::DirExists);
            }
        };
        let (marks, lifetime) = (Marks::TEMPORARY.with(Marks::DIRECTORY), Some(lifetime));
        self.tree.insert(NewNode { parent, key, marks, value: b"", lifetime }, stamp);
        Ok(BizCode::Success)
    }

    pub(crate) fn update_ttl(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        key: &[u8],
        ttl_ms: u64,
    ) -> Verdict {
        check_key(key, RootKey::Refused)?;
        let id = self.tree.find(key).ok_or(BizCode::NotFound)?;
        self.check_own(id, owner)?;
        if self.tree.nodes[id].marks.contains(Marks::LOCK) {
            // How long somebody waits for a lock is the business of the lock operations.
            return Err(BizCode::IsLockNode);
        }
        if !is_on(Bug::RenewalForgotten) {
            self.tree.renew(id, &Lifetime::starting(stamp, owner, ttl_ms));
        }
        Ok(BizCode::Success)
    }

    /// Removes what has expired: a value, a directory with all below it, or a lock's entry.
    pub(crate) fn expire(&mut self, stamp: Stamp, key: &[u8], ttl_index: u64) -> Verdict {
        let id = self.tree.find(key).ok_or(BizCode::TtlIndexMismatch)?;
        let node = &self.tree.nodes[id];
        let is_other = node.lifetime().is_none_or(|lifetime| lifetime.ttl_index != ttl_index);
        if is_other && !is_on(Bug::RestartedCountdownIgnored) {
            return Err(BizCode::TtlIndexMismatch);
        }
        if node.marks.contains(Marks::LOCK) {
            self.remove_lock_entry(stamp, id);
        } else {
            if is_on(Bug::ExpiredSubtreeKept) && self.tree.has_children(id) {
                return Ok(BizCode::Success);
            }
            self.tree.remove_subtree(id, stamp);
        }
        Ok(BizCode::Success)
    }

    /// A temporary node of this owner that is not part of a lock.
    fn check_own_temporary(&self, id: NodeId, owner: Owner) -> Result<(), BizCode> {
        if self.tree.nodes[id].marks.contains(Marks::LOCK) {
            return Err(BizCode::IsLockNode);
        }
        self.check_own(id, owner)
    }

    fn check_own(&self, id: NodeId, owner: Owner) -> Result<(), BizCode> {
        let node = &self.tree.nodes[id];
        if !node.marks.contains(Marks::TEMPORARY) {
            return Err(BizCode::NotTempNode);
        }
        match node.lifetime() {
            Some(lifetime) if lifetime.owner == owner || is_on(Bug::OwnerIgnored) => Ok(()),
            _ => Err(BizCode::NotOwner),
        }
    }
}
