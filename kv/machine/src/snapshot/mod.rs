//! The whole machine as a stream of bytes, and back.
//!
//! A stream is a head, one record for each node in no particular order, and an end. All numbers are
//! little-endian. Whoever stores it cuts it where it likes and guards it with checksums.
//!
//! Nodes have numbers, each less than the head's bound: parents and siblings are named by them.

mod record;

mod load;
mod save;

pub use load::{Loader, Malformed};
pub(crate) use save::Saving;
pub use save::SnapshotPiece;
