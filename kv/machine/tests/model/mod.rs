//! The rules of the tree written down as plainly as possible: one map from key to node, everything
//! found by looking at all keys.

mod lock;
mod transaction;
mod ttl;

use std::collections::BTreeMap;

use kv_api::{KvRequest, OperationKind, Owner, lock_lease_ms};
use kv_machine::Stamp;
use wire::BizCode;

/// A node of the model.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ModelNode {
    pub(crate) create: Stamp,
    pub(crate) update: Stamp,
    pub(crate) flags: i32,
    pub(crate) value: Vec<u8>,
    /// Rises with every node that is created.
    order: u64,
    pub(crate) lifetime: Option<ModelLifetime>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ModelLifetime {
    pub(crate) owner: Owner,
    pub(crate) ttl_index: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) start_ms: u64,
}

/// The tree, without the root but with its update.
pub(crate) struct Model {
    pub(crate) nodes: BTreeMap<Vec<u8>, ModelNode>,
    pub(crate) root_update: Stamp,
    pub(crate) granted: Vec<(Vec<u8>, Owner, Vec<u8>, u64)>,
    created: u64,
}

/// Who does what when.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) stamp: Stamp,
    pub(crate) owner: Owner,
    pub(crate) kind: OperationKind,
    pub(crate) request: &'a KvRequest<'a>,
}

pub(crate) const DIRECTORY: i32 = 1;
pub(crate) const LOCK: i32 = 2;
pub(crate) const TEMPORARY: i32 = 4;

impl Model {
    pub(crate) fn new() -> Model {
        Model {
            nodes: BTreeMap::new(),
            root_update: Stamp { index: 0, time_ms: 0 },
            granted: Vec::new(),
            created: 0,
        }
    }

    /// The codes of the results, or the code of a batch that has none.
    pub(crate) fn apply(&mut self, call: Call<'_>) -> Result<Vec<BizCode>, BizCode> {
        let request = call.request;
        match call.kind {
            OperationKind::BatchPut if request.keys.is_empty() => Err(BizCode::InvalidKey),
            OperationKind::BatchPut if request.values.is_empty() => Err(BizCode::InvalidValue),
            OperationKind::BatchRemove if request.keys.is_empty() => Err(BizCode::InvalidKey),
            OperationKind::BatchPut => {
                let elements = request.keys.iter().zip(request.values);
                Ok(elements.map(|(key, value)| self.set(call.stamp, key, value)).collect())
            }
            OperationKind::BatchRemove => {
                Ok(request.keys.iter().map(|key| self.remove(call, key)).collect())
            }
            _ => Ok(vec![self.apply_one(call)]),
        }
    }

    fn apply_one(&mut self, call: Call<'_>) -> BizCode {
        let KvRequest { key, value, .. } = *call.request;
        match call.kind {
            OperationKind::Put if value.is_empty() => BizCode::InvalidValue,
            OperationKind::Put if value.len() > 1 << 20 => BizCode::ValueTooLong,
            OperationKind::Put => self.set(call.stamp, key, value),
            OperationKind::Mkdir => self.set(call.stamp, key, b""),
            OperationKind::Remove => self.remove(call, key),
            OperationKind::Cas => self.compare_and_set(call),
            OperationKind::Expire => self.expire(call),
            OperationKind::TryLock => self.try_lock(call),
            OperationKind::Unlock => self.unlock(call),
            OperationKind::UpdateLockLease => self.update_lock_lease(call),
            OperationKind::PutTemp => self.set_temporary(call, value),
            OperationKind::MakeTempDir => self.set_temporary(call, b""),
            OperationKind::UpdateTtl => self.update_ttl(call),
            OperationKind::BatchPut
            | OperationKind::BatchRemove
            | OperationKind::Transaction
            | OperationKind::OpenSession => unreachable!(),
        }
    }

    /// Put and, for an empty value, mkdir.
    fn set(&mut self, stamp: Stamp, key: &[u8], value: &[u8]) -> BizCode {
        if let Err(code) = self.check(key) {
            return code;
        }
        let Some(node) = self.nodes.get_mut(key) else {
            let flags = if value.is_empty() { DIRECTORY } else { 0 };
            self.create(stamp, key, flags, value, None);
            return BizCode::Success;
        };
        match node.flags {
            flags if flags & LOCK != 0 => BizCode::IsLockNode,
            flags if flags & TEMPORARY != 0 => BizCode::IsTempNode,
            DIRECTORY => BizCode::DirExists,
            _ if value.is_empty() => BizCode::ValueExists,
            _ => {
                node.value = value.to_vec();
                self.touch(stamp, key);
                BizCode::SuccessOverwrite
            }
        }
    }

