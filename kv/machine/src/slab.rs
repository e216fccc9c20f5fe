//! The nodes, in chunks: growing never moves one.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

use crate::node::{Node, NodeId};
use crate::snapshot::Saving;

/// All nodes by their [`NodeId`].
pub(crate) struct Slab {
    chunks: Vec<Vec<Node>>,
    /// The first of the vacant places, chained by [`Node::next`].
    vacant: NodeId,
    live: usize,
    /// Sees every node before it changes.
    pub(crate) saving: Saving,
}

/// Nodes in one chunk: 256 KiB, which the allocator maps and unmaps as a whole.
const CHUNK_NODES: usize = 4096;

impl Slab {
    pub(crate) fn new() -> Slab {
        Slab { chunks: Vec::new(), vacant: NodeId::NONE, live: 0, saving: Saving::default() }
    }

    /// All ids are below this number.
    pub(crate) fn bound(&self) -> u32 {
        let Some((last, others)) = self.chunks.split_last() else { return 0 };
        (others.len() * CHUNK_NODES + last.len()) as u32
    }

    /// The node in a place, if there is one.
    pub(crate) fn get(&self, id: NodeId) -> Option<&Node> {
        let position = id.0 as usize;
        let node = self.chunks.get(position / CHUNK_NODES)?.get(position % CHUNK_NODES)?;
        (!node.is_vacant()).then_some(node)
    }

    /// Puts a node into a vacant place. The vacant ones before it are not chained until
    /// [`Slab::chain_if_vacant`].
    pub(crate) fn place(&mut self, id: NodeId, node: Node) {
        while self.bound() <= id.0 {
            self.push(Node::vacant(NodeId::NONE));
        }
        assert!(self[id].is_vacant(), "a place holds one node");
        self.live += 1;
        self[id] = node;
    }

    /// Lets a vacant place be found before those that were found so far.
    pub(crate) fn chain_if_vacant(&mut self, id: NodeId) {
        if self[id].is_vacant() {
            self[id].next = self.vacant;
            self.vacant = id;
        }
    }

    /// Drops some of the last nodes, for a slab that is not used any more. Returns whether there are
    /// more.
    pub(crate) fn shed(&mut self) -> bool {
        drop(self.chunks.pop());
        !self.chunks.is_empty()
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Bytes of all chunks.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.chunks.len() * CHUNK_NODES * size_of::<Node>()
            + self.chunks.capacity() * size_of::<Vec<Node>>()
            + self.saving.memory_bytes()
    }

    #[inline]
    pub(crate) fn insert(&mut self, node: Node) -> NodeId {
        self.live += 1;
        if let Some(id) = self.vacant.some() {
            self.vacant = self[id].next;
            self[id] = node;
            return id;
        }
        self.push(node)
    }

    /// Takes a node out; its id means nothing afterwards.
    #[inline]
    pub(crate) fn remove(&mut self, id: NodeId) -> Node {
        assert!(id != NodeId::ROOT, "the root stays");
        self.live -= 1;
        let vacant = Node::vacant(self.vacant);
        self.vacant = id;
        core::mem::replace(&mut self[id], vacant)
    }

    #[inline]
    fn push(&mut self, node: Node) -> NodeId {
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_NODES);
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK_NODES));
        }
        let position = (self.chunks.len() - 1) * CHUNK_NODES;
        let chunk = &mut self.chunks[position / CHUNK_NODES];
        let position = position + chunk.len();
        chunk.push(node);
        match u32::try_from(position) {
            Ok(id) if id != u32::MAX => NodeId(id),
            _ => panic!("more nodes than ids"),
        }
    }
}

impl Index<NodeId> for Slab {
    type Output = Node;

    #[inline]
    fn index(&self, id: NodeId) -> &Node {
        let position = id.0 as usize;
        &self.chunks[position / CHUNK_NODES][position % CHUNK_NODES]
    }
}

impl IndexMut<NodeId> for Slab {
    #[inline]
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        let position = id.0 as usize;
        if self.saving.awaits(id) {
            self.saving.keep(id, &self.chunks[position / CHUNK_NODES][position % CHUNK_NODES]);
        }
        &mut self.chunks[position / CHUNK_NODES][position % CHUNK_NODES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Marks;

    #[test]
    fn places_are_reused_and_others_stay() {
        let node = |key: &[u8]| Node::new(key, Marks::VALUE, b"v", None);
        let mut slab = Slab::new();
        for number in 0..2 * CHUNK_NODES as u32 {
            assert_eq!(slab.insert(node(&number.to_le_bytes())), NodeId(number));
        }
        for number in [5, 4096, 17] {
            assert_eq!(slab.remove(NodeId(number)).key(), number.to_le_bytes());
        }
        assert_eq!(slab.len(), 2 * CHUNK_NODES - 3);
        for number in [17, 4096, 5, 8192] {
            assert_eq!(slab.insert(node(b"new")), NodeId(number));
        }
        assert_eq!(slab[NodeId(18)].key(), 18_u32.to_le_bytes());
        assert_eq!(slab.len(), 2 * CHUNK_NODES + 1);
    }
}
