//! One raft group on a shard: its log, its hard state and the loop that drives it.

mod bytes;
pub mod log;
