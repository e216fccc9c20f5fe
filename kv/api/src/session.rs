//! Sessions: which write of which client a request is, so that it is done once however often it is
//! sent.

use core::num::NonZeroU64;

use wire::{Fields, Value, WireError, WireErrorKind, Writer};

/// The number of the stamp in requests, far above those of Dongting.
pub(crate) const SESSION: u32 = 107;

/// What a write carries that may be sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionStamp {
    /// The session: index of the entry that opened it.
    pub session: u64,
    /// Number of the write in it; a client counts from 1.
    pub sequence: NonZeroU64,
    /// How far below `sequence` the lowest number is whose answer the client still waits for.
    pub span: u32,
    /// What [`SessionStamp::check_of`] says of the client that opened the session: another cluster,
    /// or another past of this one, may have a session with the same number.
    pub check: u32,
}

impl SessionStamp {
    /// Bytes of a stamp.
    pub const BYTES: usize = 24;

    /// The mark of a client, from the lower half of its identity.
    pub const fn check_of(client_low: u64) -> u32 {
        (client_low ^ client_low >> 32) as u32
    }

    /// The lowest number whose answer the client still waits for.
    #[inline]
    pub fn lowest_open(&self) -> u64 {
        // Not below 1: checked when it was decoded.
        self.sequence.get().saturating_sub(u64::from(self.span))
    }

    /// Four little-endian numbers; `None` if they are of no client of ours.
    #[inline]
    pub(crate) fn decode(bytes: &[u8]) -> Option<SessionStamp> {
        let (session, rest) = bytes.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (span, check) = rest.split_first_chunk()?;
        let stamp = SessionStamp {
            session: u64::from_le_bytes(*session),
            sequence: NonZeroU64::new(u64::from_le_bytes(*sequence))?,
            span: u32::from_le_bytes(*span),
            check: u32::from_le_bytes(check.try_into().ok()?),
        };
        (u64::from(stamp.span) < stamp.sequence.get()).then_some(stamp)
    }

    /// The same, for a message that is in error without it.
    #[inline]
    pub(crate) fn decode_at(
        bytes: &[u8],
        offset: usize,
    ) -> Result<Option<SessionStamp>, WireError> {
        match SessionStamp::decode(bytes) {
            Some(stamp) => Ok(Some(stamp)),
            None => Err(WireError::new(offset, WireErrorKind::Content)),
        }
    }

    /// Writes the field: the last one of its message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        let mut bytes = [0; SessionStamp::BYTES];
        bytes[..8].copy_from_slice(&self.session.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.get().to_le_bytes());
        bytes[16..20].copy_from_slice(&self.span.to_le_bytes());
        bytes[20..].copy_from_slice(&self.check.to_le_bytes());
        writer.bytes(SESSION, &bytes);
    }
}

/// How much is remembered of sessions. The leader puts its own limits into the entry that opens one,
/// so that they are the same on all members.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionLimits {
    /// Sessions of a group; beyond it the one that was used least recently ends.
    pub sessions_max: u32,
    /// Numbers that a session may have open at a time.
    pub results_max: u32,
    /// Bytes of all that is remembered in a group; beyond it sessions end in the same order.
    pub bytes_max: u64,
}

/// Opens a session for the client that asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenSession {
    /// The raft group.
    pub group_id: i32,
    /// The leader's limits; what a client sends does not count.
    pub limits: SessionLimits,
}

impl OpenSession {
    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<OpenSession, WireError> {
        let mut request = OpenSession::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Varint(value)) => request.group_id = wire::int32(value),
                (2, Value::Varint(value)) => {
                    request.limits.sessions_max = wire::int32(value) as u32
                }
                (3, Value::Varint(value)) => request.limits.results_max = wire::int32(value) as u32,
                (4, Value::Fixed64(value)) => request.limits.bytes_max = value,
                _ => {}
            }
        }
        Ok(request)
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.int32(2, self.limits.sessions_max as i32);
        writer.int32(3, self.limits.results_max as i32);
        writer.fixed64(4, self.limits.bytes_max);
    }
}

/// The answer to [`OpenSession`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionOpened {
    /// The session: index of its entry.
    pub session: u64,
    /// Numbers that it may have open at a time.
    pub results_max: u32,
}

impl SessionOpened {
    /// Reads a message.
    pub fn decode(body: &[u8]) -> Result<SessionOpened, WireError> {
        let mut opened = SessionOpened::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Fixed64(value)) => opened.session = value,
                (3, Value::Varint(value)) => opened.results_max = wire::int32(value) as u32,
                _ => {}
            }
        }
        Ok(opened)
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.session);
        writer.int32(3, self.results_max as i32);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{KvRequest, TransactionRequest};

    fn stamp(sequence: u64, span: u32) -> Option<SessionStamp> {
        let sequence = NonZeroU64::new(sequence)?;
        Some(SessionStamp { session: 0x0102_0304_0506_0708, sequence, span, check: 9 })
    }

    fn encoded(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn stamps_come_back_from_both_requests() {
        let session = stamp(300, 299);
        let request = KvRequest { group_id: 3, key: b"k", session, ..Default::default() };
        let bytes = encoded(|writer| request.encode(writer));
        assert_eq!(KvRequest::decode(&bytes), Ok(request));
        let request = TransactionRequest { group_id: 3, session, ..Default::default() };
        let bytes = encoded(|writer| request.encode(writer));
        assert_eq!(TransactionRequest::decode(&bytes), Ok(request));
        assert_eq!(session.map(|stamp| stamp.lowest_open()), Some(1));
    }

    #[test]
    fn a_stamp_stands_behind_all_others_and_adds_27_bytes() {
        let request = KvRequest { key: b"k", value: b"v", ..Default::default() };
        let mut bytes = encoded(|writer| request.encode(writer));
        let plain = bytes.len();
        let session = stamp(2, 1);
        session.iter().for_each(|stamp| stamp.encode(&mut Writer::new(&mut bytes)));
        assert_eq!(bytes.len(), plain + 27);
        assert_eq!(&bytes[plain..plain + 11], b"\xda\x06\x18\x08\x07\x06\x05\x04\x03\x02\x01");
        assert_eq!(KvRequest::decode(&bytes), Ok(KvRequest { session, ..request }));
    }

    #[test]
    fn what_is_no_stamp_is_an_error_of_the_message() {
        let wrong = [vec_of(23), vec_of(25), vec_of(0), encoded_stamp(0, 0), encoded_stamp(4, 4)];
        for stamp in wrong {
            let bytes = encoded(|writer| writer.bytes_element(SESSION, &stamp));
            assert!(KvRequest::decode(&bytes).is_err(), "{stamp:?}");
            assert!(TransactionRequest::decode(&bytes).is_err(), "{stamp:?}");
        }
    }

    fn vec_of(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.resize(length, 1);
        bytes
    }

    fn encoded_stamp(sequence: u64, span: u32) -> Vec<u8> {
        let mut bytes = vec_of(8);
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&span.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    #[test]
    fn openings_come_back() {
        let limits = SessionLimits { sessions_max: 7, results_max: 300, bytes_max: 1 << 40 };
        let request = OpenSession { group_id: -2, limits };
        assert_eq!(OpenSession::decode(&encoded(|writer| request.encode(writer))), Ok(request));
        let opened = SessionOpened { session: 12, results_max: 300 };
        assert_eq!(SessionOpened::decode(&encoded(|writer| opened.encode(writer))), Ok(opened));
    }
}
