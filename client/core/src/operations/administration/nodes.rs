//! Which nodes a node knows.

use wire::{AddNodeReq, Command, ListNodesResp, NodePing, WireError, Writer};

use super::at_node::Administration;
use crate::operation::Access;
use crate::options::NodeId;

/// Which nodes are known?
#[derive(Clone, Copy, Debug)]
pub struct ListNodes;

/// Forget a node.
#[derive(Clone, Copy, Debug)]
pub struct RemoveNode(
    /// The node.
    pub NodeId,
);

/// Let other nodes lead (`true`), or lead again (`false`).
#[derive(Clone, Copy, Debug)]
pub struct Drain(
    /// Which of the two.
    pub bool,
);

impl Administration for Drain {
    const COMMAND: Command = Command::NODE_DRAIN;
    const ACCESS: Access = Access::Read;
    type Reply = ();

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed32(1, u32::from(self.0));
    }

    fn decode(_body: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

impl Administration for ListNodes {
    const COMMAND: Command = Command::RAFT_ADMIN_LIST_NODES;
    const ACCESS: Access = Access::Read;
    type Reply = ListNodesResp;

    fn encode(&self, _writer: &mut Writer<'_>) {}

    fn decode(body: &[u8]) -> Result<ListNodesResp, WireError> {
        ListNodesResp::decode(body)
    }
}

/// Know a node.
impl Administration for AddNodeReq {
    const COMMAND: Command = Command::RAFT_ADMIN_ADD_NODE;
    const ACCESS: Access = Access::Read;
    type Reply = ();

    fn encode(&self, writer: &mut Writer<'_>) {
        AddNodeReq::encode(self, writer);
    }

    fn decode(_body: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

/// Are you the node that I think you are, and do you know me?
impl Administration for NodePing {
    const COMMAND: Command = Command::NODE_PING;
    const ACCESS: Access = Access::Read;
    type Reply = NodePing;

    fn encode(&self, writer: &mut Writer<'_>) {
        NodePing::encode(self, writer);
    }

    fn decode(body: &[u8]) -> Result<NodePing, WireError> {
        NodePing::decode(body)
    }
}

impl Administration for RemoveNode {
    const COMMAND: Command = Command::RAFT_ADMIN_REMOVE_NODE;
    const ACCESS: Access = Access::Read;
    type Reply = ();

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed32(1, self.0.0 as u32);
    }

    fn decode(_body: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}
