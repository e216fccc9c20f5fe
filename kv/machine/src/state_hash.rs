//! One number for the whole state, to compare replicas.

use crate::node::NodeId;
use crate::tree::Tree;

/// Hashes every node in the order of [`Tree::next_in_order`].
///
/// The function is fixed: replicas on other versions and processors get the same number.
pub(crate) fn state_hash(tree: &Tree) -> u64 {
    let mut hash = Hash(0);
    let mut next = Some(NodeId::ROOT);
    while let Some(id) = next {
        let node = &tree.nodes[id];
        hash.bytes(node.key());
        hash.number(u64::from(node.marks.state()));
        hash.number(node.create_index);
        hash.number(node.create_time_ms);
        hash.number(node.update_index);
        hash.number(node.update_time_ms);
        hash.bytes(node.value());
        if let Some(lifetime) = node.lifetime() {
            hash.bytes(&lifetime.to_bytes());
        }
        next = tree.next_in_order(id);
    }
    hash.0
}

/// A running hash of numbers and byte strings.
struct Hash(u64);

impl Hash {
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
