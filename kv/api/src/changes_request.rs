//! The question for every change of some keys from an index on.

use wire::{BizCode, Fields, Value, WireError, Writer};

use crate::key::{RootKey, check_client_key};
use crate::repeated::ByteStrings;

/// The most keys that one request may name.
pub const CHANGES_KEYS_MAX: usize = 1_000;

/// Asks for the changes of some keys and all below them, in the order of the log.
///
/// It is answered at once if something is there to be told, else when something changes, at the
/// latest after `wait_millis`. Not part of Dongting's protocol.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ChangesRequest<'a> {
    /// The raft group.
    pub group_id: i32,
    /// The first index of interest; 0 asks for the state as it is.
    pub from_index: u64,
    /// How many changes of that index the client has already.
    pub skip: i32,
    /// Each stands for itself and all below it; the empty key is the root.
    pub keys: ByteStrings<'a>,
    /// How long to wait for something to tell.
    pub wait_millis: i64,
    /// While the state is being told: where the last answer ended.
    pub cursor: &'a [u8],
}

impl<'a> ChangesRequest<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<ChangesRequest<'a>, WireError> {
        let mut request = ChangesRequest::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(request);
            };
            match field? {
                (1, Value::Varint(value)) => request.group_id = wire::int32(value),
                (2, Value::Fixed64(value)) => request.from_index = value,
                (3, Value::Varint(value)) => request.skip = wire::int32(value),
                (4, Value::Bytes(_)) => request.keys.note(body, start, 4),
                (5, Value::Varint(value)) => request.wait_millis = wire::int64(value),
                (6, Value::Bytes(value)) => request.cursor = value,
                _ => {}
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.fixed64(2, self.from_index);
        writer.int32(3, self.skip);
        for key in self.keys {
            writer.bytes_element(4, key);
        }
        writer.int64(5, self.wait_millis);
        writer.bytes(6, self.cursor);
    }

    /// Why nothing can be told, if so.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn check(&self) -> Result<(), BizCode> {
        let valid = |key| check_client_key(key, RootKey::Allowed).is_ok();
        if !(1..=CHANGES_KEYS_MAX).contains(&self.keys.len()) || self.skip < 0 {
            return Err(BizCode::ClientReqError);
        }
        if self.keys.iter().all(valid) { Ok(()) } else { Err(BizCode::InvalidKey) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let request = ChangesRequest {
            group_id: 3,
            from_index: 7,
            skip: 2,
            keys: ByteStrings::new(&[b"a", b"", b"b.c"]),
            wait_millis: 30_000,
            cursor: b"there",
        };
        for request in [request, ChangesRequest::default()] {
            let mut out = Vec::new();
            request.encode(&mut Writer::new(&mut out));
            assert_eq!(ChangesRequest::decode(&out), Ok(request));
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let ask = |keys| ChangesRequest { keys, ..ChangesRequest::default() }.check();
        assert_eq!(ask(ByteStrings::new(&[])), Err(BizCode::ClientReqError));
        assert_eq!(ask(ByteStrings::new(&[b""])), Ok(()));
        assert_eq!(ask(ByteStrings::new(&[b"a", b"a..b"])), Err(BizCode::InvalidKey));
        let many = [&b"k"[..]; CHANGES_KEYS_MAX + 1];
        assert_eq!(ask(ByteStrings::new(&many)), Err(BizCode::ClientReqError));
    }
}
