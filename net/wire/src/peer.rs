//! What nodes ask each other before they trust each other: commands 40 and 41.

use alloc::string::String;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32, text};
use crate::writer::Writer;

/// Request and answer of command 40: who is at this address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodePing {
    /// The node that sends this message.
    pub local_node_id: i32,
    /// The node that is meant to receive it.
    pub remote_node_id: i32,
    /// A number of the sender's process, made anew at each start; not the one of the handshake.
    pub uuid_high: u64,
    /// Its other half.
    pub uuid_low: u64,
}

/// Request and answer of command 41: whether both nodes see a group in the same way.
///
/// The node sets are `id,host:port;` for each node, with the last `;`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RaftPing {
    /// The group.
    pub group_id: i32,
    /// The node that sends this message.
    pub node_id: i32,
    /// Voters.
    pub members: String,
    /// Nodes without a vote.
    pub observers: String,
    /// Voters of a change that is under way.
    pub prepared_members: String,
    /// Nodes without a vote of a change that is under way.
    pub prepared_observers: String,
}

impl NodePing {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<NodePing, WireError> {
        let mut ping = NodePing::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => ping.local_node_id = int32(value),
                (2, Value::Varint(value)) => ping.remote_node_id = int32(value),
                (3, Value::Fixed64(value)) => ping.uuid_high = value,
                (4, Value::Fixed64(value)) => ping.uuid_low = value,
                _ => {}
            }
        }
        Ok(ping)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.local_node_id);
        writer.int32(2, self.remote_node_id);
        writer.fixed64(3, self.uuid_high);
        writer.fixed64(4, self.uuid_low);
    }
}

impl RaftPing {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<RaftPing, WireError> {
        let mut ping = RaftPing::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => ping.group_id = int32(value),
                (2, Value::Varint(value)) => ping.node_id = int32(value),
                (3, Value::Bytes(value)) => ping.members = text(value),
                (4, Value::Bytes(value)) => ping.observers = text(value),
                (5, Value::Bytes(value)) => ping.prepared_members = text(value),
                (6, Value::Bytes(value)) => ping.prepared_observers = text(value),
                _ => {}
            }
        }
        Ok(ping)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.int32(2, self.node_id);
        writer.bytes(3, self.members.as_bytes());
        writer.bytes(4, self.observers.as_bytes());
        writer.bytes(5, self.prepared_members.as_bytes());
        writer.bytes(6, self.prepared_observers.as_bytes());
    }
}
