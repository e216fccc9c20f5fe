//! The children of a directory.

use alloc::vec::Vec;

use kv_api::{KvNode, SEPARATOR};

use crate::node::NodeId;
use crate::tree::Tree;

/// Iterates over the children of a directory in the order of their creation: name and node.
#[derive(Clone)]
pub struct Children<'a> {
    tree: &'a Tree,
    next: Option<NodeId>,
    /// Where the name starts in a child's key.
    name_start: usize,
    left: usize,
}

impl<'a> Children<'a> {
    pub(crate) fn new(tree: &'a Tree, directory: NodeId) -> Children<'a> {
        let name_start = match tree.nodes[directory].key_length() {
            0 => 0,
            length => length + 1,
        };
        let links = tree.nodes[directory].links();
        Children { tree, next: links.first.some(), name_start, left: links.count as usize }
    }
}

impl Children<'_> {
    /// Where a list goes on behind this child, for [`Machine::list_from`](crate::Machine::list_from).
    pub fn cursor_behind(name: &[u8], node: &KvNode<'_>) -> Vec<u8> {
        [&node.create_index.to_le_bytes()[..], name].concat()
    }

    /// Leaves out everything up to where a list ended before. If that child is gone, what its entry
    /// created comes again.
    pub(crate) fn skip_to(mut self, directory: &[u8], cursor: &[u8]) -> Self {
        let Some((created, name)) = cursor.split_first_chunk() else { return self };
        if name.contains(&SEPARATOR) {
            // It is no child, and none of its neighbours is.
            return self;
        }
        let created = u64::from_le_bytes(*created);
        let key = match directory.is_empty() {
            true => name.to_vec(),
            false => [directory, &[SEPARATOR], name].concat(),
        };
        let found = self.tree.find(&key).map(|id| &self.tree.nodes[id]);
        let last = found.filter(|node| node.create_index == created);
        match last {
            Some(last) => self.next = last.next.some(),
            None => {
                while let Some(id) = self.next
                    && self.tree.nodes[id].create_index < created
                {
                    self.next = self.tree.nodes[id].next.some();
                }
            }
        }
        self
    }

    /// How many there are until they have more than so many bytes; the first one counts in any case.
    pub fn count_within(&self, bytes: usize, size: impl Fn(&[u8], &KvNode<'_>) -> usize) -> usize {
        let mut total = 0;
        let fits = |(name, node): &(&[u8], KvNode<'_>)| {
            let is_first = total == 0;
            total += size(name, node).max(1);
            is_first || total <= bytes
        };
        self.clone().take_while(fits).count()
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = (&'a [u8], KvNode<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let node = &self.tree.nodes[self.next?];
        self.next = node.next.some();
        self.left -= 1;
        Some((&node.key()[self.name_start..], node.view()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Children<'_> {}
