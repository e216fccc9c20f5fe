//! What is held by whoever has a lock or a watch, for every client whose calls are awaited.

mod driven;
mod lock;
mod watch;

pub(crate) use driven::Driven;
pub(crate) use lock::Lock;
pub(crate) use watch::Watch;
