//! What kind of disk a node has.

use std::time::Duration;

use crate::sim::latency::Latency;

/// How much of a write is on the disk as a whole or not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Atomicity {
    /// Sectors of 512 bytes: a block may be torn.
    Sector512,
    /// Blocks of 4096 bytes.
    Block4096,
}

/// What a power loss may do to directory changes that no sync covered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirectoryOrder {
    /// The last ones are lost, as by a journaling file system.
    Journal,
    /// Any of them are lost.
    Any,
}

/// A disk's speed, size and manners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskOptions {
    /// The unit of torn writes.
    pub atomicity: Atomicity,
    /// The order in which directory changes survive.
    pub directory_order: DirectoryOrder,
    /// Time of a read.
    pub read: Latency,
    /// Time of a write.
    pub write: Latency,
    /// Time of a sync, and what an O_DSYNC write takes on top of a write.
    pub sync: Latency,
    /// Time of an operation on names, and of a directory sync.
    pub directory: Latency,
    /// Sum of file lengths that fits; a write that would exceed it fails with ENOSPC.
    pub capacity: u64,
}

impl Default for DiskOptions {
    fn default() -> DiskOptions {
        let micros = Duration::from_micros;
        DiskOptions {
            atomicity: Atomicity::Sector512,
            directory_order: DirectoryOrder::Journal,
            read: Latency::between(micros(30), micros(200)),
            write: Latency::between(micros(50), micros(500)),
            sync: Latency::between(micros(50), micros(500)).with_tail(500, micros(20_000)),
            directory: Latency::between(micros(20), micros(200)),
            capacity: u64::MAX,
        }
    }
}
