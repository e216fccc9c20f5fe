//! Temporary nodes and expiry in the model.

use kv_api::KvRequest;
use wire::BizCode;

use super::{Call, DIRECTORY, LOCK, Model, ModelLifetime, TEMPORARY, check_syntax, parent};

impl Model {
    /// Put of a temporary value and, for an empty value, of a temporary directory.
    pub(super) fn set_temporary(&mut self, call: Call<'_>, value: &[u8]) -> BizCode {
        let key = call.request.key;
        let directory = call.kind == kv_api::OperationKind::MakeTempDir;
        let Some(lifetime) = lifetime(call) else {
            return BizCode::InvalidTtl;
        };
        if !directory && value.is_empty() {
            return BizCode::InvalidValue;
        }
        if value.len() > 1 << 20 {
            return BizCode::ValueTooLong;
        }
        if let Err(code) = self.check_outside_temporary(key) {
            return code;
        }
        let Some(node) = self.nodes.get_mut(key) else {
            let flags = if directory { DIRECTORY | TEMPORARY } else { TEMPORARY };
            self.create(call.stamp, key, flags, value, Some(lifetime));
            return BizCode::Success;
        };
        if node.flags & LOCK != 0 {
            return BizCode::IsLockNode;
        }
        if node.flags & TEMPORARY == 0 {
            return BizCode::NotTempNode;
        }
        if node.lifetime.is_none_or(|lifetime| lifetime.owner != call.owner) {
            return BizCode::NotOwner;
        }
        match (directory, node.flags & DIRECTORY != 0) {
            (false, true) => BizCode::DirExists,
            (true, false) => BizCode::ValueExists,
            (true, true) => {
                node.lifetime = Some(lifetime);
                BizCode::DirExists
            }
            (false, false) => {
                node.lifetime = Some(lifetime);
                node.value = value.to_vec();
                self.touch(call.stamp, key);
                BizCode::SuccessOverwrite
            }
        }
    }

    pub(super) fn update_ttl(&mut self, call: Call<'_>) -> BizCode {
        let Some(lifetime) = lifetime(call) else {
            return BizCode::InvalidTtl;
        };
        if let Err(code) = check_syntax(call.request.key) {
            return code;
        }
        let Some(node) = self.nodes.get_mut(call.request.key) else {
            return BizCode::NotFound;
        };
        if node.flags & TEMPORARY == 0 {
            return BizCode::NotTempNode;
        }
        if node.lifetime.is_none_or(|lifetime| lifetime.owner != call.owner) {
            return BizCode::NotOwner;
        }
        if node.flags & LOCK != 0 {
            return BizCode::IsLockNode;
        }
        node.lifetime = Some(lifetime);
        BizCode::Success
    }

    pub(super) fn expire(&mut self, call: Call<'_>) -> BizCode {
        let KvRequest { key, ttl_millis, .. } = *call.request;
        let node = self.nodes.get(key);
        let Some(lifetime) = node.and_then(|node| node.lifetime) else {
            return BizCode::TtlIndexMismatch;
        };
        if lifetime.ttl_index != ttl_millis as u64 {
            return BizCode::TtlIndexMismatch;
        }
        if node.is_some_and(|node| node.flags & LOCK != 0) {
            self.remove_entry(call.stamp, key);
            return BizCode::Success;
        }
        let below = [key, b"."].concat();
        self.nodes.retain(|other, _| !other.starts_with(&below));
        self.delete(call.stamp, key);
        BizCode::Success
    }

    /// Syntax, parent, and no temporary ancestor.
    pub(super) fn check_outside_temporary(&self, key: &[u8]) -> Result<(), BizCode> {
        self.check(key)?;
        let mut ancestor = parent(key);
        while !ancestor.is_empty() {
            if self.nodes[ancestor].flags & TEMPORARY != 0 {
                return Err(BizCode::UnderTempDir);
            }
            ancestor = parent(ancestor);
        }
        Ok(())
    }

    /// What is due at a time: deadline, key and ttl index, the earliest first.
    pub(crate) fn due(&self, now_ms: u64) -> Vec<(u64, u64, Vec<u8>)> {
        let lifetimes = self.nodes.iter().filter_map(|(key, node)| {
            let lifetime = node.lifetime?;
            Some((lifetime.deadline_ms, lifetime.ttl_index, key.clone()))
        });
        let mut due: Vec<_> =
            lifetimes.filter(|&(deadline_ms, ..)| deadline_ms <= now_ms).collect();
        due.sort();
        due
    }
}

/// The countdown that a call starts, if its ttl is in range.
pub(super) fn lifetime(call: Call<'_>) -> Option<ModelLifetime> {
    let ttl_ms = call.request.ttl_millis;
    if !(1..=3_153_600_000_000).contains(&ttl_ms) {
        return None;
    }
    Some(starting(call, ttl_ms as u64))
}

/// A countdown of the caller.
pub(super) fn starting(call: Call<'_>, ttl_ms: u64) -> ModelLifetime {
    let (owner, ttl_index, start_ms) = (call.owner, call.stamp.index, call.stamp.time_ms);
    ModelLifetime { owner, ttl_index, start_ms, deadline_ms: start_ms + ttl_ms }
}
