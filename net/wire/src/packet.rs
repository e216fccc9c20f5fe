//! The packet: what every frame holds.

use alloc::vec::Vec;

use crate::command::Command;
use crate::error::{WireError, WireErrorKind};
use crate::reader::{Fields, Value, int32};
use crate::writer::{Writer, fill_length};

/// One packet, borrowed from the frame that it was decoded from.
///
/// The codes are numbers here, because a newer peer may send one that [`crate::RespCode`] does not
/// list; `msg` is meant to be UTF-8, and nobody has checked it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packet<'a> {
    /// See [`PacketKind`].
    pub packet_type: i32,
    /// What is asked or answered; positive.
    pub command: Command,
    /// Pairs an answer with its request; counted by the side that sent the request.
    pub seq: i32,
    /// How the system dealt with the request; only in answers.
    pub resp_code: i32,
    /// What the tree says; only in answers.
    pub biz_code: i32,
    /// An explanation for people.
    pub msg: &'a [u8],
    /// What was left of the caller's time when it sent the request. Zero or less: nothing.
    pub timeout_nanos: i64,
    /// The leader's node id, in answers that refuse because of it.
    pub extra: &'a [u8],
    /// The message of the command. An absent one stands for the message with all defaults.
    pub body: Option<&'a [u8]>,
}

/// What a packet's type says about the direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketKind {
    /// Wants an answer. Also every number that is not one of the others.
    Request,
    /// Answers the request with the same seq.
    Response,
    /// Wants no answer.
    OneWay,
}

impl PacketKind {
    /// The number in field 1.
    pub const fn number(self) -> i32 {
        match self {
            PacketKind::Request => 1,
            PacketKind::Response => 2,
            PacketKind::OneWay => 3,
        }
    }
}

impl<'a> Packet<'a> {
    /// Decodes what lies between two length prefixes.
    #[inline]
    pub fn decode(frame: &'a [u8]) -> Result<Packet<'a>, WireError> {
        let mut packet = Packet::default();
        let mut fields = Fields::new(frame);
        while let Some(field) = fields.next() {
            match field? {
                (1, Value::Varint(value)) => packet.packet_type = int32(value),
                (2, Value::Varint(value)) => packet.command = Command(int32(value)),
                (3, Value::Fixed32(value)) => packet.seq = value as i32,
                (4, Value::Varint(value)) => packet.resp_code = int32(value),
                (5, Value::Varint(value)) => packet.biz_code = int32(value),
                (6, Value::Bytes(value)) => packet.msg = value,
                (7, Value::Fixed64(value)) => packet.timeout_nanos = value as i64,
                (8, Value::Bytes(value)) => packet.extra = value,
                (BODY_TAG, Value::Bytes(value)) => {
                    packet.body = Some(value);
                    if fields.position() != frame.len() {
                        return Err(fields.error(WireErrorKind::FieldAfterBody));
                    }
                }
                _ => {}
            }
        }
        if packet.command.0 <= 0 {
            return Err(WireError::new(0, WireErrorKind::Command));
        }
        Ok(packet)
    }

    /// Appends the packet with its length prefix.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_frame(out, |out| {
            let mut writer = Writer::new(out);
            writer.int32(1, self.packet_type);
            writer.int32(2, self.command.0);
            writer.fixed32(3, self.seq as u32);
            writer.int32(4, self.resp_code);
            writer.int32(5, self.biz_code);
            writer.bytes(6, self.msg);
            writer.fixed64(7, self.timeout_nanos as u64);
            writer.bytes(8, self.extra);
            if let Some(body) = self.body {
                writer.bytes_element(BODY_TAG, body);
            }
        });
    }

    /// The direction.
    #[inline]
    pub const fn kind(&self) -> PacketKind {
        match self.packet_type {
            2 => PacketKind::Response,
            3 => PacketKind::OneWay,
            _ => PacketKind::Request,
        }
    }

    /// The bytes of the body; those of an absent body are the ones of the default message: none.
    #[inline]
    pub fn body_bytes(&self) -> &'a [u8] {
        self.body.unwrap_or_default()
    }
}

/// Appends a request or one-way packet. A body without bytes is left out.
#[inline]
pub fn encode_request(out: &mut Vec<u8>, head: &RequestHead, body: impl FnOnce(&mut Writer<'_>)) {
    encode_frame(out, |out| {
        let mut writer = Writer::new(out);
        writer.int32(1, if head.one_way { 3 } else { 1 });
        writer.int32(2, head.command.0);
        writer.fixed32(3, head.seq as u32);
        writer.fixed64(7, head.timeout_nanos as u64);
        encode_body(out, body);
    });
}

/// What stands before the body of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// What is asked.
    pub command: Command,
    /// The sender's counter.
    pub seq: i32,
    /// What is left of the caller's time; a request without any is dropped by the other side.
    pub timeout_nanos: i64,
    /// Whether no answer is wanted.
    pub one_way: bool,
}

/// Appends what `content` appends, behind its length.
#[inline]
pub(crate) fn encode_frame(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    content(out);
    fill_prefix(out, start);
}

/// Writes the frame's length into the four bytes at `start`.
#[inline]
pub(crate) fn fill_prefix(out: &mut [u8], start: usize) {
    let length = (out.len() - start - PREFIX_BYTES) as u32;
    assert!(length <= i32::MAX as u32, "a frame's length is a positive 32-bit number");
    out[start..start + PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[inline]
fn encode_body(out: &mut Vec<u8>, body: impl FnOnce(&mut Writer<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[BODY_KEY, 0]);
    body(&mut Writer::new(out));
    finish_body(out, start);
}

/// Fills in the length of the body whose key is at `start`; takes an empty body back.
#[inline]
pub(crate) fn finish_body(out: &mut Vec<u8>, start: usize) {
    if out.len() == start + 2 {
        out.truncate(start);
    } else {
        fill_length(out, start + 1);
    }
}

/// Bytes of the length before every frame.
pub const PREFIX_BYTES: usize = 4;
/// Key of field 15 with wire type 2.
pub(crate) const BODY_KEY: u8 = 0x7a;
pub(crate) const BODY_TAG: u32 = 15;
