//! Is there somebody?

use alloc::vec::Vec;

use wire::Command;

use crate::argument::InvalidArgument;
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation, Target};
use crate::options::{GroupId, NodeId};

/// Asks a server to send some bytes back; they are the reply.
#[derive(Clone, Copy, Debug)]
pub struct Ping<'a> {
    /// The server.
    pub node: NodeId,
    /// The bytes; may be empty.
    pub payload: &'a [u8],
}

impl Operation for Ping<'_> {
    const COMMAND: Command = Command::PING;
    const ACCESS: Access = Access::Read;
    type Reply = Vec<u8>;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        Ok(())
    }

    fn encode(&self, _group: GroupId, body: &mut Vec<u8>) {
        body.extend_from_slice(self.payload);
    }

    fn decode(response: Response<'_>) -> Result<Vec<u8>, Error> {
        Ok(response.body.to_vec())
    }
}
