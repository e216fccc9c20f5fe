//! Who is a member of a group, and who leads it. The leader is asked.

use wire::{
    Command, CommitOrAbortReq, PrepareChangeReq, TransferLeaderReq, WireError, Writer,
    decode_fixed64,
};

use super::at_node::Administration;
use crate::operation::Access;

/// Put the prepared members in force.
#[derive(Clone, Copy, Debug)]
pub struct CommitChange(
    /// The group, and what preparing has answered.
    pub CommitOrAbortReq,
);

/// Drop the prepared members.
#[derive(Clone, Copy, Debug)]
pub struct AbortChange(
    /// The group.
    pub CommitOrAbortReq,
);

/// Hand leadership over.
impl Administration for TransferLeaderReq {
    const COMMAND: Command = Command::RAFT_ADMIN_TRANSFER_LEADER;
    const ACCESS: Access = Access::Write;
    type Reply = ();

    fn encode(&self, writer: &mut Writer<'_>) {
        TransferLeaderReq::encode(self, writer);
    }

    fn decode(_body: &[u8]) -> Result<(), WireError> {
        Ok(())
    }
}

/// Prepare a change; the reply is the index of its entry.
impl Administration for PrepareChangeReq {
    const COMMAND: Command = Command::RAFT_ADMIN_PREPARE_CHANGE;
    const ACCESS: Access = Access::Write;
    type Reply = u64;

    fn encode(&self, writer: &mut Writer<'_>) {
        PrepareChangeReq::encode(self, writer);
    }

    fn decode(body: &[u8]) -> Result<u64, WireError> {
        decode_fixed64(body)
    }
}

impl Administration for CommitChange {
    const COMMAND: Command = Command::RAFT_ADMIN_COMMIT_CHANGE;
    const ACCESS: Access = Access::Write;
    type Reply = u64;

    fn encode(&self, writer: &mut Writer<'_>) {
        self.0.encode(writer);
    }

    fn decode(body: &[u8]) -> Result<u64, WireError> {
        decode_fixed64(body)
    }
}

impl Administration for AbortChange {
    const COMMAND: Command = Command::RAFT_ADMIN_ABORT_CHANGE;
    const ACCESS: Access = Access::Write;
    type Reply = u64;

    fn encode(&self, writer: &mut Writer<'_>) {
        self.0.encode(writer);
    }

    fn decode(body: &[u8]) -> Result<u64, WireError> {
        decode_fixed64(body)
    }
}