    fn remove(&mut self, call: Call<'_>, key: &[u8]) -> BizCode {
        if let Err(code) = check_syntax(key) {
            return code;
        }
        let Some(node) = self.nodes.get(key) else {
            return BizCode::NotFound;
        };
        if node.flags & LOCK != 0 {
            return BizCode::IsLockNode;
        }
        if node.lifetime.is_some_and(|lifetime| lifetime.owner != call.owner) {
            return BizCode::NotOwner;
        }
        if !self.children(key).is_empty() {
            return BizCode::HasChildren;
        }
        self.delete(call.stamp, key);
        BizCode::Success
    }

    fn compare_and_set(&mut self, call: Call<'_>) -> BizCode {
        let KvRequest { key, value, expect_value, .. } = *call.request;
        if let Err(code) = check_syntax(key) {
            return code;
        }
        if value.is_empty() && expect_value.is_empty() {
            return BizCode::InvalidValue;
        }
        if let Err(code) = self.check(key) {
            return code;
        }
        let found = self.nodes.get(key);
        match found.map_or(0, |node| node.flags) {
            flags if flags & LOCK != 0 => return BizCode::IsLockNode,
            flags if flags & TEMPORARY != 0 => return BizCode::IsTempNode,
            _ => {}
        }
        let equal = match found {
            None => expect_value.is_empty(),
            Some(node) => !expect_value.is_empty() && node.value == expect_value,
        };
        match (equal, found.is_some()) {
            (false, _) => return BizCode::CasMismatch,
            (true, false) => self.create(call.stamp, key, 0, value, None),
            (true, true) if value.is_empty() => self.delete(call.stamp, key),
            (true, true) => {
                self.nodes.get_mut(key).expect("found before").value = value.to_vec();
                self.touch(call.stamp, key);
            }
        }
        BizCode::Success
    }

    /// Syntax and parent.
    fn check(&self, key: &[u8]) -> Result<(), BizCode> {
        check_syntax(key)?;
        let parent = parent(key);
        if parent.is_empty() {
            return Ok(());
        }
        let node = self.nodes.get(parent).ok_or(BizCode::ParentDirNotExists)?;
        match node.flags {
            flags if flags & DIRECTORY == 0 => Err(BizCode::ParentNotDir),
            flags if flags & LOCK != 0 => Err(BizCode::ParentIsLock),
            _ => Ok(()),
        }
    }

    fn create(
        &mut self,
        stamp: Stamp,
        key: &[u8],
        flags: i32,
        value: &[u8],
        lifetime: Option<ModelLifetime>,
    ) {
        self.created += 1;
        let (order, value) = (self.created, value.to_vec());
        let node = ModelNode { create: stamp, update: stamp, flags, value, order, lifetime };
        self.nodes.insert(key.to_vec(), node);
        self.touch(stamp, key);
    }

    fn delete(&mut self, stamp: Stamp, key: &[u8]) {
        self.nodes.remove(key).expect("found before");
        self.touch(stamp, parent(key));
    }

    /// Updates a node and its ancestors.
    fn touch(&mut self, stamp: Stamp, mut key: &[u8]) {
        while !key.is_empty() {
            self.nodes.get_mut(key).expect("ancestors exist").update = stamp;
            key = parent(key);
        }
        self.root_update = stamp;
    }

    /// The keys of the children in the order of creation.
    pub(crate) fn children(&self, directory: &[u8]) -> Vec<&Vec<u8>> {
        let mut children: Vec<_> =
            self.nodes.iter().filter(|(key, _)| parent(key) == directory).collect();
        children.sort_by_key(|(_, node)| node.order);
        children.into_iter().map(|(key, _)| key).collect()
    }
}

pub(crate) fn parent(key: &[u8]) -> &[u8] {
    match key.iter().rposition(|&byte| byte == b'.') {
        Some(position) => &key[..position],
        None => &[],
    }
}

fn check_syntax(key: &[u8]) -> Result<(), BizCode> {
    match key {
        [] => Err(BizCode::InvalidKey),
        key if key.len() > 8192 => Err(BizCode::KeyTooLong),
        [b'.', ..] | [.., b'.'] => Err(BizCode::InvalidKey),
        _ => Ok(()),
    }
}

fn lease_ms(value: &[u8]) -> Option<u64> {
    lock_lease_ms(value).filter(|lease| (1..=3_153_600_000_000).contains(lease)).map(|ms| ms as u64)
}
