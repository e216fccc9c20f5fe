//! Changing the members of a group: commands 47, 48 and 49.

use alloc::vec::Vec;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32};
use crate::writer::Writer;

/// Request of command 47; the answer is the index of the entry that prepares the change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PrepareChangeReq {
    /// The group.
    pub group_id: i32,
    /// Voters now.
    pub members: Vec<u32>,
    /// Nodes without a vote now.
    pub observers: Vec<u32>,
    /// Voters afterwards.
    pub prepared_members: Vec<u32>,
    /// Nodes without a vote afterwards.
    pub prepared_observers: Vec<u32>,
}

/// Request of the commands 48 and 49; the answer is the index of the entry that ends the change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CommitOrAbortReq {
    /// The group.
    pub group_id: i32,
    /// What command 47 answered; not used by 49.
    pub prepare_index: u64,
}

impl PrepareChangeReq {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<PrepareChangeReq, WireError> {
        let mut request = PrepareChangeReq::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => request.group_id = int32(value),
                (2, Value::Fixed32(value)) => request.members.push(value),
                (3, Value::Fixed32(value)) => request.observers.push(value),
                (4, Value::Fixed32(value)) => request.prepared_members.push(value),
                (5, Value::Fixed32(value)) => request.prepared_observers.push(value),
                _ => {}
            }
        }
        Ok(request)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.fixed32_elements(2, &self.members);
        writer.fixed32_elements(3, &self.observers);
        writer.fixed32_elements(4, &self.prepared_members);
        writer.fixed32_elements(5, &self.prepared_observers);
    }
}

impl CommitOrAbortReq {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<CommitOrAbortReq, WireError> {
        let mut request = CommitOrAbortReq::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => request.group_id = int32(value),
                (2, Value::Fixed64(value)) => request.prepare_index = value,
                _ => {}
            }
        }
        Ok(request)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.fixed64(2, self.prepare_index);
    }
}
