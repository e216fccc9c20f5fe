//! One node of the tree, as a server of the caller's choice has it.

use alloc::vec::Vec;

use kv_api::{KvRequest, ReadMode};
use wire::Command;

use crate::argument::{InvalidArgument, check_key_or_root};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation, Target};
use crate::operations::{Get, Node, response};
use crate::options::{GroupId, NodeId};

/// Reads like [`Get`], from a server that need not lead. Servers of the Java project answer only
/// where they lead.
#[derive(Clone, Copy, Debug)]
pub struct GetFrom<'a> {
    /// Its path.
    pub key: &'a [u8],
    /// The server.
    pub node: NodeId,
    /// What the read must see.
    pub mode: ReadMode,
}

impl Operation for GetFrom<'_> {
    const COMMAND: Command = Command::DTKV_GET;
    const ACCESS: Access = Access::Read;
    type Reply = Option<Node>;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key_or_root(self.key)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let (key, read_mode) = (self.key, self.mode);
        response::encode(group, KvRequest { key, read_mode, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<Option<Node>, Error> {
        Get::decode(response)
    }
}
