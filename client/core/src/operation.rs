//! What every operation says about itself.

use alloc::vec::Vec;
use core::time::Duration;

use wire::Command;

use crate::argument::InvalidArgument;
use crate::completion::Response;
use crate::error::Error;
use crate::options::{GroupId, NodeId};

/// Something that can be asked of a server, with the type of its reply.
///
/// The types of [`crate::operations`] implement it; a driver takes any of them.
pub trait Operation {
    /// The number of the request.
    const COMMAND: Command;
    /// Whether it changes anything.
    const ACCESS: Access;
    /// What a successful response says.
    type Reply;

    /// Who has to answer.
    #[inline]
    fn target(&self) -> Target {
        Target::Leader
    }

    /// How long the server may take on purpose; it comes on top of the time that a call has.
    #[inline]
    fn takes(&self) -> Duration {
        Duration::ZERO
    }

    /// Refuses what no server would accept.
    fn check(&self) -> Result<(), InvalidArgument>;

    /// Appends the body of the request.
    fn encode(&self, group: GroupId, body: &mut Vec<u8>);

    /// Reads the response.
    fn decode(response: Response<'_>) -> Result<Self::Reply, Error>;
}

/// Whether an operation changes anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// No: it may always be repeated.
    Read,
    /// Yes: if its answer is lost, its outcome is unknown.
    Write,
}

/// Who answers an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The leader of the group, whoever that is.
    Leader,
    /// This server, whatever its role.
    Node(NodeId),
}
