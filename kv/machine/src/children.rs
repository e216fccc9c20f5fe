//! The children of a directory.

use kv_api::KvNode;

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
