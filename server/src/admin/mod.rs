//! What administration and other nodes ask on the replicate port.

mod change;
mod desk;
mod node;
mod snapshots;

pub use desk::{Desk, group_of, is_of_group};
pub use node::answer_of_node;
