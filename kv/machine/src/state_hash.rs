//! One number for the whole state, to compare replicas.

use crate::node::{Node, NodeId};
use crate::tree::Tree;

/// Hashes every node in the order of [`Tree::next_in_order`].
///
/// The function is fixed: replicas on other versions and processors get the same number.
pub(crate) fn state_hash(tree: &Tree) -> u64 {
    let mut hash = Hash(0);
    let mut next = Some(NodeId::ROOT);
    while let Some(id) = next {
        hash.node(&tree.nodes[id]);
        next = tree.next_in_order(id);
    }
    hash.0
}

/// The hash of one node. Their sum does not depend on an order, and so not on that of siblings.
pub(crate) fn node_hash(node: &Node) -> u64 {
    let mut hash = Hash(0);
    hash.node(node);
    hash.0
}

/// The hash of a string of bytes.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = Hash(0);
    hash.bytes(bytes);
    hash.0
}

/// A running hash of numbers and byte strings.
struct Hash(u64);

impl Hash {
    fn node(&mut self, node: &Node) {
        self.bytes(node.key());
        self.number(u64::from(node.marks.state()));
        self.number(node.create_index);
        self.number(node.create_time_ms);
        self.number(node.update_index);
        self.number(node.update_time_ms);
        self.bytes(node.value());
        if let Some(lifetime) = node.lifetime() {
            self.bytes(&lifetime.to_bytes());
        }
    }

    #[inline]
    fn number(&mut self, number: u64) {
        // The upper half of the product depends on all bits, the fold brings it down again.
        let product = u128::from(self.0 ^ number ^ 0x9e37_79b9_7f4a_7c15) * MULTIPLIER;
        self.0 = (product as u64 ^ (product >> 64) as u64).rotate_left(23).wrapping_add(number);
    }

    /// The length goes first, so that no two sequences of strings run together.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last));
    }
}

const MULTIPLIER: u128 = 0xd6e8_feb8_6659_fd93;
