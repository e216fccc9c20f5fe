//! Writes the machine as it is at one index, in pieces, while entries go on changing it.
//!
//! A cursor goes over the places of all nodes. Whatever changes a node that the cursor has not
//! reached passes through [`Saving::keep`] first, which puts its record into the stream at once: so
//! every node is in it as it was when saving began, and exactly once. Only the slab hands out nodes
//! to be changed, so that no change can be forgotten.

use alloc::vec::Vec;

use planted::{Bug, is_on};

use super::record::{Head, Sum, encode_node};
use crate::machine::Machine;
use crate::node::{Node, NodeId};
use crate::session::SessionsPiece;
use crate::slab::Slab;

/// What became of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotPiece {
    /// More follows.
    More,
    /// The stream is complete.
    Last,
    /// More has changed between two pieces than may be kept: what was written is of no use.
    Overrun,
}

/// A snapshot on its way; idle at first.
#[derive(Default)]
pub(crate) struct Saving {
    /// The next place to visit.
    next: u32,
    /// Places from `next` on that may hold nodes; none while idle.
    left: u32,
    /// One bit for each place below the bound: it needs no visit any more.
    settled: Vec<u64>,
    /// Records of nodes that have changed before they were visited.
    kept: Vec<u8>,
    kept_bytes_max: usize,
    is_overrun: bool,
    sum: Sum,
}

/// Places that one call visits at most, most of them vacant.
const VISITS: u32 = 4096;

impl Saving {
    /// Whether a change of this node concerns the snapshot.
    #[inline]
    pub(crate) fn awaits(&self, id: NodeId) -> bool {
        id.0.wrapping_sub(self.next) < self.left
    }

    /// A node that [`Saving::awaits`] says is still to come is about to change.
    #[cold]
    pub(crate) fn keep(&mut self, id: NodeId, node: &Node) {
        if self.is_settled(id) || is_on(Bug::SnapshotOfLater) {
            return;
        }
        self.settle(id);
        if node.is_vacant() {
            return;
        }
        if self.kept.len() >= self.kept_bytes_max {
            self.is_overrun = true;
            return;
        }
        self.sum.add(node);
        encode_node(id, node, &mut self.kept);
    }

    /// Bytes that were allocated for it.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.kept.capacity() + self.settled.capacity() * size_of::<u64>()
    }

    fn begin(&mut self, bound: u32, kept_bytes_max: usize) {
        let words = (bound as usize).div_ceil(64);
        let settled = alloc::vec![0; words];
        *self = Saving { left: bound, settled, kept_bytes_max, ..Saving::default() };
    }

    fn is_settled(&self, id: NodeId) -> bool {
        self.settled[id.0 as usize / 64] & 1 << (id.0 % 64) != 0
    }

    fn settle(&mut self, id: NodeId) {
        self.settled[id.0 as usize / 64] |= 1 << (id.0 % 64);
    }

    fn piece(&mut self, nodes: &Slab, bytes: usize, out: &mut Vec<u8>) -> SnapshotPiece {
        if self.is_overrun {
            return SnapshotPiece::Overrun;
        }
        let wanted = out.len() + bytes;
        out.append(&mut self.kept);
        let mut visits = 0;
        while self.left > 0 && out.len() < wanted && visits < VISITS {
            let id = NodeId(self.next);
            if !self.is_settled(id) && !nodes[id].is_vacant() {
                self.sum.add(&nodes[id]);
                encode_node(id, &nodes[id], out);
            }
            self.next += 1;
            self.left -= 1;
            visits += 1;
        }
        if self.left > 0 {
            return SnapshotPiece::More;
        }
        self.sum.encode(out);
        SnapshotPiece::Last
    }
}

impl Machine {
    /// Begins a snapshot of the state as it is now; one under way is given up. Between two pieces no
    /// more than about `kept_bytes_max` bytes of nodes that change are kept.
    pub fn begin_snapshot(&mut self, kept_bytes_max: usize, out: &mut Vec<u8>) {
        let applied_index = self.applied_index();
        let nodes = &mut self.tree.nodes;
        let bound = nodes.bound();
        nodes.saving.begin(bound, kept_bytes_max);
        let has_sessions = !self.sessions.is_untouched();
        Head { bound, applied_index, has_sessions }.encode(out);
        self.sessions.end_saving();
        if has_sessions {
            self.sessions.begin_saving(kept_bytes_max, out);
        }
    }

    /// Appends about `bytes` bytes of the stream, or fewer: the work is bounded.
    pub fn snapshot_piece(&mut self, bytes: usize, out: &mut Vec<u8>) -> SnapshotPiece {
        if self.sessions.is_saving() {
            return match self.sessions.saving_piece(bytes, out) {
                SessionsPiece::More | SessionsPiece::Done => SnapshotPiece::More,
                SessionsPiece::Overrun => SnapshotPiece::Overrun,
            };
        }
        let mut saving = core::mem::take(&mut self.tree.nodes.saving);
        let piece = saving.piece(&self.tree.nodes, bytes, out);
        if piece == SnapshotPiece::More {
            self.tree.nodes.saving = saving;
        }
        piece
    }

    /// Gives up the snapshot that is under way, if one is.
    pub fn end_snapshot(&mut self) {
        self.tree.nodes.saving = Saving::default();
        self.sessions.end_saving();
    }
}
