//! The groups of a node: commands 52 and 55.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::WireError;
use crate::reader::{Fields, Value, int32, text};
use crate::writer::Writer;

/// Request of command 52; the answer has no body. The sets are node ids with commas between.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AddGroupReq {
    /// The group.
    pub group_id: i32,
    /// Voters.
    pub members: String,
    /// Nodes without a vote.
    pub observers: String,
}

/// Answer of command 55; the request has no body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListGroupsResp {
    /// All groups of the node.
    pub group_ids: Vec<i32>,
}

impl AddGroupReq {
    /// Decodes a body.
    pub fn decode(bytes: &[u8]) -> Result<AddGroupReq, WireError> {
        let mut request = AddGroupReq::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => request.group_id = int32(value),
                (2, Value::Bytes(value)) => request.members = text(value),
                (3, Value::Bytes(value)) => request.observers = text(value),
                _ => {}
            }
        }
        Ok(request)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.bytes(2, self.members.as_bytes());
        writer.bytes(3, self.observers.as_bytes());
    }
}

impl ListGroupsResp {
    /// Decodes a body. The count in it says nothing that its elements do not.
    pub fn decode(bytes: &[u8]) -> Result<ListGroupsResp, WireError> {
        let mut list = ListGroupsResp::default();
        for field in Fields::new(bytes) {
            if let (2, Value::Varint(value)) = field? {
                list.group_ids.push(int32(value));
            }
        }
        Ok(list)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.count(1, self.group_ids.len());
        for &group_id in &self.group_ids {
            writer.int32_element(2, group_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_has_a_count() {
        let mut body = Vec::new();
        ListGroupsResp::default().encode(&mut Writer::new(&mut body));
        assert_eq!(body, [0x08, 0]);
    }
}
