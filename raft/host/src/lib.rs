//! One raft group on a shard: its log, its hard state and the loop that drives it.

mod bytes;
mod error;

pub mod hard_state;
pub mod log;

pub use error::GroupError;
