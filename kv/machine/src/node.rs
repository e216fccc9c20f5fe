//! One node in memory: a cache line, and one allocation for everything of variable length.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use kv_api::{KvNode, NodeFlags};

use crate::lifetime::Lifetime;

/// The position of a node in the slab. It is reused after the node was removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    /// The root, which is never removed.
    pub(crate) const ROOT: NodeId = NodeId(0);
    /// No node.
    pub(crate) const NONE: NodeId = NodeId(u32::MAX);

    /// `None` for [`NodeId::NONE`].
    #[inline]
    pub(crate) fn some(self) -> Option<NodeId> {
        if self == NodeId::NONE { None } else { Some(self) }
    }
}

/// What kind of node it is, and what the machine wants to know of it at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Marks(u8);

impl Marks {
    pub(crate) const VALUE: Marks = Marks(0);
    pub(crate) const DIRECTORY: Marks = Marks(1);
    pub(crate) const LOCK: Marks = Marks(2);
    pub(crate) const TEMPORARY: Marks = Marks(4);
    /// Some ancestor is temporary. It is fixed at creation, as nodes do not move.
    pub(crate) const UNDER_TEMPORARY: Marks = Marks(8);
    /// Has a [`Lifetime`].
    pub(crate) const EXPIRES: Marks = Marks(16);
    /// Somebody wants to know of changes. This is no state of the tree.
    pub(crate) const WATCHED: Marks = Marks(32);

    /// What a reader sees of it.
    const VISIBLE: u8 = 7;

    #[inline]
    pub(crate) const fn contains(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline]
    pub(crate) const fn with(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }

    #[inline]
    pub(crate) const fn is_directory(self) -> bool {
        self.contains(Marks::DIRECTORY)
    }

    /// A lock itself, not an entry of one.
    #[inline]
    pub(crate) const fn is_lock_directory(self) -> bool {
        self.contains(Marks::DIRECTORY.with(Marks::LOCK))
    }

    /// All that is state of the tree.
    pub(crate) const fn state(self) -> u8 {
        self.without(Marks::WATCHED).0
    }

    /// The marks of a node that was stored; `None` when they contradict each other.
    pub(crate) fn of_state(state: u8) -> Option<Marks> {
        let known = Marks::EXPIRES.0 * 2 - 1;
        (state <= known).then_some(Marks(state))
    }

    const fn flags(self) -> NodeFlags {
        NodeFlags((self.0 & Marks::VISIBLE) as i32)
    }
}

/// A directory's chain of children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Links {
    pub(crate) first: NodeId,
    pub(crate) last: NodeId,
    pub(crate) count: u32,
}

impl Links {
    const BYTES: usize = 12;
    const EMPTY: Links = Links { first: NodeId::NONE, last: NodeId::NONE, count: 0 };

    fn to_bytes(self) -> [u8; Links::BYTES] {
        let mut bytes = [0; Links::BYTES];
        let numbers = [self.first.0, self.last.0, self.count];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; Links::BYTES]) -> Links {
        let (words, _) = bytes.as_chunks();
        let word = |position: usize| u32::from_le_bytes(words[position]);
        Links { first: NodeId(word(0)), last: NodeId(word(1)), count: word(2) }
    }
}

/// A node of the tree, or a vacant place in the slab.
///
/// `blob` is the key, then the value or a directory's [`Links`], then the [`Lifetime`] of a node
/// that expires. A vacant place has an empty blob and `next` points to the next vacant place.
#[repr(align(64))]
pub(crate) struct Node {
    blob: Box<[u8]>,
    pub(crate) create_index: u64,
    pub(crate) create_time_ms: u64,
    /// Not below the `update_index` of any descendant.
    pub(crate) update_index: u64,
    pub(crate) update_time_ms: u64,
    pub(crate) parent: NodeId,
    /// The child of the same parent that was created before.
    pub(crate) previous: NodeId,
    /// The child of the same parent that was created after.
    pub(crate) next: NodeId,
    key_length: u16,
    pub(crate) marks: Marks,
}

// The budget of memory a node rests on this, and so does the speed: one cache line to update.
const _: () = assert!(size_of::<Node>() == 64);

impl Node {
    /// A node without neighbours, created by nothing yet.
    pub(crate) fn new(key: &[u8], marks: Marks, value: &[u8], lifetime: Option<Lifetime>) -> Node {
        assert!(value.is_empty() || !marks.is_directory(), "a directory has no value");
        assert_eq!(lifetime.is_some(), marks.contains(Marks::EXPIRES), "the mark says so");
        let Ok(key_length) = u16::try_from(key.len()) else {
            panic!("keys are checked before a node is made");
        };
        let links = Links::EMPTY.to_bytes();
        let body = if marks.is_directory() { &links } else { value };
        let trailer = lifetime.map(Lifetime::to_bytes);
        let trailer = trailer.as_ref().map_or(&[][..], |bytes| &bytes[..]);
        let mut blob = Vec::with_capacity(key.len() + body.len() + trailer.len());
        blob.extend_from_slice(key);
        blob.extend_from_slice(body);
        blob.extend_from_slice(trailer);
        Node { blob: blob.into_boxed_slice(), key_length, marks, ..Node::vacant(NodeId::NONE) }
    }

    /// A vacant place.
    pub(crate) fn vacant(next: NodeId) -> Node {
        Node {
            blob: Box::default(),
            create_index: 0,
            create_time_ms: 0,
            update_index: 0,
            update_time_ms: 0,
            parent: NodeId::NONE,
            previous: NodeId::NONE,
            next,
            key_length: 0,
            marks: Marks::VALUE,
        }
    }

