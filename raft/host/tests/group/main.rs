//! Groups in the simulator: death at any moment, disks that fail, members that lose each other.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod crash;
mod faults;
mod host;
mod ledger;
mod members;
mod read_back;
mod receiving;
mod snapshots;
