//! The tree: what is where, and who its ancestors are. It knows no operation and refuses nothing.

use core::hint::black_box;

use planted::{Bug, is_on};

use crate::deadlines::Deadlines;
use crate::index::{KeyHash, KeyIndex};
use crate::lifetime::Lifetime;
use crate::node::{Marks, Node, NodeId};
use crate::slab::Slab;
use crate::stamp::Stamp;
use crate::watched::Watched;

/// All nodes, found by key and by position.
///
/// Invariants: every node but the root has a parent that is a directory and lists it among its
/// children, in the order of creation; every node but the root is in the index under its key; a
/// directory was updated by the last entry that changed anything below it; the deadlines are those
/// of the nodes that expire.
pub(crate) struct Tree {
    pub(crate) nodes: Slab,
    pub(crate) index: KeyIndex,
    pub(crate) deadlines: Deadlines,
    pub(crate) watched: Watched,
    blob_bytes: usize,
}

/// What a new node is.
pub(crate) struct NewNode<'a> {
    pub(crate) parent: NodeId,
    pub(crate) key: &'a [u8],
    /// Marks that follow from the parent or from the lifetime are added.
    pub(crate) marks: Marks,
    /// Empty for a directory.
    pub(crate) value: &'a [u8],
    pub(crate) lifetime: Option<Lifetime>,
}

impl Tree {
    /// A tree of the root alone.
    pub(crate) fn new(hash_seed: u64) -> Tree {
        let mut tree = Tree::empty(hash_seed);
        let root = Node::new(b"", Marks::DIRECTORY, b"", None);
        tree.blob_bytes += root.blob_bytes();
        assert_eq!(tree.nodes.insert(root), NodeId::ROOT, "the first node is the root");
        tree
    }

    /// A tree without even a root, to be filled by [`Tree::place`].
    pub(crate) fn empty(hash_seed: u64) -> Tree {
        Tree {
            nodes: Slab::new(),
            index: KeyIndex::new(hash_seed),
            deadlines: Deadlines::new(),
            watched: Watched::new(),
            blob_bytes: 0,
        }
    }

    /// Puts a node that was stored back where it was, without the chain of its parent's children.
    /// Returns the hash of its key, for [`Tree::index_placed`]; `None` if the place is taken, or only
    /// the root may have such a key.
    pub(crate) fn place(&mut self, id: NodeId, node: Node) -> Option<KeyHash> {
        let is_wrong = id != NodeId::ROOT && node.key().is_empty();
        if is_wrong || self.nodes.get(id).is_some() {
            return None;
        }
        if let Some(lifetime) = node.lifetime() {
            self.deadlines.insert(&lifetime, id);
        }
        let hash = self.index.hash(node.key());
        self.blob_bytes += node.blob_bytes();
        self.nodes.place(id, node);
        Some(hash)
    }

    /// Lets nodes be found that were placed; the root is not among them. Returns one whose key is not
    /// its own alone, if there is one.
    pub(crate) fn index_placed(&mut self, placed: &[(NodeId, KeyHash)]) -> Option<NodeId> {
        // All places of the table are read before the first one is needed, as in `read_ahead.rs`.
        for (_, hash) in placed {
            black_box(self.index.guess(*hash));
        }
        placed.iter().find_map(|&(id, hash)| {
            let nodes = &self.nodes;
            let is_same = |other: NodeId| nodes[other].key() == nodes[id].key();
            if self.index.find(hash, is_same).is_some() {
                return Some(id);
            }
            self.index.insert(hash, id);
            None
        })
    }

