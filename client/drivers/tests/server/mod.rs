//! A server for tests: a map of keys, and ways to misbehave.

mod answer;
mod socket;

pub(crate) use answer::Manner;
pub(crate) use socket::Server;
