//! The nodes that a node knows: commands 50 and 54.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32, text};
use crate::writer::Writer;

/// A node and the address of its replicate port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RaftNode {
    /// The node.
    pub node_id: i32,
    /// Name or address of its machine.
    pub host: String,
    /// Its replicate port.
    pub port: i32,
}

/// Request of command 50; the answer has no body.
pub type AddNodeReq = RaftNode;

/// Answer of command 54; the request has no body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListNodesResp {
    /// All nodes known, by their ids.
    pub nodes: Vec<RaftNode>,
}

impl RaftNode {
    /// Decodes a body or nested message.
    pub fn decode(bytes: &[u8]) -> Result<RaftNode, WireError> {
        let mut node = RaftNode::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => node.node_id = int32(value),
                (2, Value::Bytes(value)) => node.host = text(value),
                (3, Value::Varint(value)) => node.port = int32(value),
                _ => {}
            }
        }
        Ok(node)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.node_id);
        writer.bytes(2, self.host.as_bytes());
        writer.int32(3, self.port);
    }
}

impl ListNodesResp {
    /// Decodes a body. The count in it says nothing that its elements do not.
    pub fn decode(bytes: &[u8]) -> Result<ListNodesResp, WireError> {
        let mut list = ListNodesResp::default();
        for field in Fields::new(bytes) {
            if let (2, Value::Bytes(value)) = field? {
                list.nodes.push(RaftNode::decode(value)?);
            }
        }
        Ok(list)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.count(1, self.nodes.len());
        for node in &self.nodes {
            writer.message(2, |writer| node.encode(writer));
        }
    }
}
