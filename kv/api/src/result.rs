//! One element of an answer.

use wire::{BizCode, Fields, Value, WireError, Writer};

use crate::node::{KvNode, bytes_field_length};
use crate::repeated::Element;

/// What became of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KvResult<'a> {
    /// How it ended. A number that this version does not know is read as [`BizCode::Error`].
    pub code: BizCode,
    /// What a read found.
    pub node: Option<KvNode<'a>>,
    /// In a list, the name of the child in its directory; else empty.
    pub name: &'a [u8],
}

impl<'a> KvResult<'a> {
    /// A result that is only a code.
    pub const fn of_code(code: BizCode) -> KvResult<'a> {
        KvResult { code, node: None, name: &[] }
    }

    /// The result of reading one key.
    pub fn of_read(read: Result<KvNode<'a>, BizCode>) -> KvResult<'a> {
        match read {
            Ok(node) => KvResult { code: BizCode::Success, node: Some(node), name: &[] },
            Err(code) => KvResult::of_code(code),
        }
    }

    /// One child in a list.
    pub const fn of_child(name: &'a [u8], node: KvNode<'a>) -> KvResult<'a> {
        KvResult { code: BizCode::Success, node: Some(node), name }
    }

    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<KvResult<'a>, WireError> {
        let mut result = KvResult::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Varint(number)) => {
                    let code = BizCode::from_number(wire::int32(number));
                    result.code = code.unwrap_or(BizCode::Error);
                }
                (2, Value::Bytes(node)) => result.node = Some(KvNode::decode(node)?),
                (3, Value::Bytes(name)) => result.name = name,
                _ => {}
            }
        }
        Ok(result)
    }

    /// Writes the message.
    #[inline]
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.code.number());
        if let Some(node) = &self.node {
            writer.message_with_length(2, node.encoded_length(), |writer| node.encode(writer));
        }
        writer.bytes(3, self.name);
    }

    /// How many bytes [`KvResult::encode`] writes.
    #[inline]
    pub fn encoded_length(&self) -> usize {
        let code = if self.code == BizCode::Success { 0 } else { 2 };
        let node = self.node.map_or(0, |node| {
            let length = node.encoded_length();
            1 + wire::varint_length(length as u64) + length
        });
        code + node + bytes_field_length(self.name)
    }
}

impl<'a> Element<'a> for KvResult<'a> {
    fn from_value(value: Value<'a>) -> Option<KvResult<'a>> {
        match value {
            Value::Bytes(body) => KvResult::decode(body).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::node::NodeFlags;

    #[test]
    fn lengths_are_known_before_writing() {
        let node = KvNode {
            create_index: 1,
            create_time: 0,
            update_index: u64::MAX,
            update_time: 5,
            flags: NodeFlags::LOCK,
            value: &[1; 200],
        };
        let odd = KvNode { flags: NodeFlags(-1), value: &[2; 120], ..node };
        for node in [None, Some(KvNode::default()), Some(node), Some(odd)] {
            for code in BizCode::ALL.iter().copied() {
                for name in [&b""[..], b"name", &[b'n'; 130]] {
                    let result = KvResult { code, node, name };
                    let mut out = Vec::new();
                    result.encode(&mut Writer::new(&mut out));
                    assert_eq!(out.len(), result.encoded_length());
                    assert_eq!(KvResult::decode(&out), Ok(result));
                }
            }
        }
    }

    #[test]
    fn code_of_a_newer_version_is_an_error() {
        let result = KvResult::decode(&[0x08, 99]).expect("a valid message");
        assert_eq!(result.code, BizCode::Error);
    }
}
