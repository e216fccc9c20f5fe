//! The node: the only place where raft, key-value tree and connections meet.
//!
//! A request goes one way: [`requests`] (from the connection to the group, over [`mail`] when the
//! group lives on another shard), raft, [`machine`] (the tree as its state machine), [`replies`]
//! (back to the connection).
//!
//! What happens without a request is done by fibers of the group, which [`hosted`] starts:
//! [`expiry`] removes what has expired, [`locks`] tells new holders, [`watches`] tells of the latest
//! state, [`changes`] of every change in order.

pub mod cli;
pub mod config;

pub mod node;
pub mod ports;
pub mod shard;

pub mod admin;
pub mod group_options;
pub mod identity;
pub mod mail;
pub mod peers;
pub mod roster;

pub mod caller;
pub mod machine;
pub mod places;
pub mod reads;
pub mod refusal;
pub mod replies;
pub mod requests;
pub mod status;
pub mod watch_requests;

pub mod handover;
pub mod held;
pub mod hosted;
pub mod news;

pub mod changes;
pub mod expiry;
pub mod locks;
pub mod watches;

pub mod witness;
