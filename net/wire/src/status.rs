//! The status of a group on one node: answers of the commands 46 and 79.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32, text};
use crate::writer::Writer;

/// Answer of command 46: what a node knows about a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueryStatusResp {
    /// The group.
    pub group_id: i32,
    /// The node that answers.
    pub node_id: i32,
    /// Bits of [`StatusFlag`].
    pub flag: i32,
    /// The term that the node is in.
    pub term: i32,
    /// The leader of that term, 0 or less when unknown.
    pub leader_id: i32,
    /// Last index known to be committed.
    pub commit_index: u64,
    /// Last index applied.
    pub last_applied: u64,
    /// Time since the last apply.
    pub last_apply_time_to_now_ms: u64,
    /// Last index in the log.
    pub last_log_index: u64,
    /// How far applying lies behind.
    pub apply_lag_ms: u64,
    /// Voters.
    pub members: Vec<u32>,
    /// Nodes that get the log without a vote.
    pub observers: Vec<u32>,
    /// Voters of a change that is under way.
    pub prepared_members: Vec<u32>,
    /// Observers of a change that is under way.
    pub prepared_observers: Vec<u32>,
    /// Index of the entry that made the current membership.
    pub last_config_change_index: u64,
    /// What went wrong last, for people.
    pub last_error: String,
    /// The snapshots of the group on the node; only of nodes that tell.
    pub snapshot: SnapshotState,
    /// Whether the node lets others lead; only of nodes that tell.
    pub is_drained: bool,
    /// Where the node stands, for example its datacentre; only of nodes that tell.
    pub zone: String,
}

/// What a node says of a group's snapshots, in fields that other clients skip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SnapshotState {
    /// Index of the last entry in the newest one; 0 when there is none.
    pub index: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// How long ago its newest entry was made, on the clock of the entries.
    pub age_ms: u64,
    /// Whether one is being saved.
    pub is_saving: bool,
    /// Whether one is being received from the leader.
    pub is_receiving: bool,
}

/// Bits of [`QueryStatusResp::flag`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusFlag;

impl StatusFlag {
    /// The group has finished starting.
    pub const INIT_FINISHED: i32 = 1;
    /// The group could not start.
    pub const INIT_FAILED: i32 = 2;
    /// The group has applied an entry of the current term once: it can serve.
    pub const GROUP_READY: i32 = 4;
    /// The node has seen a broken invariant.
    pub const BUG_RECORDED: i32 = 8;
}

/// Answer of command 79: the group's status and the watches of the connection that asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KvStatusResp {
    /// The same as command 46 answers.
    pub raft_server_status: Option<QueryStatusResp>,
    /// Watches of this connection in this group.
    pub watch_count: i32,
}

impl QueryStatusResp {
    /// Decodes a body or nested message.
    pub fn decode(bytes: &[u8]) -> Result<QueryStatusResp, WireError> {
        let mut status = QueryStatusResp::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => status.group_id = int32(value),
                (2, Value::Varint(value)) => status.node_id = int32(value),
                (3, Value::Varint(value)) => status.flag = int32(value),
                (4, Value::Varint(value)) => status.term = int32(value),
                (5, Value::Varint(value)) => status.leader_id = int32(value),
                (6, Value::Fixed64(value)) => status.commit_index = value,
                (7, Value::Fixed64(value)) => status.last_applied = value,
                (8, Value::Fixed64(value)) => status.last_apply_time_to_now_ms = value,
                (9, Value::Fixed64(value)) => status.last_log_index = value,
                (10, Value::Fixed64(value)) => status.apply_lag_ms = value,
                (11, Value::Fixed32(value)) => status.members.push(value),
                (12, Value::Fixed32(value)) => status.observers.push(value),
                (13, Value::Fixed32(value)) => status.prepared_members.push(value),
                (14, Value::Fixed32(value)) => status.prepared_observers.push(value),
                (15, Value::Fixed64(value)) => status.last_config_change_index = value,
                (16, Value::Bytes(value)) => status.last_error = text(value),
                (101, Value::Fixed64(value)) => status.snapshot.index = value,
                (102, Value::Fixed64(value)) => status.snapshot.bytes = value,
                (103, Value::Fixed64(value)) => status.snapshot.age_ms = value,
                (104, Value::Varint(value)) => status.snapshot.is_saving = value != 0,
                (105, Value::Varint(value)) => status.snapshot.is_receiving = value != 0,
                (106, Value::Varint(value)) => status.is_drained = value != 0,
                (107, Value::Bytes(value)) => status.zone = text(value),
                _ => {}
            }
        }
        Ok(status)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.int32(2, self.node_id);
        writer.int32(3, self.flag);
        writer.int32(4, self.term);
        writer.int32(5, self.leader_id);
        writer.fixed64(6, self.commit_index);
        writer.fixed64(7, self.last_applied);
        writer.fixed64(8, self.last_apply_time_to_now_ms);
        writer.fixed64(9, self.last_log_index);
        writer.fixed64(10, self.apply_lag_ms);
        writer.fixed32_elements(11, &self.members);
        writer.fixed32_elements(12, &self.observers);
        writer.fixed32_elements(13, &self.prepared_members);
        writer.fixed32_elements(14, &self.prepared_observers);
        writer.fixed64(15, self.last_config_change_index);
        writer.bytes(16, self.last_error.as_bytes());
        writer.fixed64(101, self.snapshot.index);
        writer.fixed64(102, self.snapshot.bytes);
        writer.fixed64(103, self.snapshot.age_ms);
        writer.int32(104, i32::from(self.snapshot.is_saving));
        writer.int32(105, i32::from(self.snapshot.is_receiving));
        writer.int32(106, i32::from(self.is_drained));
        writer.bytes(107, self.zone.as_bytes());
    }
}

impl KvStatusResp {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<KvStatusResp, WireError> {
        let mut status = KvStatusResp::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Bytes(value)) => {
                    status.raft_server_status = Some(QueryStatusResp::decode(value)?);
                }
                (2, Value::Varint(value)) => status.watch_count = int32(value),
                _ => {}
            }
        }
        Ok(status)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        if let Some(status) = &self.raft_server_status {
            writer.message(1, |writer| status.encode(writer));
        }
        writer.int32(2, self.watch_count);
    }
}
