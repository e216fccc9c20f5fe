//! Watches: clients name keys, and are told the latest state of each when it has changed.
//!
//! A watch belongs to a connection and a group and lives in the memory of the node that serves it,
//! whatever the node's role. [`table`] and [`sending`] decide on the shard of the group: who watches what,
//! what each is owed, when to send it, what an answer means. [`dispatcher`] is its fiber and its door to the group. [`links`] is the
//! other end, on the shard of the connection: it numbers the pushes and finds answers again.

pub mod answer;
mod dirty;
pub mod dispatcher;
pub mod links;
pub mod sending;
mod slots;
pub mod table;
mod watcher;

pub use answer::NotifyAnswer;
pub use dispatcher::Watches;
pub use links::WatchLinks;
pub use table::{ClientId, WatchLimits};
