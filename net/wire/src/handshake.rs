//! The first message on every connection, and its answer.

use crate::error::{WireError, WireErrorKind};
use crate::reader::{Fields, Value, int32, int64};
use crate::writer::Writer;

/// Body of command 2, in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Handshake {
    /// Tells the protocol from others; `None` when it was absent, which is accepted.
    pub magic: [Option<u64>; 2],
    /// Not checked by anybody.
    pub major_version: i32,
    /// Not checked by anybody.
    pub minor_version: i32,
    /// Who connects. Required in the request.
    pub process: Option<ProcessId>,
    /// Limits. Required in the answer, if only as an empty message.
    pub config: Option<ConnectionLimits>,
}

/// The uuid of a client or of a node's client side: the same on all its connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ProcessId {
    /// The most significant half.
    pub high: u64,
    /// The least significant half.
    pub low: u64,
}

impl ProcessId {
    /// Whether both halves are 0: nobody is called that.
    pub const fn is_zero(self) -> bool {
        self.high == 0 && self.low == 0
    }
}

/// What one side of a connection tells about its limits; 0 says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConnectionLimits {
    /// Longest packet it takes.
    pub packet_bytes_max: i32,
    /// Longest body it takes.
    pub body_bytes_max: i32,
    /// Requests it takes without having answered them.
    pub in_pending_max: i32,
    /// Their bytes.
    pub in_pending_bytes_max: i64,
    /// Requests the other side may have unanswered.
    pub out_pending_max: i32,
    /// Their bytes.
    pub out_pending_bytes_max: i64,
}

impl Handshake {
    /// The two numbers that a handshake starts with.
    pub const MAGIC: [u64; 2] = [0xae10_9045_1c22_da13, 0x1cd7_d1a3_0a61_935f];

    /// What a connecting side sends.
    pub const fn request(process: ProcessId, limits: ConnectionLimits) -> Handshake {
        Handshake { process: Some(process), ..Handshake::response(limits) }
    }

    /// What the accepting side answers.
    pub const fn response(limits: ConnectionLimits) -> Handshake {
        Handshake {
            magic: [Some(Handshake::MAGIC[0]), Some(Handshake::MAGIC[1])],
            major_version: 1,
            minor_version: 0,
            process: None,
            config: Some(limits),
        }
    }

    /// Decodes a body; wrong magic is an error, absent magic is not.
    pub fn decode(body: &[u8]) -> Result<Handshake, WireError> {
        let mut handshake = Handshake::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Fixed64(value)) => handshake.magic[0] = Some(value),
                (2, Value::Fixed64(value)) => handshake.magic[1] = Some(value),
                (3, Value::Varint(value)) => handshake.major_version = int32(value),
                (4, Value::Varint(value)) => handshake.minor_version = int32(value),
                (5, Value::Bytes(value)) => handshake.process = Some(ProcessId::decode(value)?),
                (8, Value::Bytes(value)) => {
                    handshake.config = Some(ConnectionLimits::decode(value)?);
                }
                _ => {}
            }
        }
        for (found, expected) in handshake.magic.iter().zip(Handshake::MAGIC) {
            if found.is_some_and(|found| found != expected) {
                return Err(WireError::new(0, WireErrorKind::Content));
            }
        }
        Ok(handshake)
    }

    /// Appends the fields.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.magic[0].unwrap_or_default());
        writer.fixed64(2, self.magic[1].unwrap_or_default());
        writer.int32(3, self.major_version);
        writer.int32(4, self.minor_version);
        if let Some(process) = &self.process {
            writer.message(5, |writer| process.encode(writer));
        }
        if let Some(config) = &self.config {
            writer.message(8, |writer| config.encode(writer));
        }
    }
}

impl ProcessId {
    fn decode(bytes: &[u8]) -> Result<ProcessId, WireError> {
        let mut process = ProcessId::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Fixed64(value)) => process.high = value,
                (2, Value::Fixed64(value)) => process.low = value,
                _ => {}
            }
        }
        Ok(process)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.high);
        writer.fixed64(2, self.low);
    }
}

impl ConnectionLimits {
    fn decode(bytes: &[u8]) -> Result<ConnectionLimits, WireError> {
        let mut limits = ConnectionLimits::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Varint(value)) => limits.packet_bytes_max = int32(value),
                (2, Value::Varint(value)) => limits.body_bytes_max = int32(value),
                (3, Value::Varint(value)) => limits.in_pending_max = int32(value),
                (4, Value::Varint(value)) => limits.in_pending_bytes_max = int64(value),
                (5, Value::Varint(value)) => limits.out_pending_max = int32(value),
                (6, Value::Varint(value)) => limits.out_pending_bytes_max = int64(value),
                _ => {}
            }
        }
        Ok(limits)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.packet_bytes_max);
        writer.int32(2, self.body_bytes_max);
        writer.int32(3, self.in_pending_max);
        writer.int64(4, self.in_pending_bytes_max);
        writer.int32(5, self.out_pending_max);
        writer.int64(6, self.out_pending_bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn magic_may_be_absent_but_not_wrong() {
        assert_eq!(Handshake::decode(&[]), Ok(Handshake::default()));
        for half in 0..2 {
            let mut handshake = Handshake::request(ProcessId::default(), Default::default());
            handshake.magic[half] = Some(1);
            let mut body = Vec::new();
            handshake.encode(&mut Writer::new(&mut body));
            let error = Handshake::decode(&body).expect_err("wrong magic");
            assert_eq!(error.kind, WireErrorKind::Content);
        }
    }

    #[test]
    fn an_answer_has_a_config_even_when_it_says_nothing() {
        let mut body = Vec::new();
        Handshake::response(ConnectionLimits::default()).encode(&mut Writer::new(&mut body));
        assert!(body.ends_with(&[0x18, 1, 0x42, 0]));
        assert_eq!(Handshake::decode(&body).map(|h| h.config), Ok(Some(Default::default())));
    }
}
