//! Checks that leave nothing to chance: small situations, and in each of them everything that can
//! happen.
//!
//! [`crash`]: a server dies at every storage operation, and its disk keeps every subset of what was
//! not durable. [`links`]: three servers, and every set of the
//! links between them. [`model`]: the cores of a small group, in every interleaving of messages, deadlines,
//! writes and deaths.

pub mod ledger;
pub mod stage;

pub mod crash;
pub mod links;
pub mod model;

pub mod command;
