//! Fetches the memory that the next entries need, for many of them at once.

use core::hint::black_box;

use kv_api::Payload;

use crate::index::KeyHash;
use crate::machine::Machine;
use crate::node::NodeId;

/// Entries looked at together; more find no room in the queues of a core.
const LANES: usize = 32;

impl Machine {
    /// Reads what the entries with these payloads will read and write, as far as it is there.
    ///
    /// To apply an entry takes a chain of places in memory: one of the hash table says where the
    /// node is, and the node where its key and value are. One entry alone waits for each link of
    /// the chain in turn. Here each link is read for all entries before the next one, so that the
    /// core waits for many of them at the same time (group prefetching; Chen, Ailamaki, Gibbons and
    /// Mowry, "Improving Hash Join Performance through Prefetching", 2004, section 4).
    pub fn read_ahead<'a>(&self, payloads: impl Iterator<Item = &'a [u8]>) {
        let mut hashes = [KeyHash::default(); LANES];
        let mut count = 0;
        for (hash, key) in hashes.iter_mut().zip(payloads.filter_map(Payload::peek_key)) {
            *hash = self.tree.index.hash(key);
            count += 1;
        }
        let mut nodes = [NodeId::ROOT; LANES];
        for (node, hash) in nodes.iter_mut().zip(&hashes[..count]) {
            *node = self.tree.index.guess(*hash).unwrap_or(NodeId::ROOT);
        }
        let touched = nodes[..count].iter().map(|node| self.tree.nodes[*node].touch());
        black_box(touched.fold(0, u8::wrapping_add));
    }
}
