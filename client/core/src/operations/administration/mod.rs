//! What administrators ask of one node, on its port for administration.

mod at_node;
mod groups;
mod members;
mod nodes;

pub use at_node::{Administration, AtNode};
pub use groups::{ListGroups, RemoveGroup, SaveSnapshotOf, StatusOf};
pub use members::{AbortChange, CommitChange};
pub use nodes::{Drain, ListNodes, RemoveNode};