    /// Whether this is no node, but a place for one.
    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        self.blob.is_empty()
    }

    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.blob[..usize::from(self.key_length)]
    }

    /// Reads a byte of each cache line behind the node.
    #[inline]
    pub(crate) fn touch(&self) -> u8 {
        self.blob.iter().step_by(64).fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    #[inline]
    pub(crate) fn key_length(&self) -> usize {
        usize::from(self.key_length)
    }

    /// Empty for directories.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        if self.marks.is_directory() { &[] } else { &self.blob[self.body_range()] }
    }

    /// What a reader sees.
    #[inline]
    pub(crate) fn view(&self) -> KvNode<'_> {
        KvNode {
            create_index: self.create_index,
            create_time: self.create_time_ms,
            update_index: self.update_index,
            update_time: self.update_time_ms,
            flags: self.marks.flags(),
            value: self.value(),
        }
    }

    /// Bytes of the allocation behind the node.
    pub(crate) fn blob_bytes(&self) -> usize {
        self.blob.len()
    }

    /// Replaces the value; one of the same length is replaced in place.
    #[inline]
    pub(crate) fn set_value(&mut self, value: &[u8]) {
        assert!(!self.marks.is_directory(), "a directory has no value");
        let body = self.body_range();
        if body.len() == value.len() {
            self.blob[body].copy_from_slice(value);
        } else {
            self.resize_value(value);
        }
    }

    #[inline(never)]
    fn resize_value(&mut self, value: &[u8]) {
        let lifetime = self.lifetime();
        let mut blob = mem::take(&mut self.blob).into_vec();
        blob.truncate(usize::from(self.key_length));
        let trailer = if lifetime.is_some() { Lifetime::BYTES } else { 0 };
        blob.reserve_exact(value.len() + trailer);
        blob.extend_from_slice(value);
        if let Some(lifetime) = lifetime {
            blob.extend_from_slice(&lifetime.to_bytes());
        }
        self.blob = blob.into_boxed_slice();
    }

    /// The children of a directory.
    pub(crate) fn links(&self) -> Links {
        assert!(self.marks.is_directory(), "only directories have children");
        let Some(bytes) = self.blob[self.body_range()].first_chunk() else {
            panic!("a directory has links");
        };
        Links::from_bytes(bytes)
    }

    pub(crate) fn set_links(&mut self, links: Links) {
        assert!(self.marks.is_directory(), "only directories have children");
        let body = self.body_range();
        self.blob[body].copy_from_slice(&links.to_bytes());
    }

    /// When the node expires and whose it is, if it expires.
    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        if !self.marks.contains(Marks::EXPIRES) {
            return None;
        }
        self.blob.last_chunk().map(Lifetime::from_bytes)
    }

    /// Replaces the lifetime of a node that has one.
    pub(crate) fn set_lifetime(&mut self, lifetime: &Lifetime) {
        assert!(self.marks.contains(Marks::EXPIRES), "only what expires has a lifetime");
        let start = self.blob.len() - Lifetime::BYTES;
        self.blob[start..].copy_from_slice(&lifetime.to_bytes());
    }

    #[inline]
    fn body_range(&self) -> core::ops::Range<usize> {
        let trailer = if self.marks.contains(Marks::EXPIRES) { Lifetime::BYTES } else { 0 };
        usize::from(self.key_length)..self.blob.len() - trailer
    }
}

#[cfg(test)]
mod tests {
    use kv_api::Owner;

    use super::*;

    const LIFETIME: Lifetime =
        Lifetime { owner: Owner { high: 1, low: 2 }, ttl_index: 3, start_ms: 4, ttl_ms: u64::MAX };

    #[test]
    fn key_value_and_lifetime_share_one_allocation() {
        let marks = Marks::TEMPORARY.with(Marks::EXPIRES);
        let mut node = Node::new(b"a.b", marks, b"value", Some(LIFETIME));
        for value in [&b"other"[..], b"longer than before", b"s", b""] {
            node.set_value(value);
            assert_eq!((node.key(), node.value()), (&b"a.b"[..], value));
            assert_eq!(node.lifetime(), Some(LIFETIME));
            assert_eq!(node.blob_bytes(), 3 + value.len() + Lifetime::BYTES);
        }
        let renewed = Lifetime { ttl_index: 9, ..LIFETIME };
        node.set_lifetime(&renewed);
        assert_eq!((node.key(), node.lifetime()), (&b"a.b"[..], Some(renewed)));
    }

    #[test]
    fn links_stand_in_the_place_of_the_value() {
        for lifetime in [None, Some(LIFETIME)] {
            let marks = if lifetime.is_some() { Marks::EXPIRES } else { Marks::VALUE };
            let mut node = Node::new(b"dir", marks.with(Marks::DIRECTORY), b"", lifetime);
            assert_eq!(node.links(), Links::EMPTY);
            let links = Links { first: NodeId(7), last: NodeId(u32::MAX - 1), count: 9 };
            node.set_links(links);
            assert_eq!((node.key(), node.links()), (&b"dir"[..], links));
            assert_eq!(node.lifetime(), lifetime);
            assert!(node.value().is_empty());
        }
    }

    #[test]
    fn a_reader_sees_only_the_marks_of_the_protocol() {
        let all = Marks::LOCK.with(Marks::TEMPORARY).with(Marks::UNDER_TEMPORARY);
        let node = Node::new(b"k", all.with(Marks::WATCHED), b"v", None);
        assert_eq!(node.view().flags, NodeFlags(6));
        assert_eq!(node.marks.state(), all.state());
    }
}
