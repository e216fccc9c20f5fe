//! A client for fibers, over the streams and the clock of a shard, real or simulated.

mod client;
mod driver;

pub use client::Client;

/// A lock to await.
pub type Lock = crate::handles::Lock<Client>;
/// A watch to await.
pub type Watch = crate::handles::Watch<Client>;
