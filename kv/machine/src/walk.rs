//! All nodes of a part of the tree, over several calls with changes in between.

use alloc::vec::Vec;

use kv_api::{KvNode, split_key};

use crate::machine::Machine;
use crate::node::NodeId;
use crate::tree::Tree;

/// Iterates over a node and all below it: parents before their children, these in the order of
/// creation. Yields key and node.
pub struct Walk<'a> {
    tree: &'a Tree,
    top: NodeId,
    next: Option<NodeId>,
}

impl Machine {
    /// The nodes at this key and below; none if there is no such node.
    pub fn walk(&self, key: &[u8]) -> Walk<'_> {
        let found = self.tree.find(key);
        Walk { tree: &self.tree, top: found.unwrap_or(NodeId::ROOT), next: found }
    }

    /// Goes on where a walk from the same key was at [`Walk::place`], or behind that if the node is
    /// gone. What was there all the time comes once or, rarely, again; what came later may be left
    /// out.
    pub fn walk_from(&self, key: &[u8], place: &[u8]) -> Walk<'_> {
        let mut walk = self.walk(key);
        walk.next = walk.next.and_then(|top| walk.resume(top, key, place));
        walk
    }
}

impl<'a> Walk<'a> {
    /// Where the next node is, for [`Machine::walk_from`]; `None` at the end.
    ///
    /// It names the node's key, behind the numbers of levels and, for each level from the top on, the
    /// index of the entry that created the node there.
    pub fn place(&self) -> Option<Vec<u8>> {
        let next = self.next?;
        let mut created = Vec::new();
        let mut id = next;
        loop {
            created.push(self.tree.nodes[id].create_index);
            if id == self.top {
                break;
            }
            id = self.tree.nodes[id].parent;
        }
        let mut place = Vec::from((created.len() as u32).to_le_bytes());
        for index in created.iter().rev() {
            place.extend_from_slice(&index.to_le_bytes());
        }
        place.extend_from_slice(self.tree.nodes[next].key());
        Some(place)
    }

    fn resume(&self, top: NodeId, key: &[u8], place: &[u8]) -> Option<NodeId> {
        let (count, rest) = place.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (created, wanted) = rest.split_at_checked(count.checked_mul(8)?)?;
        let (created, _) = created.as_chunks();
        let mut path = Vec::new();
        let mut ancestor = wanted;
        for _ in 0..count {
            path.push(ancestor);
            (ancestor, _) = split_key(ancestor);
        }
        if path.pop() != Some(key) {
            return None;
        }
        let mut created = created.iter().map(|index| u64::from_le_bytes(*index));
        if created.next() != Some(self.tree.nodes[top].create_index) {
            // It was removed, and what is there now came later.
            return None;
        }
        let mut id = top;
        for (key, index) in path.iter().rev().zip(created) {
            let found = self.tree.find(key);
            let is_same = |id: &NodeId| self.tree.nodes[*id].create_index == index;
            match found.filter(is_same) {
                Some(child) => id = child,
                None => return self.child_from(id, index).or_else(|| self.behind(id)),
            }
        }
        Some(id)
    }

    /// The first child that was created by this entry or later.
    fn child_from(&self, id: NodeId, create_index: u64) -> Option<NodeId> {
        let mut child = self.tree.first_child(id);
        while let Some(id) = child
            && self.tree.nodes[id].create_index < create_index
        {
            child = self.tree.nodes[id].next.some();
        }
        child
    }

    /// The node that follows when all below `id` is done.
    fn behind(&self, mut id: NodeId) -> Option<NodeId> {
        while id != self.top {
            let node = &self.tree.nodes[id];
            if let Some(next) = node.next.some() {
                return Some(next);
            }
            id = node.parent;
        }
        None
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (&'a [u8], KvNode<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let id = self.next?;
        self.next = self.tree.first_child(id).or_else(|| self.behind(id));
        let node = &self.tree.nodes[id];
        Some((node.key(), node.view()))
    }
}
