//! The snapshots of a group on one server, asked on its port for administration.

use alloc::vec::Vec;

use wire::{BizCode, Command, SnapshotsResp, Writer};

use crate::argument::InvalidArgument;
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation, Target};
use crate::operations::response;
use crate::options::{GroupId, NodeId};

/// Has a server save a snapshot of the group. It is saved even if nobody waits for it any more; to
/// ask again does no harm.
#[derive(Clone, Copy, Debug)]
pub struct SaveSnapshot {
    /// The server.
    pub node: NodeId,
}

/// Asks a server for its snapshots of the group.
#[derive(Clone, Copy, Debug)]
pub struct ListSnapshots {
    /// The server.
    pub node: NodeId,
}

impl Operation for SaveSnapshot {
    const COMMAND: Command = Command::SNAPSHOT_SAVE;
    const ACCESS: Access = Access::Read;
    type Reply = SnapshotsResp;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        Ok(())
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        Writer::new(body).fixed32(1, group.0 as u32);
    }

    fn decode(response: Response<'_>) -> Result<SnapshotsResp, Error> {
        snapshots(response)
    }
}

impl Operation for ListSnapshots {
    const COMMAND: Command = Command::SNAPSHOT_LIST;
    const ACCESS: Access = Access::Read;
    type Reply = SnapshotsResp;

    fn target(&self) -> Target {
        Target::Node(self.node)
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        Ok(())
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        Writer::new(body).fixed32(1, group.0 as u32);
    }

    fn decode(response: Response<'_>) -> Result<SnapshotsResp, Error> {
        snapshots(response)
    }
}

fn snapshots(response: Response<'_>) -> Result<SnapshotsResp, Error> {
    match response::code(response)? {
        BizCode::Success => Ok(SnapshotsResp::decode(response.body)?),
        code => Err(Error::Refused(code)),
    }
}
