//! Clients for one thread, over the system's sockets.

mod clock;
mod socket;
mod wait;

mod client;
mod pipeline;

pub use client::{Client, HeldLock};
pub use pipeline::{Burst, Pipeline};
