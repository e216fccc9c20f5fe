//! The simulated backend: whole server processes in one thread, from one seed, in virtual time.
//!
//! A [`World`] has nodes. A node has an address (`10.0.h.l`), two clocks, a disk that outlives its
//! processes, and runs at most one process of one or more shards, started with the same `main` that
//! [`boot`](crate::boot()) takes. Every chance is a choice on a tape ([`Recording`]) at a named site;
//! 0 is the tame answer everywhere. Equal seeds and equal calls give equal
//! [trace hashes](World::trace_hash), which cover times, fibers and the bytes sent and written.
//!
//! # What is modelled
//! - **Scheduling**: any interleaving of the shards, poll by poll; first in, first out inside a
//!   shard, as in production ([`FiberOrder`]). A poll takes 1 µs of world time, whoever does it. A
//!   run fails with the fiber's name when it panics or spins without anything else happening.
//! - **Clocks**: monotonic time with drift, which starts anew when a machine boots; wall time with
//!   jumps. A paused node runs nothing while its system goes on taking bytes and disk results.
//! - **Disk**: a write is seen when it completes and safe after a sync that began later, or at once
//!   with O_DSYNC. Power loss keeps any subset of the sectors of unsynced and unfinished writes; a
//!   kill keeps completed writes and any part of unfinished ones. Names are safe after `sync_dir`;
//!   until then the last changes (or any, [`DirectoryOrder`]) may be lost. A name operation that a
//!   death interrupts has happened or not. Faults by rule ([`DiskFault`]): errors, a failed sync
//!   that loses data and reports once, full disk, flipped bits, misdirected, lost and stale blocks,
//!   syncs that lie, slowness. Tests read, damage, wipe, snapshot and roll back disks
//!   ([`DiskHandle`]), and enumerate what a death could leave of one ([`CrashPoint`]).
//! - **Network**: streams with a delay law for each direction, order kept, short reads, a bounded
//!   window that makes writers wait, loss as retransmission, resets, refusals, corruption,
//!   bandwidth. One-way cuts hold bytes up and suppress acknowledgements until healed, or until the
//!   sender gives up. A killed process's sockets are closed by its system; a machine without power
//!   leaves half-open connections, answers nothing, and resets old connections once it is back.
//!   Attempts to connect are refused, repeated, or time out. See [`NetworkHandle`].
//!
//! # What is not modelled
//! - A loop inside one poll: it hangs. CPU time by work: every poll costs the same.
//! - The page cache, file metadata other than length, holes and shrinking files.
//! - Packets: acknowledgements cost nothing, there is no congestion, keepalive or out-of-band data.
//!   A reader that makes room wakes the writer at once.
//! - The kernel interface itself: alignment in memory, io_uring, descriptor limits, signals.

mod arena;
mod clock;
mod disk;
mod events;
mod failure;
mod happening;
mod kernel;
mod latency;
mod network;
mod node;
mod options;
mod run;
mod scheduler;
mod shard;
mod tape;
mod timers;
mod trace;
mod world;

pub(crate) use clock::SimClock;
pub use disk::{
    Atomicity, CrashPoint, DirectoryOrder, DiskEffect, DiskFault, DiskHandle, DiskOperation,
    DiskOptions, DiskSnapshot, EIO, ENOSPC, Fate, Undecided,
};
pub(crate) use disk::{SimFile, SimStorage};
pub use failure::{Failure, FailureCause};
pub use happening::{Happening, What};
pub use latency::Latency;
pub use network::{LinkOptions, NetworkHandle, NetworkOptions};
pub(crate) use network::{
    SimDetached, SimListener, SimNetwork, SimReadHalf, SimStream, SimWriteHalf,
};
pub use node::{CrashKind, NodeKey};
pub use options::WorldOptions;
pub use run::{Ending, Run};
pub use scheduler::FiberOrder;
pub(crate) use shard::SimShard;
pub use tape::{Beyond, CHOICE_LIMIT, Recording, RecordingError};
pub use world::World;
