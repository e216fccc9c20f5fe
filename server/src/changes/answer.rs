//! Answers with changes.

use kv_api::{WatchEvent, encode_change};
use wire::{ResponseHead, Writer, encode_response};

use super::desk::Reader;

/// An answer gets no further event once it has this many bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// A longer value is left out: no client would take the answer.
pub(super) const VALUE_BYTES_MAX: usize = 4 << 20;
/// What an event has besides key and value, at most.
pub(super) const HEAD_BYTES: usize = 32;

/// Where a request goes on: an index, and how many of its changes have been told.
pub(super) type Next = (u64, u32);

/// The events that a request does not have yet, each with how many of the same index come before
/// it. `events` are those of its keys.
pub(super) fn unseen<'a>(
    reader: &Reader,
    events: impl Iterator<Item = WatchEvent<'a>>,
) -> impl Iterator<Item = (u32, WatchEvent<'a>)> {
    let (from, skip) = (reader.from, reader.skip);
    let mut last = (0, 0);
    let numbered = events.map(move |event| {
        let number = if event.raft_index == last.0 { last.1 + 1 } else { 0 };
        last = (event.raft_index, number);
        (number, event)
    });
    numbered.filter(move |(number, event)| {
        event.raft_index > from || event.raft_index == from && *number >= skip
    })
}

/// Appends the answer to a request: events as far as one answer goes. `next` is where it goes on if
/// all of them fit.
pub(super) fn encode_changes<'a>(
    out: &mut Vec<u8>,
    reader: &Reader,
    events: impl Iterator<Item = WatchEvent<'a>>,
    next: Next,
) {
    let head = ResponseHead::success(reader.caller.command, reader.caller.seq);
    encode_response(out, &head, |writer| {
        let (next_index, skip) = encode_events(writer, unseen(reader, events)).unwrap_or(next);
        writer.fixed64(2, next_index);
        writer.int32(3, i32::try_from(skip).unwrap_or(i32::MAX));
    });
}

/// Returns the first one that did not fit.
fn encode_events<'a>(
    writer: &mut Writer<'_>,
    events: impl Iterator<Item = (u32, WatchEvent<'a>)>,
) -> Option<Next> {
    let mut bytes = 0;
    for (number, event) in events {
        let value = if event.value.len() > VALUE_BYTES_MAX { &[] } else { event.value };
        let size = HEAD_BYTES + event.key.len() + value.len();
        if bytes > 0 && bytes + size > ANSWER_BYTES {
            return Some((event.raft_index, number));
        }
        encode_change(writer, &WatchEvent { value, ..event });
        bytes += size;
    }
    None
}
