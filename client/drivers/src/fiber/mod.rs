//! A client for fibers, over the streams and the clock of a shard, real or simulated.

mod client;
mod driver;

pub use client::Client;
