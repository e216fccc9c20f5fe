//! Remove and batch remove.

use kv_api::{KvRequest, Owner, RootKey, check_key};
use wire::BizCode;

use crate::machine::{Machine, Verdict};
use crate::node::Marks;
use crate::outcome::Outcome;
use crate::stamp::Stamp;

impl Machine {
    pub(crate) fn remove(&mut self, stamp: Stamp, owner: Owner, key: &[u8]) -> Verdict {
        check_key(key, RootKey::Refused)?;
        let id = self.tree.find(key).ok_or(BizCode::NotFound)?;
        let node = &self.tree.nodes[id];
        if node.marks.contains(Marks::LOCK) {
            return Err(BizCode::IsLockNode);
        }
        if node.lifetime().is_some_and(|lifetime| lifetime.owner != owner) {
            return Err(BizCode::NotOwner);
        }
        if self.tree.has_children(id) {
            return Err(BizCode::HasChildren);
        }
        self.tree.remove(id, stamp);
        Ok(BizCode::Success)
    }

    pub(crate) fn batch_remove(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        request: &KvRequest<'_>,
    ) -> Outcome {
        if request.keys.is_empty() {
            return Outcome::Refused(BizCode::InvalidKey);
        }
        let codes = request.keys.iter().map(|key| {
            let (Ok(code) | Err(code)) = self.remove(stamp, owner, key);
            code
        });
        Outcome::Many(codes.collect())
    }
}
