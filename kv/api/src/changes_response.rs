//! The answer: changes in order, or the state that takes the place of changes that are gone.

use wire::{Fields, Value, WireError, Writer};

use crate::repeated::Repeated;
use crate::watch_notify::WatchEvent;

/// What the events of an answer are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ChangesPhase {
    /// Changes, each once, none left out.
    #[default]
    Changes = 0,
    /// A part of the state; another part follows.
    StatePart = 1,
    /// The last part of the state.
    StateEnd = 2,
}

/// The answer to a [`ChangesRequest`](crate::ChangesRequest).
///
/// Events of the state [`Missing`](crate::WatchState::Missing) say that a node is gone with all
/// that was below it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ChangesResponse<'a> {
    /// In the order in which they happened.
    pub events: Repeated<'a, WatchEvent<'a>>,
    /// What to ask for next. While the state is told, the first index behind its beginning.
    pub next_index: u64,
    /// How many changes of that index are among the events, or were before.
    pub skip: i32,
    /// What they are.
    pub phase: ChangesPhase,
    /// Where the next part of the state begins.
    pub cursor: &'a [u8],
    /// The index at which this part of the state was read: it has everything up to there.
    pub state_index: u64,
}

impl<'a> ChangesResponse<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<ChangesResponse<'a>, WireError> {
        let mut response = ChangesResponse::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(response);
            };
            match field? {
                (1, Value::Bytes(event)) => {
                    WatchEvent::decode(event)?;
                    response.events.note(body, start, 1);
                }
                (2, Value::Fixed64(value)) => response.next_index = value,
                (3, Value::Varint(value)) => response.skip = wire::int32(value),
                (4, Value::Varint(value)) => {
                    response.phase = match wire::int32(value) {
                        0 => ChangesPhase::Changes,
                        2 => ChangesPhase::StateEnd,
                        _ => ChangesPhase::StatePart,
                    };
                }
                (5, Value::Bytes(value)) => response.cursor = value,
                (6, Value::Fixed64(value)) => response.state_index = value,
                _ => {}
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        for event in self.events {
            encode_change(writer, &event);
        }
        writer.fixed64(2, self.next_index);
        writer.int32(3, self.skip);
        writer.int32(4, self.phase as i32);
        writer.bytes(5, self.cursor);
        writer.fixed64(6, self.state_index);
    }
}

/// Writes one event of an answer; the other fields come behind all of them.
pub fn encode_change(writer: &mut Writer<'_>, event: &WatchEvent<'_>) {
    let length = event.encoded_length();
    writer.message_with_length(1, length, |writer| event.encode(writer));
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::watch_notify::WatchState;

    #[test]
    fn what_is_written_is_read_back() {
        let event =
            WatchEvent { raft_index: 1, state: WatchState::Value, key: b"a", value: &[3; 300] };
        let events = [event, WatchEvent::default()];
        for phase in [ChangesPhase::Changes, ChangesPhase::StatePart, ChangesPhase::StateEnd] {
            let response = ChangesResponse {
                next_index: 9,
                skip: 1,
                events: Repeated::new(&events),
                phase,
                cursor: b"c",
                state_index: 12,
            };
            let mut out = Vec::new();
            response.encode(&mut Writer::new(&mut out));
            assert_eq!(ChangesResponse::decode(&out), Ok(response));
            assert!(ChangesResponse::decode(&out[..out.len() - 1]).is_err());
        }
    }
}
