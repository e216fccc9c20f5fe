//! Builds a machine from a stream.
//!
//! The nodes come in any order. Each goes to the place that its number says; when all are there
//! the chains of children are made, and with them everything is checked that the operations of the
//! machine rely on.

use alloc::vec::Vec;

use kv_api::{lock_lease_ms, split_key};

use super::record::{END_BYTES, END_NUMBER, HEAD_BYTES, Head, RECORD_HEAD_BYTES, RecordHead, Sum};
use crate::index::KeyHash;
use crate::machine::{Machine, MachineOptions};
use crate::node::{Marks, Node, NodeId};
use crate::session::{SessionLoader, Sessions};
use crate::tree::Tree;

/// A machine in the making.
pub struct Loader {
    tree: Tree,
    head: Option<Head>,
    sessions: SessionLoader,
    /// Once the stream is complete.
    loaded_sessions: Option<Sessions>,
    sum: Sum,
    /// Nodes that are in their places and not yet in the index.
    placed: Vec<(NodeId, KeyHash)>,
    /// The beginning of a part that the next bytes go on with.
    carry: Vec<u8>,
    is_complete: bool,
    stage: Stage,
}

/// Nodes that are put into the index together: the core waits for many places of the table at once.
const LANES: usize = 32;

/// What is done when all nodes are there, in this order; each in steps.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// From here on nodes do not hang behind the one created before them.
    Chains(u32),
    /// From here on parents do not know their last children.
    Ends(u32),
    /// The tree is walked: the next node, and how many were met before.
    Walk(NodeId, usize),
    /// From here down vacant places are not chained.
    Vacant(u32),
    Done,
}

/// Why bytes are no machine. They have passed their checksums, so that whoever wrote them had
/// another idea of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// The stream has a version that this program does not know.
    Version(u32),
    /// The stream ends too early, or goes on behind its end.
    Length,
    /// A record contradicts itself.
    Record {
        /// The node's number.
        number: u32,
    },
    /// A node contradicts the others.
    Node {
        /// The node's number.
        number: u32,
    },
    /// The sessions contradict themselves or each other.
    Sessions,
    /// The number of records or the sum of their hashes is another one.
    Sum,
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Malformed::Version(version) => {
                write!(formatter, "version {version} of the tree is newer than this program")
            }
            Malformed::Length => formatter.write_str("the tree does not end where it should"),
            Malformed::Record { number } => write!(formatter, "record of node {number} is no node"),
            Malformed::Node { number } => {
                write!(formatter, "node {number} contradicts the rest of the tree")
            }
            Malformed::Sessions => formatter.write_str("its sessions contradict each other"),
            Malformed::Sum => formatter.write_str("the tree is not the one that was saved"),
        }
    }
}

impl Loader {
    /// A loader that has seen nothing.
    pub fn new(options: MachineOptions) -> Loader {
        Loader {
            tree: Tree::empty(options.hash_seed),
            head: None,
            sessions: SessionLoader::default(),
            loaded_sessions: None,
            sum: Sum::default(),
            placed: Vec::with_capacity(LANES),
            carry: Vec::new(),
            is_complete: false,
            stage: Stage::Chains(0),
        }
    }

