//! What a node says first on a connection to another node, and the answer: command 1001.

use alloc::string::String;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32, text};
use crate::writer::Writer;

/// The version of what nodes say to each other that this code speaks and the only one it accepts.
pub const NODE_PROTOCOL_VERSION: i32 = 2;

/// Request of command 1001: who connects, and whom it takes the other side for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeHello {
    /// See [`NODE_PROTOCOL_VERSION`].
    pub version: i32,
    /// The name of the sender's cluster.
    pub cluster: String,
    /// The node that connects.
    pub node_id: i32,
    /// Which life of its disk this is.
    pub incarnation: u64,
    /// The node that it believes to talk to.
    pub receiver_id: i32,
    /// The number of a [`NodeLane`].
    pub lane: i32,
    /// The incarnation under which the receiver has said to know the sender; zero before it has said
    /// so. It takes a life that is new to it only from a sender that has heard of the one before.
    pub known: u64,
}

/// What a connection between two nodes is for: each way has one of both kinds, so that votes and
/// heartbeats never wait behind entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeLane {
    /// Everything without records.
    Control,
    /// Entries and chunks of snapshots.
    Bulk,
}

/// Answer of command 1001. A refusal has a code of the system and a text, and no body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeWelcome {
    /// See [`NODE_PROTOCOL_VERSION`].
    pub version: i32,
    /// The node that answers.
    pub node_id: i32,
    /// Which life of its disk this is.
    pub incarnation: u64,
    /// The node that answers has known the sender under another incarnation before.
    pub is_known_otherwise: bool,
    /// The hello was not taken: it is to be said again, and with this as what is known. Else zero.
    pub known: u64,
}

impl NodeLane {
    /// Both lanes, in the order of their numbers.
    pub const ALL: [NodeLane; 2] = [NodeLane::Control, NodeLane::Bulk];

    /// The number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            NodeLane::Control => 0,
            NodeLane::Bulk => 1,
        }
    }
}

impl NodeHello {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<NodeHello, WireError> {
        let mut hello = NodeHello::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => hello.version = int32(value),
                (2, Value::Bytes(value)) => hello.cluster = text(value),
                (3, Value::Varint(value)) => hello.node_id = int32(value),
                (4, Value::Fixed64(value)) => hello.incarnation = value,
                (5, Value::Varint(value)) => hello.receiver_id = int32(value),
                (6, Value::Varint(value)) => hello.lane = int32(value),
                (7, Value::Fixed64(value)) => hello.known = value,
                _ => {}
            }
        }
        Ok(hello)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.version);
        writer.bytes(2, self.cluster.as_bytes());
        writer.int32(3, self.node_id);
        writer.fixed64(4, self.incarnation);
        writer.int32(5, self.receiver_id);
        writer.int32(6, self.lane);
        writer.fixed64(7, self.known);
    }
}

impl NodeWelcome {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<NodeWelcome, WireError> {
        let mut welcome = NodeWelcome::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => welcome.version = int32(value),
                (2, Value::Varint(value)) => welcome.node_id = int32(value),
                (3, Value::Fixed64(value)) => welcome.incarnation = value,
                (4, Value::Varint(value)) => welcome.is_known_otherwise = value != 0,
                (5, Value::Fixed64(value)) => welcome.known = value,
                _ => {}
            }
        }
        Ok(welcome)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.version);
        writer.int32(2, self.node_id);
        writer.fixed64(3, self.incarnation);
        writer.int32(4, i32::from(self.is_known_otherwise));
        writer.fixed64(5, self.known);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn hello() -> NodeHello {
        NodeHello {
            version: NODE_PROTOCOL_VERSION,
            cluster: "orders".into(),
            node_id: 3,
            incarnation: 0x0102_0304_0506_0708,
            receiver_id: 1,
            lane: NodeLane::Bulk.number(),
            known: 9,
        }
    }

    #[test]
    fn the_bytes_are_frozen() {
        let mut bytes = Vec::new();
        hello().encode(&mut Writer::new(&mut bytes));
        let frozen =
            b"\x08\x02\x12\x06orders\x18\x03\x21\x08\x07\x06\x05\x04\x03\x02\x01\x28\x01\x30\x01\
              \x39\x09\0\0\0\0\0\0\0";
        assert_eq!(bytes, frozen);
        assert_eq!(NodeHello::decode(&bytes), Ok(hello()));

        let welcome = NodeWelcome {
            version: 1,
            node_id: 2,
            incarnation: 5,
            is_known_otherwise: true,
            known: 6,
        };
        let mut bytes = Vec::new();
        welcome.encode(&mut Writer::new(&mut bytes));
        assert_eq!(bytes, b"\x08\x01\x10\x02\x19\x05\0\0\0\0\0\0\0\x20\x01\x29\x06\0\0\0\0\0\0\0");
        assert_eq!(NodeWelcome::decode(&bytes), Ok(welcome));
    }

    #[test]
    fn no_cut_and_no_flip_panics() {
        let mut bytes = Vec::new();
        hello().encode(&mut Writer::new(&mut bytes));
        for cut in 0..bytes.len() {
            let _ = NodeHello::decode(&bytes[..cut]);
            let _ = NodeWelcome::decode(&bytes[..cut]);
        }
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = NodeHello::decode(&bytes);
            let _ = NodeWelcome::decode(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
