//! What administration wants of nodes and groups: requests 50 to 53, 56 and 1104.

use wire::{AddGroupReq, AddNodeReq, Command, WireError, decode_fixed32};

/// An order to the registrar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Make a node known.
    AddNode(AddNodeReq),
    /// Forget a node.
    RemoveNode(i32),
    /// Have a group.
    AddGroup(AddGroupReq),
    /// Have a group no longer.
    RemoveGroup(i32),
    /// Let other nodes lead, or lead again.
    Drain(bool),
    /// Make what was changed durable.
    Sync,
}

impl Order {
    /// Whether a request is such an order.
    pub fn is_one(command: Command) -> bool {
        matches!(
            command,
            Command::RAFT_ADMIN_ADD_NODE
                | Command::RAFT_ADMIN_REMOVE_NODE
                | Command::RAFT_ADMIN_ADD_GROUP
                | Command::RAFT_ADMIN_REMOVE_GROUP
                | Command::RAFT_ADMIN_SYNC_CONFIG
                | Command::NODE_DRAIN
        )
    }

    /// Decodes the body of a request that is one.
    pub fn decode(command: Command, body: &[u8]) -> Result<Order, WireError> {
        Ok(match command {
            Command::RAFT_ADMIN_ADD_NODE => Order::AddNode(AddNodeReq::decode(body)?),
            Command::RAFT_ADMIN_REMOVE_NODE => Order::RemoveNode(decode_fixed32(body)? as i32),
            Command::RAFT_ADMIN_ADD_GROUP => Order::AddGroup(AddGroupReq::decode(body)?),
            Command::RAFT_ADMIN_REMOVE_GROUP => Order::RemoveGroup(decode_fixed32(body)? as i32),
            Command::NODE_DRAIN => Order::Drain(decode_fixed32(body)? != 0),
            _ => Order::Sync,
        })
    }
}