    /// Takes the next bytes of the stream, which may be cut anywhere.
    ///
    /// # Errors
    /// When they are no part of a stream; the loader is of no use then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut rest = bytes;
        while !self.carry.is_empty() && !rest.is_empty() {
            let carried = core::mem::take(&mut self.carry);
            let wanted = self.part_bytes(&carried)?;
            let (more, behind) =
                rest.split_at(wanted.saturating_sub(carried.len()).min(rest.len()));
            self.carry = carried;
            self.carry.extend_from_slice(more);
            rest = behind;
            if self.carry.len() == wanted {
                let part = core::mem::take(&mut self.carry);
                // What was missing may have been the lengths: then more is wanted now.
                if self.part_bytes(&part)? == wanted {
                    self.take(&part)?;
                } else {
                    self.carry = part;
                }
            }
        }
        while !rest.is_empty() {
            let wanted = self.part_bytes(rest)?;
            let Some((part, behind)) = rest.split_at_checked(wanted) else {
                self.carry.extend_from_slice(rest);
                return Ok(());
            };
            self.take(part)?;
            rest = behind;
        }
        Ok(())
    }

    /// Makes up to `steps` steps of fitting the nodes together, once the whole stream was fed. Returns
    /// whether that is done.
    ///
    /// # Errors
    /// When the stream is not complete, or its nodes do not fit together.
    pub fn link(&mut self, steps: u32) -> Result<bool, Malformed> {
        if !self.is_complete {
            return Err(Malformed::Length);
        }
        let bound = self.tree.nodes.bound();
        for _ in 0..steps {
            self.stage = match self.stage {
                Stage::Chains(number) if number < bound => {
                    self.hang(NodeId(number))?;
                    Stage::Chains(number + 1)
                }
                Stage::Chains(_) => Stage::Ends(1),
                Stage::Ends(number) if number < bound => {
                    self.note_last(NodeId(number));
                    Stage::Ends(number + 1)
                }
                Stage::Ends(_) if bound == 0 => return Err(Malformed::Length),
                Stage::Ends(_) => Stage::Walk(NodeId::ROOT, 1),
                // Chains that hang together from the root have no circles, and nothing is beside
                // them.
                Stage::Walk(id, met) => match self.tree.next_in_order(id) {
                    Some(next) => Stage::Walk(next, met + 1),
                    None if met == self.tree.nodes.len() => Stage::Vacant(bound),
                    None => return Err(Malformed::Node { number: id.0 }),
                },
                Stage::Vacant(0) => Stage::Done,
                Stage::Vacant(number) => {
                    self.tree.nodes.chain_if_vacant(NodeId(number - 1));
                    Stage::Vacant(number - 1)
                }
                Stage::Done => return Ok(true),
            };
        }
        Ok(false)
    }

    /// The machine, once [`Loader::link`] is done.
    ///
    /// # Panics
    /// When it is not.
    pub fn finish(self) -> Machine {
        let (Some(head), Some(sessions), Stage::Done) =
            (self.head, self.loaded_sessions, self.stage)
        else {
            panic!("a machine is finished when all its nodes are linked");
        };
        Machine::loaded(self.tree, sessions, head.applied_index)
    }

    /// Bytes of the part that begins with `bytes`, as far as they say.
    fn part_bytes(&self, bytes: &[u8]) -> Result<usize, Malformed> {
        if self.is_complete {
            return Err(Malformed::Length);
        }
        let Some(stream) = &self.head else { return Ok(HEAD_BYTES) };
        if stream.has_sessions && !self.sessions.is_complete() {
            return Ok(self.sessions.part_bytes(bytes));
        }
        if bytes.first_chunk().is_some_and(|word| u32::from_le_bytes(*word) == END_NUMBER) {
            return Ok(END_BYTES);
        }
        let head = bytes.first_chunk().map(RecordHead::decode);
        match (head, bytes.len()) {
            (Some(head), _) => Ok(RECORD_HEAD_BYTES + head.body_bytes()),
            // Which of the two it is shows in the first four bytes.
            (None, 0..4) => Ok(4),
            (None, _) => Ok(RECORD_HEAD_BYTES),
        }
    }

    /// Takes a whole part.
    fn take(&mut self, part: &[u8]) -> Result<(), Malformed> {
        let Some(stream) = self.head else {
            let head = part.first_chunk().ok_or(Malformed::Length)?;
            self.head = Some(Head::decode(head).map_err(Malformed::Version)?);
            return Ok(());
        };
        if stream.has_sessions && !self.sessions.is_complete() {
            return self.sessions.take(part).ok_or(Malformed::Sessions);
        }
        let Some((head, body)) = part.split_first_chunk() else {
            let end = part.first_chunk().map(Sum::decode).ok_or(Malformed::Length)?;
            self.index_placed()?;
            let sessions = core::mem::take(&mut self.sessions);
            let sessions = sessions.finish(stream.applied_index).ok_or(Malformed::Sessions)?;
            self.loaded_sessions = Some(sessions);
            self.is_complete = true;
            return if end == self.sum { Ok(()) } else { Err(Malformed::Sum) };
        };
        let head = RecordHead::decode(head);
        let malformed = Malformed::Record { number: head.number };
        let id = NodeId(head.number);
        if id.0 >= stream.bound {
            return Err(malformed);
        }
        let node = head.node(body).ok_or(malformed)?;
        self.sum.add(&node);
        let hash = self.tree.place(id, node).ok_or(malformed)?;
        if id != NodeId::ROOT {
            self.placed.push((id, hash));
        }
        if self.placed.len() == LANES { self.index_placed() } else { Ok(()) }
    }

    fn index_placed(&mut self) -> Result<(), Malformed> {
        match self.tree.index_placed(&self.placed) {
            Some(id) => Err(Malformed::Record { number: id.0 }),
            None => {
                self.placed.clear();
                Ok(())
            }
        }
    }

    /// Checks a node and hangs it behind the one created before it.
    fn hang(&mut self, id: NodeId) -> Result<(), Malformed> {
        let is_vacant = self.tree.nodes[id].is_vacant();
        let fits = |loader: &mut Loader| {
            loader.is_in_place(id) && (id == NodeId::ROOT || loader.append(id))
        };
        match is_vacant && id != NodeId::ROOT || fits(self) {
            true => Ok(()),
            false => Err(Malformed::Node { number: id.0 }),
        }
    }

    /// Tells the parent of a node that has none behind it.
    fn note_last(&mut self, id: NodeId) {
        let node = &self.tree.nodes[id];
        if !node.is_vacant() && node.next == NodeId::NONE {
            let parent = node.parent;
            let mut links = self.tree.nodes[parent].links();
            links.last = id;
            self.tree.nodes[parent].set_links(links);
        }
    }

    /// Whether key, marks and parent of a node fit together.
    fn is_in_place(&self, id: NodeId) -> bool {
        let nodes = &self.tree.nodes;
        let node = &nodes[id];
        if id == NodeId::ROOT {
            return node.key().is_empty()
                && node.marks == Marks::DIRECTORY
                && (node.parent, node.previous) == (NodeId::NONE, NodeId::NONE);
        }
        let Some(parent) = nodes.get(node.parent).filter(|node| node.marks.is_directory()) else {
            return false;
        };
        let (above, name) = split_key(node.key());
        let is_entry = node.marks.contains(Marks::LOCK) && !node.marks.is_directory();
        let is_temporary = node.marks.contains(Marks::TEMPORARY);
        // Who expires: what is temporary, and every entry of a lock.
        let expires = node.marks.contains(Marks::EXPIRES) == (is_temporary || is_entry);
        let is_inside = parent.marks.contains(Marks::TEMPORARY)
            || parent.marks.contains(Marks::UNDER_TEMPORARY);
        let fits = node.marks.contains(Marks::UNDER_TEMPORARY) == is_inside;
        let has_lease = lock_lease_ms(node.value()).is_some_and(|lease_ms| lease_ms >= 0);
        let is_lock = parent.marks.is_lock_directory();
        above == parent.key()
            && !name.is_empty()
            && expires
            && fits
            && is_lock == is_entry
            && (!is_entry || has_lease)
    }

    /// Hangs a node behind the one created before it, or at the head of its parent's children.
    fn append(&mut self, id: NodeId) -> bool {
        let nodes = &mut self.tree.nodes;
        let (parent, previous) = (nodes[id].parent, nodes[id].previous);
        let mut links = nodes[parent].links();
        links.count += 1;
        match previous.some() {
            Some(before) => {
                let is_sibling = |node: &&Node| node.parent == parent && node.next == NodeId::NONE;
                if before == id || nodes.get(before).filter(is_sibling).is_none() {
                    return false;
                }
                nodes[before].next = id;
            }
            None if links.first != NodeId::NONE => return false,
            None => links.first = id,
        }
        nodes[parent].set_links(links);
        true
    }
}
