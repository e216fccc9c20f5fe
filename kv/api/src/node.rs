//! What a read tells about one node.

use wire::{Fields, Value, WireError, Writer};

/// A node of the tree, as an answer shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KvNode<'a> {
    /// Log index of the write that created the node; 0 for the root.
    pub create_index: u64,
    /// The leader's wall clock at that write, in milliseconds.
    pub create_time: u64,
    /// Log index of the last write to the node or, for a directory, to anything below it.
    pub update_index: u64,
    /// The leader's wall clock at that write, in milliseconds.
    pub update_time: u64,
    /// What kind of node it is.
    pub flags: NodeFlags,
    /// Empty for directories.
    pub value: &'a [u8],
}

/// The kind of a node, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeFlags(pub i32);

impl NodeFlags {
    /// Has children instead of a value.
    pub const DIRECTORY: NodeFlags = NodeFlags(1);
    /// A lock, or with the bit of a directory missing an entry of a lock.
    pub const LOCK: NodeFlags = NodeFlags(2);
    /// Expires; in a lock, an entry that could wait when it was made.
    pub const TEMPORARY: NodeFlags = NodeFlags(4);

    /// Whether all bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: NodeFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl<'a> KvNode<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<KvNode<'a>, WireError> {
        let mut node = KvNode::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Fixed64(value)) => node.create_index = value,
                (2, Value::Fixed64(value)) => node.create_time = value,
                (3, Value::Fixed64(value)) => node.update_index = value,
                (4, Value::Fixed64(value)) => node.update_time = value,
                (5, Value::Varint(value)) => node.flags = NodeFlags(wire::int32(value)),
                (15, Value::Bytes(value)) => node.value = value,
                _ => {}
            }
        }
        Ok(node)
    }

    /// Writes the message.
    #[inline]
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.create_index);
        writer.fixed64(2, self.create_time);
        writer.fixed64(3, self.update_index);
        writer.fixed64(4, self.update_time);
        writer.int32(5, self.flags.0);
        writer.bytes(15, self.value);
    }

    /// How many bytes [`KvNode::encode`] writes.
    #[inline]
    pub fn encoded_length(&self) -> usize {
        let numbers = [self.create_index, self.create_time, self.update_index, self.update_time];
        let numbers = numbers.iter().filter(|&&number| number != 0).count();
        let flags = match self.flags.0 {
            0 => 0,
            flags => 1 + wire::varint_length(i64::from(flags) as u64),
        };
        9 * numbers + flags + bytes_field_length(self.value)
    }
}

/// The length of a singular field of bytes whose tag is below 16.
#[inline]
pub(crate) fn bytes_field_length(value: &[u8]) -> usize {
    match value.len() {
        0 => 0,
        length => 1 + wire::varint_length(length as u64) + length,
    }
}
