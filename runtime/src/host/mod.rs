//! The production backend: io_uring through glommio. No other folder names it.

mod boot;
mod buffer;
mod clock;
mod file;
mod network;
mod shard;
mod storage;
mod watchdog;

pub(crate) use boot::boot;
pub(crate) use buffer::{HostBuffer, SharedHostBuffer};
pub(crate) use clock::HostClock;
pub(crate) use file::HostFile;
pub(crate) use network::{
    HostDetached, HostListener, HostNetwork, HostReadHalf, HostStream, HostWriteHalf,
};
pub(crate) use shard::HostShard;
pub(crate) use storage::HostStorage;
