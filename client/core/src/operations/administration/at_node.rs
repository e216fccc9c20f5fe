//! A request of administration and the node that it is for.

use alloc::vec::Vec;

use wire::{BizCode, Command, WireError, Writer};

use crate::argument::InvalidArgument;
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation, Target};
use crate::operations::response;
use crate::options::{GroupId, NodeId};

/// Something to ask of one node, whatever its role. The requests with a message of their own are
/// those messages; the group is the one they name, not that of the client.
pub trait Administration {
    /// The number of the request.
    const COMMAND: Command;
    /// Whether its outcome is open when the answer is lost. What does no harm a second time is a
    /// read.
    const ACCESS: Access;
    /// What a successful response says.
    type Reply;

    /// Appends the body of the request.
    fn encode(&self, writer: &mut Writer<'_>);

    /// Reads the body of the response.
    fn decode(body: &[u8]) -> Result<Self::Reply, WireError>;
}

/// Asks this node.
#[derive(Clone, Debug)]
pub struct AtNode<R> {
    /// The node.
    pub node: NodeId,
    /// What it is asked for.
    pub request: R,
}

impl<R: Administration> Operation for AtNode<R> {
    const COMMAND: Command = R::COMMAND;
    const ACCESS: Access = R::ACCESS;
    type Reply = R::Reply;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        Ok(())
    }

    fn encode(&self, _group: GroupId, body: &mut Vec<u8>) {
        self.request.encode(&mut Writer::new(body));
    }

    fn decode(response: Response<'_>) -> Result<R::Reply, Error> {
        match response::code(response)? {
            BizCode::Success => Ok(R::decode(response.body)?),
            code => Err(Error::Refused(code)),
        }
    }
}
