//! The question: one message for all operations on keys and values.

use wire::{Fields, Value, WireError, WireErrorKind, Writer};

use crate::owner::Owner;
use crate::read_mode::ReadMode;
use crate::repeated::ByteStrings;
use crate::session::{SESSION, SessionStamp};

/// The number of a fencing token in requests and answers, far above those of Dongting, whose
/// clients skip it.
pub(crate) const FENCING_TOKEN: u32 = 102;
const PAGE_BYTES: u32 = 104;
pub(crate) const CURSOR: u32 = 105;

/// A request of a client, the push of a granted lock, and the body of a write in the log.
///
/// Which fields matter depends on the operation. `keys` and `values` have equal lengths or one of
/// them is empty.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct KvRequest<'a> {
    /// The raft group.
    pub group_id: i32,
    /// The key of operations on one node; empty is the root.
    pub key: &'a [u8],
    /// The value to set; for locks lease and identification.
    pub value: &'a [u8],
    /// What compare-and-set compares with; empty stands for a node that does not exist.
    pub expect_value: &'a [u8],
    /// Ignored in what a client sends: the connection knows better.
    pub owner: Option<Owner>,
    /// Time to live, time to wait or lease in milliseconds; in an expiry the ttl index; in a lock
    /// push nanoseconds.
    pub ttl_millis: i64,
    /// The keys of batches.
    pub keys: ByteStrings<'a>,
    /// The values of a batch put, one for each key.
    pub values: ByteStrings<'a>,
    /// What a read must see.
    pub read_mode: ReadMode,
    /// In a lock push, the token of the grant; not part of Dongting's message.
    pub fencing_token: u64,
    /// How much of a list or batch get the client wants at once; 0, and Dongting's clients: all.
    pub page_bytes: i32,
    /// Where the last part of a list ended; empty at its beginning.
    pub cursor: &'a [u8],
    /// Which write of which session it is, if it may be sent again.
    pub session: Option<SessionStamp>,
}

impl<'a> KvRequest<'a> {
    /// Reads a message. Keys and values of different counts are an error of the message.
    #[inline]
    pub fn decode(body: &'a [u8]) -> Result<KvRequest<'a>, WireError> {
        let mut request = KvRequest::default();
        let (mut owner_high, mut owner_low) = (0, 0);
        let (mut read_mode, mut age_max_millis) = (0, 0);
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                break;
            };
            match field? {
                (1, Value::Varint(value)) => request.group_id = wire::int32(value),
                (2, Value::Bytes(value)) => request.key = value,
                (3, Value::Bytes(value)) => request.value = value,
                (4, Value::Bytes(value)) => request.expect_value = value,
                (5, Value::Fixed64(value)) => owner_high = value,
                (6, Value::Fixed64(value)) => owner_low = value,
                (7, Value::Varint(value)) => request.ttl_millis = wire::int64(value),
                (9, Value::Bytes(_)) => request.keys.note(body, start, 9),
                (10, Value::Bytes(_)) => request.values.note(body, start, 10),
                (100, Value::Varint(value)) => read_mode = wire::int32(value),
                (101, Value::Varint(value)) => age_max_millis = wire::int64(value),
                (FENCING_TOKEN, Value::Fixed64(value)) => request.fencing_token = value,
                (PAGE_BYTES, Value::Varint(value)) => request.page_bytes = wire::int32(value),
                (CURSOR, Value::Bytes(value)) => request.cursor = value,
                (SESSION, Value::Bytes(value)) => {
                    request.session = SessionStamp::decode_at(value, start)?;
                }
                _ => {}
            }
        }
        if owner_high != 0 && owner_low != 0 {
            request.owner = Some(Owner { high: owner_high, low: owner_low });
        }
        request.read_mode = ReadMode::of_fields(read_mode, age_max_millis);
        let (keys, values) = (request.keys.len(), request.values.len());
        if keys != values && keys != 0 && values != 0 {
            return Err(WireError::new(body.len(), WireErrorKind::Content));
        }
        Ok(request)
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.bytes(2, self.key);
        writer.bytes(3, self.value);
        writer.bytes(4, self.expect_value);
        if let Some(owner) = self.owner {
            writer.fixed64(5, owner.high);
            writer.fixed64(6, owner.low);
        }
        writer.int64(7, self.ttl_millis);
        writer.int32(8, i32::try_from(self.keys.len()).unwrap_or(i32::MAX));
        for key in self.keys {
            writer.bytes_element(9, key);
        }
        for value in self.values {
            writer.bytes_element(10, value);
        }
        let (read_mode, age_max_millis) = self.read_mode.fields();
        writer.int32(100, read_mode);
        writer.int64(101, age_max_millis);
        writer.fixed64(FENCING_TOKEN, self.fencing_token);
        writer.int32(PAGE_BYTES, self.page_bytes);
        writer.bytes(CURSOR, self.cursor);
        if let Some(session) = &self.session {
            session.encode(writer);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;

    fn encoded(request: &KvRequest<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        request.encode(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        let whole = KvRequest {
            group_id: -3,
            key: b"a.b",
            value: &[7; 300],
            expect_value: b"old",
            owner: Some(Owner { high: 1, low: u64::MAX }),
            ttl_millis: -1,
            keys: ByteStrings::new(&[b"x", b"", b"y"]),
            values: ByteStrings::new(&[b"", b"1", b"2"]),
            read_mode: ReadMode::Stale(Some(Duration::from_millis(700))),
            fencing_token: 77,
            page_bytes: 1 << 20,
            cursor: b"here",
            session: None,
        };
        for request in [whole, KvRequest::default(), KvRequest { key: b"k", ..Default::default() }]
        {
            assert_eq!(KvRequest::decode(&encoded(&request)), Ok(request));
        }
    }

    #[test]
    fn keys_and_values_may_be_mixed_but_must_match_in_number() {
        let bytes = b"\x4a\x01a\x52\x01b\x10\x05\x4a\x01c\x4b";
        let mixed = &bytes[..bytes.len() - 1];
        let error = KvRequest::decode(mixed).expect_err("two keys, one value");
        assert_eq!(error.kind, WireErrorKind::Content);
        assert!(KvRequest::decode(bytes).is_err());
        let mut longer = mixed.to_vec();
        longer.extend_from_slice(b"\x52\x00");
        let request = KvRequest::decode(&longer).expect("two keys, two values");
        assert!(request.keys.iter().eq([&b"a"[..], b"c"]));
        assert!(request.values.iter().eq([&b"b"[..], b""]));
        assert_eq!(request.values.iter().len(), 2);
    }

    #[test]
    fn half_an_owner_is_none() {
        let mut out = Vec::new();
        Writer::new(&mut out).fixed64(5, 9);
        assert_eq!(KvRequest::decode(&out), Ok(KvRequest::default()));
    }

    #[test]
    fn wrong_wire_types_and_unknown_fields_are_skipped() {
        let bytes = [0x08, 7, 0x0a, 1, 9, 0x10, 3, 0x4d, 1, 2, 3, 4, 0xa2, 1, 1, 0];
        let request = KvRequest::decode(&bytes).expect("skipped");
        assert_eq!(request, KvRequest { group_id: 7, ..Default::default() });
    }
}
