//! The node: the only place where raft, key-value tree and connections meet.
//!
//! A request goes one way: [`requests`] (from the connection to the group, over [`mail`] when the
//! group lives on another shard), raft, [`machine`] (the tree as its state machine), [`replies`]
//! (back to the connection).

pub mod cli;
pub mod config;

pub mod node;
mod shard;

mod group_options;
mod identity;
mod mail;

mod caller;
mod machine;
mod reads;
mod refusal;
mod replies;
mod requests;
mod status;
