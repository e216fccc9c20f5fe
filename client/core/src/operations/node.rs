//! A node of the tree, as the caller keeps it.

use alloc::vec::Vec;

use kv_api::{KvNode, NodeFlags};

/// What a read tells about one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Log index of the write that created the node; 0 for the root.
    pub create_index: u64,
    /// The leader's wall clock at that write, in milliseconds.
    pub create_time_ms: u64,
    /// Log index of the last write to the node or, for a directory, to anything below it.
    pub update_index: u64,
    /// The leader's wall clock at that write, in milliseconds.
    pub update_time_ms: u64,
    /// What kind of node it is.
    pub flags: NodeFlags,
    /// Empty for directories.
    pub value: Vec<u8>,
}

impl Node {
    /// Whether it has children instead of a value.
    pub fn is_directory(&self) -> bool {
        self.flags.contains(NodeFlags::DIRECTORY)
    }
}

impl From<KvNode<'_>> for Node {
    fn from(node: KvNode<'_>) -> Node {
        Node {
            create_index: node.create_index,
            create_time_ms: node.create_time,
            update_index: node.update_index,
            update_time_ms: node.update_time,
            flags: node.flags,
            value: node.value.to_vec(),
        }
    }
}