    /// The node with this key; the empty key is the root's.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Option<NodeId> {
        if key.is_empty() {
            return Some(NodeId::ROOT);
        }
        let nodes = &self.nodes;
        self.index.find(self.index.hash(key), |id| nodes[id].key() == key)
    }

    /// Adds a node at the end of its parent's children. The key is free and lies directly below the
    /// parent, which is a directory.
    pub(crate) fn insert(&mut self, new: NewNode<'_>, stamp: Stamp) -> NodeId {
        let parent_marks = self.nodes[new.parent].marks;
        assert!(parent_marks.is_directory(), "only directories have children");
        let mut marks = new.marks;
        if parent_marks.contains(Marks::TEMPORARY) || parent_marks.contains(Marks::UNDER_TEMPORARY)
        {
            marks = marks.with(Marks::UNDER_TEMPORARY);
        }
        if new.lifetime.is_some() {
            marks = marks.with(Marks::EXPIRES);
        }
        if self.watched.created(new.key) {
            marks = marks.with(Marks::WATCHED);
        }
        let mut node = Node::new(new.key, marks, new.value, new.lifetime);
        node.create_index = stamp.index;
        node.create_time_ms = stamp.time_ms;
        node.update_index = stamp.index;
        node.update_time_ms = stamp.time_ms;
        self.blob_bytes += node.blob_bytes();
        let id = self.nodes.insert(node);
        self.index.insert(self.index.hash(new.key), id);
        if let Some(lifetime) = new.lifetime {
            self.deadlines.insert(&lifetime, id);
        }
        self.append_child(new.parent, id);
        self.touch(new.parent, stamp);
        id
    }

    /// Replaces the value of a value node.
    #[inline]
    pub(crate) fn overwrite(&mut self, id: NodeId, value: &[u8], stamp: Stamp) {
        let node = &mut self.nodes[id];
        self.blob_bytes -= node.blob_bytes();
        node.set_value(value);
        self.blob_bytes += node.blob_bytes();
        if is_on(Bug::OverwriteUnnoticed) {
            node.update_index = stamp.index;
            return;
        }
        self.touch(id, stamp);
    }

    /// Restarts the countdown of a node that expires. This is no update of the node.
    pub(crate) fn renew(&mut self, id: NodeId, lifetime: &Lifetime) {
        let node = &mut self.nodes[id];
        let Some(old) = node.lifetime() else {
            panic!("only what expires is renewed");
        };
        node.set_lifetime(lifetime);
        self.deadlines.remove(&old, id);
        self.deadlines.insert(lifetime, id);
    }

    /// Removes a node without children that is not the root.
    pub(crate) fn remove(&mut self, id: NodeId, stamp: Stamp) {
        assert!(!self.has_children(id), "children have to go first");
        let hash = self.index.hash(self.nodes[id].key());
        self.index.remove(hash, id);
        let node = self.nodes.remove(id);
        self.blob_bytes -= node.blob_bytes();
        self.unlink(&node);
        if let Some(lifetime) = node.lifetime() {
            self.deadlines.remove(&lifetime, id);
        }
        if node.marks.contains(Marks::WATCHED) && !is_on(Bug::RemovalUntold) {
            self.watched.removed(node.key(), stamp.index);
        }
        if is_on(Bug::RemovalUnnoticed) {
            return;
        }
        self.touch(node.parent, stamp);
    }

    /// Removes a node and all below it, the deepest first.
    pub(crate) fn remove_subtree(&mut self, id: NodeId, stamp: Stamp) {
        let mut next = self.deepest_first(id);
        while next != id {
            let current = next;
            let node = &self.nodes[current];
            next = match node.next.some() {
                Some(sibling) => self.deepest_first(sibling),
                None => node.parent,
            };
            self.remove(current, stamp);
        }
        self.remove(id, stamp);
    }

    /// Updates a node and all its ancestors.
    ///
    /// It stops at one that the same entry has updated already: its ancestors are as well.
    #[inline]
    fn touch(&mut self, mut id: NodeId, stamp: Stamp) {
        loop {
            let node = &mut self.nodes[id];
            if node.update_index == stamp.index {
                return;
            }
            node.update_index = stamp.index;
            node.update_time_ms = stamp.time_ms;
            if node.marks.contains(Marks::WATCHED) {
                self.watched.changed(node.key());
            }
            if id == NodeId::ROOT {
                return;
            }
            id = node.parent;
        }
    }

    /// The first node without children on the way down along first children.
    fn deepest_first(&self, mut id: NodeId) -> NodeId {
        while let Some(child) = self.first_child(id) {
            id = child;
        }
        id
    }

    fn append_child(&mut self, parent: NodeId, id: NodeId) {
        let mut links = self.nodes[parent].links();
        match links.last.some() {
            Some(last) => self.nodes[last].next = id,
            None => links.first = id,
        }
        let node = &mut self.nodes[id];
        node.parent = parent;
        node.previous = links.last;
        node.next = NodeId::NONE;
        links.last = id;
        links.count += 1;
        self.nodes[parent].set_links(links);
    }

    /// Closes the gap that a removed node leaves.
    fn unlink(&mut self, node: &Node) {
        let mut links = self.nodes[node.parent].links();
        match node.previous.some() {
            Some(previous) => self.nodes[previous].next = node.next,
            None => links.first = node.next,
        }
        match node.next.some() {
            Some(next) => self.nodes[next].previous = node.previous,
            None => links.last = node.previous,
        }
        links.count -= 1;
        self.nodes[node.parent].set_links(links);
    }

    /// The oldest child; `None` for a value as well.
    pub(crate) fn first_child(&self, id: NodeId) -> Option<NodeId> {
        let node = &self.nodes[id];
        if node.marks.is_directory() { node.links().first.some() } else { None }
    }

    pub(crate) fn has_children(&self, id: NodeId) -> bool {
        self.first_child(id).is_some()
    }

    /// The node after `id` when all are visited, parents before their children, these in the order
    /// of creation.
    pub(crate) fn next_in_order(&self, mut id: NodeId) -> Option<NodeId> {
        if let Some(child) = self.first_child(id) {
            return Some(child);
        }
        while id != NodeId::ROOT {
            let node = &self.nodes[id];
            if let Some(next) = node.next.some() {
                return Some(next);
            }
            id = node.parent;
        }
        None
    }

    /// Bytes of all allocations.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.allocated_bytes()
            + self.index.allocated_bytes()
            + self.blob_bytes
            + self.deadlines.memory_bytes()
            + self.watched.memory_bytes()
    }
}
