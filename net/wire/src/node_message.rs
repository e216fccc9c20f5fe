//! The envelope of what raft groups say to each other: command 1002, one-way.
//!
//! The body is not a protobuf message: `group i32 | kind u8 | content`, little-endian. The content
//! of a raft message is its own encoding and the records that belong to it; here it is bytes.

use alloc::vec::Vec;

use crate::command::Command;
use crate::packet::{BODY_TAG, PacketKind, encode_frame};
use crate::writer::Writer;

/// A message for a group, borrowed from the body that it was decoded from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeMessage<'a> {
    /// The group, the same number on both nodes.
    pub group_id: i32,
    /// What the content is; the nodes' business.
    pub kind: u8,
    /// The message, and what belongs to it.
    pub content: &'a [u8],
}

/// Bytes before the content.
const HEAD_BYTES: usize = 5;
/// The packets need no answer, but a packet whose time is over is dropped by its receiver.
const TIMEOUT_NANOS: u64 = 60_000_000_000;

impl<'a> NodeMessage<'a> {
    /// Decodes a body; `None` when it is too short to be one.
    #[inline]
    pub fn decode(body: &'a [u8]) -> Option<NodeMessage<'a>> {
        let (head, content) = body.split_first_chunk::<HEAD_BYTES>()?;
        let [g0, g1, g2, g3, kind] = *head;
        Some(NodeMessage { group_id: i32::from_le_bytes([g0, g1, g2, g3]), kind, content })
    }
}

/// Appends a packet with a message; the content is `message` and `records`, each copied once.
pub fn encode_node_message(
    out: &mut Vec<u8>,
    group_id: i32,
    kind: u8,
    message: &[u8],
    records: &[u8],
) {
    encode_frame(out, |out| {
        let mut writer = Writer::new(out);
        writer.int32(1, PacketKind::OneWay.number());
        writer.int32(2, Command::NODE_MESSAGE.0);
        writer.fixed64(7, TIMEOUT_NANOS);
        let length = HEAD_BYTES + message.len() + records.len();
        writer.message_with_length(BODY_TAG, length, |writer| {
            writer.raw(&group_id.to_le_bytes());
            writer.raw(&[kind]);
            writer.raw(message);
            writer.raw(records);
        });
    });
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::packet::Packet;
    use crate::splitter::Splitter;

    #[test]
    fn comes_back_as_it_was() {
        for length in [0, 1, 121, 122, 123, 20_000] {
            let records = vec![7; length];
            let mut out = Vec::new();
            encode_node_message(&mut out, -2, 9, b"says", &records);
            let (frame, consumed) =
                Splitter::new(1 << 20).split(&out).ok().flatten().expect("a whole frame");
            assert_eq!(consumed, out.len());
            let packet = Packet::decode(frame).expect("a packet");
            assert_eq!(
                (packet.kind(), packet.command),
                (PacketKind::OneWay, Command::NODE_MESSAGE)
            );
            assert!(packet.timeout_nanos > 0);
            let message = NodeMessage::decode(packet.body_bytes()).expect("a message");
            assert_eq!((message.group_id, message.kind), (-2, 9));
            assert_eq!(message.content, [b"says".as_slice(), &records].concat());
        }
    }

    #[test]
    fn the_bytes_are_frozen() {
        let mut out = Vec::new();
        encode_node_message(&mut out, 258, 0, b"m", b"r");
        let frozen =
            b"\0\0\0\x17\x08\x03\x10\xea\x07\x39\0\x58\x47\xf8\x0d\0\0\0\x7a\x07\x02\x01\0\0\0mr";
        assert_eq!(out, frozen);
    }

    #[test]
    fn a_cut_head_is_none() {
        for length in 0..HEAD_BYTES {
            assert_eq!(NodeMessage::decode(&vec![0; length]), None);
        }
    }
}
