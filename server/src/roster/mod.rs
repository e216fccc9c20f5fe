//! Which nodes a node knows and which groups it has: the configuration, and what was changed since.
//!
//! The first shard owns the file. Its registrar carries out one order after the other: what is to
//! change is made durable first, then every shard is told, and each brings its links and groups in
//! line with that. So a node that dies at any moment has the change or does not have it, and what it
//! has begun it ends at its next start.

mod amendments;
mod book;
mod file;
mod order;
mod registrar;

pub use amendments::{Amendments, GroupAmendment};
pub use book::Roster;
pub use file::{RosterError, RosterFile};
pub use order::Order;
pub use registrar::{Means, Registrar, Report};
