//! What changed under a watch, and the client's answer to it.

use wire::{BizCode, Fields, Value, WireError, Writer};

use crate::node::bytes_field_length;
use crate::repeated::{Element, Repeated};

/// The latest state of one watched key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WatchEvent<'a> {
    /// Log index of the change.
    pub raft_index: u64,
    /// What is there now.
    pub state: WatchState,
    /// The watched key.
    pub key: &'a [u8],
    /// The value, for [`WatchState::Value`].
    pub value: &'a [u8],
}

/// What is at a watched key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WatchState {
    /// Nothing.
    #[default]
    Missing = 0,
    /// A value.
    Value = 1,
    /// A directory or a lock.
    Directory = 2,
}

impl WatchState {
    /// The state with this number; an unknown number is read as the state without a value.
    const fn from_number(number: i32) -> WatchState {
        match number {
            1 => WatchState::Value,
            2 => WatchState::Directory,
            _ => WatchState::Missing,
        }
    }
}

impl<'a> WatchEvent<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<WatchEvent<'a>, WireError> {
        let mut event = WatchEvent::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Fixed64(value)) => event.raft_index = value,
                (2, Value::Varint(value)) => {
                    event.state = WatchState::from_number(wire::int32(value));
                }
                (3, Value::Bytes(value)) => event.key = value,
                (4, Value::Bytes(value)) => event.value = value,
                _ => {}
            }
        }
        Ok(event)
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.fixed64(1, self.raft_index);
        writer.int32(2, self.state as i32);
        writer.bytes(3, self.key);
        writer.bytes(4, self.value);
    }

    /// How many bytes [`WatchEvent::encode`] writes.
    pub fn encoded_length(&self) -> usize {
        let index = if self.raft_index == 0 { 0 } else { 9 };
        let state = if self.state == WatchState::Missing { 0 } else { 2 };
        index + state + bytes_field_length(self.key) + bytes_field_length(self.value)
    }
}

impl<'a> Element<'a> for WatchEvent<'a> {
    fn from_value(value: Value<'a>) -> Option<WatchEvent<'a>> {
        match value {
            Value::Bytes(body) => WatchEvent::decode(body).ok(),
            _ => None,
        }
    }
}

/// The server's push: the latest states of some of the watched keys.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct WatchNotifyRequest<'a> {
    /// The raft group.
    pub group_id: i32,
    /// One for each key.
    pub events: Repeated<'a, WatchEvent<'a>>,
}

impl<'a> WatchNotifyRequest<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<WatchNotifyRequest<'a>, WireError> {
        let mut request = WatchNotifyRequest::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(request);
            };
            match field? {
                (1, Value::Varint(value)) => request.group_id = wire::int32(value),
                (3, Value::Bytes(event)) => {
                    WatchEvent::decode(event)?;
                    request.events.note(body, start, 3);
                }
                _ => {}
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        writer.int32(2, i32::try_from(self.events.len()).unwrap_or(i32::MAX));
        for event in self.events {
            let length = event.encoded_length();
            writer.message_with_length(3, length, |writer| event.encode(writer));
        }
    }
}

/// The client's answer: one number for each event, in the same order.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct WatchNotifyResponse<'a> {
    /// 0 for an event that was taken, the number of [`BizCode::RemoveWatch`] for a key that is not
    /// watched any more; others mean that the event has to be sent again.
    pub results: Repeated<'a, i32>,
}

impl<'a> WatchNotifyResponse<'a> {
    /// An event was taken.
    pub const TAKEN: i32 = BizCode::Success.number();
    /// The key is not watched any more.
    pub const REMOVE_WATCH: i32 = BizCode::RemoveWatch.number();

    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<WatchNotifyResponse<'a>, WireError> {
        let mut response = WatchNotifyResponse::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(response);
            };
            if let (1, Value::Varint(_)) = field? {
                response.results.note(body, start, 1);
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        for result in self.results {
            writer.int32_element(1, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn push_is_read_back() {
        let value = [5; 200];
        let events = [
            WatchEvent { raft_index: 1, state: WatchState::Value, key: b"a", value: &value },
            WatchEvent { raft_index: 2, state: WatchState::Directory, key: b"b.c", value: b"" },
            WatchEvent::default(),
        ];
        let request = WatchNotifyRequest { group_id: 4, events: Repeated::new(&events) };
        let mut out = Vec::new();
        request.encode(&mut Writer::new(&mut out));
        assert_eq!(WatchNotifyRequest::decode(&out), Ok(request));
        assert!(WatchNotifyRequest::decode(&out[..out.len() - 1]).is_err());
    }

    #[test]
    fn answer_writes_zeros() {
        let response = WatchNotifyResponse { results: Repeated::new(&[0, 16, 0]) };
        let mut out = Vec::new();
        response.encode(&mut Writer::new(&mut out));
        assert_eq!(out, [8, 0, 8, 16, 8, 0]);
        assert_eq!(WatchNotifyResponse::decode(&out), Ok(response));
    }
}
