//! Where a write wants to go: the checks of key and parent that most operations begin with.

use kv_api::{RootKey, check_key, split_key};
use wire::BizCode;

use crate::machine::Machine;
use crate::node::{Marks, NodeId};

/// What is at a key whose parent is a directory and no lock.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// A node.
    Taken(NodeId),
    /// Nothing, below this directory.
    Free(NodeId),
}

impl Machine {
    /// Checks the key, then the parent: it has to exist, not be a value and not be a lock.
    #[inline]
    pub(crate) fn place(&self, key: &[u8]) -> Result<Place, BizCode> {
        check_key(key, RootKey::Refused)?;
        if let Some(id) = self.tree.find(key) {
            // A node that exists has a parent, and that is a directory.
            let parent = self.tree.nodes[id].parent;
            if self.tree.nodes[parent].marks.is_lock_directory() {
                return Err(BizCode::ParentIsLock);
            }
            return Ok(Place::Taken(id));
        }
        let parent = self.tree.find(split_key(key).0).ok_or(BizCode::ParentDirNotExists)?;
        let marks = self.tree.nodes[parent].marks;
        if !marks.is_directory() {
            return Err(BizCode::ParentNotDir);
        }
        if marks.is_lock_directory() {
            return Err(BizCode::ParentIsLock);
        }
        Ok(Place::Free(parent))
    }

    /// As [`Machine::place`], and no ancestor may be temporary.
    pub(crate) fn place_outside_temporary(&self, key: &[u8]) -> Result<Place, BizCode> {
        let place = self.place(key)?;
        let parent = match place {
            Place::Taken(id) => self.tree.nodes[id].parent,
            Place::Free(parent) => parent,
        };
        let marks = self.tree.nodes[parent].marks;
        if marks.contains(Marks::TEMPORARY) || marks.contains(Marks::UNDER_TEMPORARY) {
            return Err(BizCode::UnderTempDir);
        }
        Ok(place)
    }

    /// What permanent writes refuse to replace.
    #[inline]
    pub(crate) fn check_permanent(&self, id: NodeId) -> Result<(), BizCode> {
        let marks = self.tree.nodes[id].marks;
        if marks.contains(Marks::LOCK) {
            return Err(BizCode::IsLockNode);
        }
        if marks.contains(Marks::TEMPORARY) {
            return Err(BizCode::IsTempNode);
        }
        Ok(())
    }
}
