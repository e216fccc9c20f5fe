//! The key-value tree as a deterministic state machine.
//!
//! [`Machine::apply`] is the only way to change it: a log entry's [`Stamp`] and payload go in, an
//! [`Outcome`] comes out, and on every replica the same. [`Machine::get`] and [`Machine::list`]
//! read.
//!
//! Contract:
//! - No payload makes `apply` panic. An operation is refused as a whole or done as a whole; each
//!   element of a batch is one operation, and readers see a batch done or not begun.
//! - The machine knows no clock: times are those of the entries. It removes nothing by itself when
//!   a countdown is over; [`Machine::next_expiry`] and [`Machine::due`] tell the leader what to
//!   propose.
//! - It calls nobody: what waiters and watchers have to be told lies ready in
//!   [`Machine::take_granted`] and [`Machine::take_changes`]. Whoever wants each change in order
//!   reads the log and asks [`Machine::changes_of`].
//! - Replicas may differ in the seed of their hash function and in what is watched, in nothing
//!   else.
//!
//! Memory: a node is one cache line in a chunk, one allocation for key and value, and 8 bytes in a
//! hash table that is between 3/8 and 3/4 full. Neither chunks nor the parts of the table get so
//! large that growing can be felt.
//!
//! Snapshots: [`Machine::begin_snapshot`] freezes the state as it is for a stream of bytes that
//! [`Machine::snapshot_piece`] writes while entries go on being applied; a [`Loader`] builds a
//! machine from it. All that entries have made is in it, sessions included, and nothing else: no
//! watches.
//!
//! What it deliberately does not do: it keeps no log and no files, and knows no connection.
#![no_std]

extern crate alloc;

mod outcome;
mod stamp;

mod machine;

mod compare;
mod lock;
mod place;
mod put;
mod remove;
mod transaction;
mod ttl;

mod session;

mod changes;
mod children;
mod read_ahead;
mod snapshot;
mod state_hash;
mod tree;
mod walk;

mod deadlines;
mod index;
mod lifetime;
mod node;
mod probing;
mod slab;
mod watched;

pub use children::Children;
pub use kv_api::KvNode as NodeView;
pub use lock::LockGranted;
pub use machine::{Machine, MachineOptions, Shed};
pub use outcome::Outcome;
pub use session::Answer;
pub use snapshot::{Loader, Malformed, SnapshotPiece};
pub use stamp::Stamp;
pub use transaction::{StepResult, TransactionOutcome};
pub use ttl::Expired;
pub use walk::Walk;
pub use watched::WatchId;
