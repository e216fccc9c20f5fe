//! A client for tasks of tokio, over its sockets and its clock.

mod client;
mod driver;

pub use client::Client;

/// A lock to await.
pub type Lock = crate::handles::Lock<Client>;
/// A watch to await.
pub type Watch = crate::handles::Watch<Client>;
