//! A client for fibers, over the streams and the clock of a shard, real or simulated.

mod client;
mod driver;
mod lock;
mod watch;

pub use client::Client;
pub use lock::Lock;
pub use watch::Watch;
