//! Which keys a client watches.

use wire::{BizCode, Fields, Value, WireError, WireErrorKind, Writer};

use crate::key::{RootKey, check_client_key};
use crate::repeated::{ByteStrings, Repeated};

/// The most keys that one request may name.
pub const WATCH_KEYS_MAX: i32 = 50_000;

/// Adds and removes watches, or replaces all of them.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct WatchRequest<'a> {
    /// The raft group.
    pub group_id: i32,
    /// Whether exactly these keys are watched afterwards.
    pub sync_all: bool,
    /// How many keys there should be; `keys` has at most so many.
    pub keys_size: i32,
    /// What the client knows of each key: 0 nothing, above 0 the version of this log index, below 0
    /// that the watch ends. At most `keys_size`; missing ones count as 0.
    pub known_indexes: Repeated<'a, i64>,
    /// The keys.
    pub keys: ByteStrings<'a>,
}

impl<'a> WatchRequest<'a> {
    /// A request about these keys, each with what is known of it.
    ///
    /// # Panics
    /// If the two have different lengths, or more than [`WATCH_KEYS_MAX`] elements.
    pub fn new(
        group_id: i32,
        sync_all: bool,
        known_indexes: &'a [i64],
        keys: &'a [&'a [u8]],
    ) -> WatchRequest<'a> {
        assert_eq!(known_indexes.len(), keys.len(), "one index for each key");
        assert!(keys.len() <= WATCH_KEYS_MAX as usize, "no more keys than a server takes");
        let (known_indexes, keys) = (Repeated::new(known_indexes), Repeated::new(keys));
        WatchRequest { group_id, sync_all, keys_size: keys.len() as i32, known_indexes, keys }
    }

    /// Reads a message. The count has to come before what it counts.
    pub fn decode(body: &'a [u8]) -> Result<WatchRequest<'a>, WireError> {
        let mut request = WatchRequest::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(request);
            };
            match field? {
                (1, Value::Varint(value)) => request.group_id = wire::int32(value),
                (2, Value::Varint(value)) => request.sync_all = wire::int32(value) != 0,
                (3, Value::Varint(value)) => request.keys_size = wire::int32(value),
                (4, Value::Fixed64(_)) => request.known_indexes.note(body, start, 4),
                (5, Value::Bytes(_)) => request.keys.note(body, start, 5),
                _ => {}
            }
            let counted = request.known_indexes.len().max(request.keys.len()) as u64;
            let allowed = (0..=WATCH_KEYS_MAX).contains(&request.keys_size);
            if !allowed || counted > request.keys_size as u64 {
                return Err(WireError::new(start, WireErrorKind::Content));
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.int32(2, i32::from(self.sync_all));
        writer.int32(3, self.keys_size);
        for index in self.known_indexes {
            writer.fixed64_element(4, index as u64);
        }
        for key in self.keys {
            writer.bytes_element(5, key);
        }
    }

    /// Why nothing of the request can be done, if so.
    pub fn check(&self) -> Result<(), BizCode> {
        if self.keys_size == 0 && !self.sync_all {
            return Err(BizCode::ClientReqError);
        }
        if self.keys.len() < self.keys_size as usize {
            return Err(BizCode::InvalidKey);
        }
        let valid = |key| check_client_key(key, RootKey::Refused).is_ok();
        if self.keys.iter().all(valid) { Ok(()) } else { Err(BizCode::InvalidKey) }
    }

    /// Each key with what the client knows of it.
    pub fn entries(&self) -> impl Iterator<Item = (&'a [u8], i64)> + use<'a> {
        self.keys.iter().zip(self.known_indexes.iter().chain(core::iter::repeat(0)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn encoded(request: &WatchRequest<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        request.encode(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        let request = WatchRequest::new(3, true, &[0, -1, 77], &[b"a", b"b.c", b"d"]);
        for request in [request, WatchRequest::default()] {
            assert_eq!(WatchRequest::decode(&encoded(&request)), Ok(request));
        }
        let entries = [(&b"a"[..], 0), (b"b.c", -1), (b"d", 77)];
        assert!(request.entries().eq(entries));
    }

    #[test]
    fn count_comes_first_and_binds() {
        let request = WatchRequest::new(0, false, &[1], &[b"a"]);
        let bytes = encoded(&request);
        assert_eq!(bytes[..2], [0x18, 1]);
        assert!(WatchRequest::decode(&bytes[2..]).is_err(), "count absent");
        let late = [&bytes[2..], &bytes[..2]].concat();
        assert!(WatchRequest::decode(&late).is_err(), "count after the keys");
        let more = [&bytes[..], b"\x2a\x01b"].concat();
        assert!(WatchRequest::decode(&more).is_err(), "more keys than counted");
        for size in [-1, i32::MIN, WATCH_KEYS_MAX + 1] {
            let request = WatchRequest { keys_size: size, ..Default::default() };
            assert!(WatchRequest::decode(&encoded(&request)).is_err(), "{size}");
        }
        let request = WatchRequest { keys_size: WATCH_KEYS_MAX, ..Default::default() };
        assert!(WatchRequest::decode(&encoded(&request)).is_ok());
    }

    #[test]
    fn refusals_concern_the_whole_request() {
        let empty = WatchRequest::default();
        assert_eq!(empty.check(), Err(BizCode::ClientReqError));
        assert_eq!(WatchRequest { sync_all: true, ..empty }.check(), Ok(()));
        let fewer = WatchRequest { keys_size: 2, ..WatchRequest::new(0, false, &[0], &[b"a"]) };
        assert_eq!(fewer.check(), Err(BizCode::InvalidKey));
        for (key, valid) in [(&b"a.b"[..], true), (b"", false), (b"a..b", false), (b"a b", false)] {
            let keys = [&b"x"[..], key];
            let request = WatchRequest::new(0, false, &[0, 0], &keys);
            assert_eq!(request.check().is_ok(), valid);
        }
    }

    #[test]
    fn missing_indexes_are_zero() {
        let request = WatchRequest {
            keys_size: 2,
            known_indexes: Repeated::new(&[5]),
            keys: Repeated::new(&[b"a", b"b"]),
            ..Default::default()
        };
        assert!(request.entries().eq([(&b"a"[..], 5), (b"b", 0)]));
    }
}
