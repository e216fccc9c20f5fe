//! The node: the only place where raft, key-value tree and connections meet.

pub mod cli;
pub mod config;
pub mod node;
