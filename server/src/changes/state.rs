//! The state of the keys, where it takes the place of changes.
//!
//! It is told in parts, each as it is when it is asked for, and what has changed since the first
//! part is told afterwards: whoever takes all of it in this order has the state of an index at the
//! end, and knows of which one, because each part says how much of the log it has seen.

use kv_api::{ChangesPhase, NodeFlags, WatchEvent, WatchState, encode_change};
use kv_machine::Machine;
use wire::{ResponseHead, Writer, encode_response};

use super::answer::{HEAD_BYTES, VALUE_BYTES_MAX};
use super::keys::Keys;
use crate::caller::Caller;

/// A part gets no further node once it has this many bytes.
const PART_BYTES: usize = 256 << 10;
/// Nor once it has this many nodes.
const PART_NODES: usize = 4096;

/// Where a part begins: which key, and how far below it.
#[derive(Default)]
struct Cursor<'a> {
    key: usize,
    /// Empty at the key itself.
    place: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn decode(bytes: &'a [u8]) -> Option<Cursor<'a>> {
        let (key, place) = bytes.split_first_chunk()?;
        Some(Cursor { key: u32::from_le_bytes(*key) as usize, place })
    }

    fn encode(key: usize, place: &[u8]) -> Vec<u8> {
        [&(key as u32).to_le_bytes()[..], place].concat()
    }
}

/// What a part has.
struct Part {
    bytes: usize,
    nodes: usize,
}

/// Appends the part of the state that begins at the cursor, the first one if that is empty.
/// `from_index` is what the first part has said is next; `applied` is how much of the log the tree
/// has seen, which may end with entries that are none of its own.
pub(super) fn encode_state(
    out: &mut Vec<u8>,
    caller: &Caller,
    tree: &Machine,
    applied: u64,
    keys: &Keys,
    (cursor, from_index): (&[u8], u64),
) {
    let begun = Cursor::decode(cursor);
    let next_index = if begun.is_some() { from_index } else { applied + 1 };
    let head = ResponseHead::success(caller.command, caller.seq);
    encode_response(out, &head, |writer| {
        let next = encode_part(writer, tree, keys, begun.unwrap_or_default());
        let phase = if next.is_some() { ChangesPhase::StatePart } else { ChangesPhase::StateEnd };
        writer.fixed64(2, next_index);
        writer.int32(4, phase as i32);
        writer.bytes(5, &next.unwrap_or_default());
        writer.fixed64(6, applied);
    });
}

/// Returns where the next part begins.
fn encode_part(
    writer: &mut Writer<'_>,
    tree: &Machine,
    keys: &Keys,
    begin: Cursor<'_>,
) -> Option<Vec<u8>> {
    let mut part = Part { bytes: 0, nodes: 0 };
    for (number, key) in keys.iter().enumerate().skip(begin.key) {
        let is_begun = number == begin.key && !begin.place.is_empty();
        let mut walk = match is_begun {
            true => tree.walk_from(key, begin.place),
            false => tree.walk(key),
        };
        if !is_begun && tree.get(key).is_err() {
            let (raft_index, state) = (tree.applied_index(), WatchState::Missing);
            part.encode(writer, &WatchEvent { raft_index, state, key, value: b"" });
        }
        loop {
            if part.is_full()
                && let Some(place) = walk.place()
            {
                return Some(Cursor::encode(number, &place));
            }
            let Some((key, node)) = walk.next() else { break };
            part.nodes += 1;
            let is_directory = node.flags.contains(NodeFlags::DIRECTORY);
            if is_directory && node.flags.contains(NodeFlags::LOCK) || key.is_empty() {
                continue;
            }
            let state = if is_directory { WatchState::Directory } else { WatchState::Value };
            let value = if node.value.len() > VALUE_BYTES_MAX { &[] } else { node.value };
            let raft_index = node.update_index;
            part.encode(writer, &WatchEvent { raft_index, state, key, value });
        }
    }
    None
}

impl Part {
    fn is_full(&self) -> bool {
        self.bytes >= PART_BYTES || self.nodes >= PART_NODES
    }

    fn encode(&mut self, writer: &mut Writer<'_>, event: &WatchEvent<'_>) {
        encode_change(writer, event);
        self.bytes += HEAD_BYTES + event.key.len() + event.value.len();
    }
}
