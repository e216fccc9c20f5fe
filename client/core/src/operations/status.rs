//! What a server knows about the group.

use alloc::vec::Vec;

use wire::{BizCode, Command, KvStatusResp, QueryStatusResp, Writer};

use crate::argument::InvalidArgument;
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation, Target};
use crate::operations::response;
use crate::options::{GroupId, NodeId};

/// Asks a server, whatever its role, for its status in the group.
#[derive(Clone, Copy, Debug)]
pub struct QueryStatus {
    /// The server.
    pub node: NodeId,
}

/// Asks a server, whatever its role, for its status in the group and this connection's watches.
#[derive(Clone, Copy, Debug)]
pub struct KvStatus {
    /// The server.
    pub node: NodeId,
}

impl Operation for QueryStatus {
    const COMMAND: Command = Command::RAFT_QUERY_STATUS;
    const ACCESS: Access = Access::Read;
    type Reply = QueryStatusResp;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        Ok(())
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        Writer::new(body).fixed32(1, group.0 as u32);
    }

    fn decode(response: Response<'_>) -> Result<QueryStatusResp, Error> {
        refuse_failure(response)?;
        Ok(QueryStatusResp::decode(response.body)?)
    }
}

impl Operation for KvStatus {
    const COMMAND: Command = Command::DTKV_QUERY_STATUS;
    const ACCESS: Access = Access::Read;
    type Reply = KvStatusResp;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        Ok(())
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        Writer::new(body).fixed32(1, group.0 as u32);
    }

    fn decode(response: Response<'_>) -> Result<KvStatusResp, Error> {
        refuse_failure(response)?;
        Ok(KvStatusResp::decode(response.body)?)
    }
}

fn refuse_failure(response: Response<'_>) -> Result<(), Error> {
    match response::code(response)? {
        BizCode::Success => Ok(()),
        code => Err(Error::Refused(code)),
    }
}
