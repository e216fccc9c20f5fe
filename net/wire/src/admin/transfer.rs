//! Moving the leadership: commands 44 and 45.

use crate::error::WireError;
use crate::reader::{Fields, Value, int32};
use crate::writer::Writer;

/// Request of command 44, from an administrator to the leader, and of 45, from the old leader to
/// the new one. The answers have no body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransferLeaderReq {
    /// The group.
    pub group_id: i32,
    /// The old leader's term; only in 45.
    pub term: i32,
    /// The node that gives the leadership away.
    pub old_leader_id: i32,
    /// The node that takes it.
    pub new_leader_id: i32,
    /// The old leader's last index; only in 45.
    pub log_index: u64,
}

impl TransferLeaderReq {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<TransferLeaderReq, WireError> {
        let mut request = TransferLeaderReq::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => request.group_id = int32(value),
                (2, Value::Varint(value)) => request.term = int32(value),
                (3, Value::Varint(value)) => request.old_leader_id = int32(value),
                (4, Value::Varint(value)) => request.new_leader_id = int32(value),
                (5, Value::Fixed64(value)) => request.log_index = value,
                _ => {}
            }
        }
        Ok(request)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.int32(2, self.term);
        writer.int32(3, self.old_leader_id);
        writer.int32(4, self.new_leader_id);
        writer.fixed64(5, self.log_index);
    }
}
