//! A client for tasks of tokio, over its sockets and its clock.

mod client;
mod driver;
mod lock;
mod watch;

pub use client::Client;
pub use lock::Lock;
pub use watch::Watch;
