//! The parts of a stream.
//!
//! ```text
//! head:    0  u32  version of the stream: 2 if the sessions' part follows, else 1
//!          4  u32  bound: no node has this number or a higher one
//!          8  u64  index of the last entry that was applied
//!
//! record:  0  u32  number of the node
//!          4  u32  number of its parent; all ones for the root
//!          8  u32  number of the child of the same parent created before it; all ones for the first
//!         12  u32  length of the value, zero for a directory
//!         16  u16  length of the key, zero for the root
//!         18  u8   marks
//!         19  u8   zero
//!         20  u64  index of the entry that created the node
//!         28  u64  time of that entry
//!         36  u64  index of the entry that updated the node last
//!         44  u64  time of that entry
//!         52  ..   key, value
//!          ..      the countdown of a node that expires: owner u64 u64, index and time of the entry
//!                  that started it u64 u64, how long it runs u64
//!
//! end:     0  u32  all ones
//!          4  u32  zero
//!          8  u64  number of records
//!         16  u64  sum of the hashes of all records' nodes
//! ```

use alloc::vec::Vec;

use crate::lifetime::Lifetime;
use crate::node::{Marks, Node, NodeId};

/// Version of a stream of a group that has never had a session: that of programs which know none.
const VERSION_PLAIN: u32 = 1;
/// Version of a stream with sessions.
const VERSION_SESSIONS: u32 = 2;
pub(super) const HEAD_BYTES: usize = 16;
pub(super) const RECORD_HEAD_BYTES: usize = 52;
pub(super) const END_BYTES: usize = 24;
/// Where a record has its number, an end has this.
pub(super) const END_NUMBER: u32 = u32::MAX;

/// The beginning of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) bound: u32,
    pub(super) applied_index: u64,
    /// Whether the sessions' part stands between the head and the first record.
    pub(super) has_sessions: bool,
}

impl Head {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let version = if self.has_sessions { VERSION_SESSIONS } else { VERSION_PLAIN };
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&self.bound.to_le_bytes());
        out.extend_from_slice(&self.applied_index.to_le_bytes());
    }

    /// The head, or the version that is not known.
    pub(super) fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Head, u32> {
        let mut fields = Fields(bytes);
        let (version, bound) = (fields.u32(), fields.u32());
        let has_sessions = match version {
            VERSION_PLAIN => false,
            VERSION_SESSIONS => true,
            _ => return Err(version),
        };
        Ok(Head { bound, applied_index: fields.u64(), has_sessions })
    }
}

/// What a stream must have held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) hash: u64,
}

impl Sum {
    pub(super) fn add(&mut self, node: &Node) {
        self.count += 1;
        self.hash = self.hash.wrapping_add(crate::state_hash::node_hash(node));
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u64::from(END_NUMBER).to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.hash.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; END_BYTES]) -> Sum {
        let mut fields = Fields(&bytes[8..]);
        Sum { count: fields.u64(), hash: fields.u64() }
    }
}

/// Appends the record of a node.
pub(super) fn encode_node(id: NodeId, node: &Node, out: &mut Vec<u8>) {
    let (key, value) = (node.key(), node.value());
    let mut head = [0; RECORD_HEAD_BYTES];
    put(&mut head, 0, id.0.to_le_bytes());
    put(&mut head, 4, node.parent.0.to_le_bytes());
    put(&mut head, 8, node.previous.0.to_le_bytes());
    let Ok(value_length) = u32::try_from(value.len()) else {
        panic!("a value fits into a log entry");
    };
    put(&mut head, 12, value_length.to_le_bytes());
    put(&mut head, 16, (key.len() as u16).to_le_bytes());
    put(&mut head, 18, [node.marks.state()]);
    put(&mut head, 20, node.create_index.to_le_bytes());
    put(&mut head, 28, node.create_time_ms.to_le_bytes());
    put(&mut head, 36, node.update_index.to_le_bytes());
    put(&mut head, 44, node.update_time_ms.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
    if let Some(lifetime) = node.lifetime() {
        out.extend_from_slice(&lifetime.to_bytes());
    }
}

fn put<const N: usize>(head: &mut [u8; RECORD_HEAD_BYTES], offset: usize, value: [u8; N]) {
    head[offset..offset + N].copy_from_slice(&value);
}

/// The first bytes of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHead {
    pub(super) number: u32,
    parent: u32,
    previous: u32,
    value_length: u32,
    key_length: u16,
    marks: u8,
    create: (u64, u64),
    update: (u64, u64),
}

impl RecordHead {
    pub(super) fn decode(bytes: &[u8; RECORD_HEAD_BYTES]) -> RecordHead {
        let mut fields = Fields(bytes);
        let (number, parent, previous) = (fields.u32(), fields.u32(), fields.u32());
        let (value_length, key_length) = (fields.u32(), fields.u16());
        let [marks, _] = fields.take();
        let create = (fields.u64(), fields.u64());
        let update = (fields.u64(), fields.u64());
        RecordHead { number, parent, previous, value_length, key_length, marks, create, update }
    }

    /// Bytes behind the head.
    pub(super) fn body_bytes(&self) -> usize {
        let lifetime = if self.expires() { Lifetime::BYTES } else { 0 };
        usize::from(self.key_length) + self.value_length as usize + lifetime
    }

    fn expires(&self) -> bool {
        self.marks & Marks::EXPIRES.state() != 0
    }

    /// The node; `None` when the record contradicts itself. `body` is as long as
    /// [`RecordHead::body_bytes`] says.
    pub(super) fn node(&self, body: &[u8]) -> Option<Node> {
        let marks = Marks::of_state(self.marks)?;
        let (key, rest) = body.split_at_checked(usize::from(self.key_length))?;
        let (value, rest) = rest.split_at_checked(self.value_length as usize)?;
        if marks.is_directory() && !value.is_empty() {
            return None;
        }
        let lifetime = match self.expires() {
            true => Some(Lifetime::from_bytes(rest.first_chunk()?)),
            false => None,
        };
        let mut node = Node::new(key, marks, value, lifetime);
        (node.create_index, node.create_time_ms) = self.create;
        (node.update_index, node.update_time_ms) = self.update;
        node.parent = NodeId(self.parent);
        node.previous = NodeId(self.previous);
        Some(node)
    }
}

/// Fields one after the other; the callers hold arrays that are long enough for all of them.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk() else {
            panic!("the parts of a stream have all their fields");
        };
        self.0 = rest;
        *field
    }
}
