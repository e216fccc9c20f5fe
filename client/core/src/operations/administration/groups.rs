//! Which groups a node has, and how they are.

use wire::{
    AddGroupReq, Command, ListGroupsResp, QueryStatusResp, SnapshotsResp, WireError, Writer,
};

use super::at_node::Administration;
use crate::operation::Access;
use crate::options::GroupId;

/// Which groups are here?
#[derive(Clone, Copy, Debug)]
pub struct ListGroups;

/// Have a group no longer.
#[derive(Clone, Copy, Debug)]
pub struct RemoveGroup(
    /// The group.
    pub GroupId,
);

/// How is a group, as the node sees it?
#[derive(Clone, Copy, Debug)]
pub struct StatusOf(
    /// The group.
    pub GroupId,
);

/// Save a snapshot of a group, unless there is one that has everything.
#[derive(Clone, Copy, Debug)]
pub struct SaveSnapshotOf(
    /// The group.
    pub GroupId,
);

impl Administration for SaveSnapshotOf {
    const COMMAND: Command = Command::SNAPSHOT_SAVE;
    const ACCESS: Access = Access::Read;
    type Reply = SnapshotsResp;

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed32(1, self.0.0 as u32);
    }

    fn decode(body: &[u8]) -> Result<SnapshotsResp, WireError> {
        SnapshotsResp::decode(body)
    }
}

impl Administration for ListGroups {
    const COMMAND: Command = Command::RAFT_ADMIN_LIST_GROUPS;
    const ACCESS: Access = Access::Read;
    type Reply = ListGroupsResp;

    fn encode(&self, _writer: &mut Writer<'_>) {}

    fn decode(body: &[u8]) -> Result<ListGroupsResp, WireError> {
        ListGroupsResp::decode(body)
    }
}

/// Have a group. A second time it is refused, so that a lost answer leaves open whether it is there.
impl Administration for AddGroupReq {
    const COMMAND: Command = Command::RAFT_ADMIN_ADD_GROUP;
    const ACCESS: Access = Access::Write;
    type Reply = ();

    fn encode(&self, writer: &mut Writer<'_>) {
        AddGroupReq::encode(self, writer);
    }

    fn decode(_body: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

impl Administration for RemoveGroup {
    const COMMAND: Command = Command::RAFT_ADMIN_REMOVE_GROUP;
    const ACCESS: Access = Access::Read;
    type Reply = ();

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed32(1, self.0.0 as u32);
    }

    fn decode(_body: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

impl Administration for StatusOf {
    const COMMAND: Command = Command::RAFT_QUERY_STATUS;
    const ACCESS: Access = Access::Read;
    type Reply = QueryStatusResp;

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed32(1, self.0.0 as u32);
    }

    fn decode(body: &[u8]) -> Result<QueryStatusResp, WireError> {
        QueryStatusResp::decode(body)
    }
}
