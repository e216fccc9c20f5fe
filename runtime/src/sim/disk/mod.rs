//! Disks: one a node, surviving its processes.

mod crash_point;
mod device;
mod faults;
mod file;
mod handle;
mod image;
mod operation;
mod options;
mod page;
mod tree;

pub use crash_point::{CrashPoint, Fate, Undecided};
pub use faults::{DiskEffect, DiskFault, DiskOperation, EIO, ENOSPC};
pub(crate) use file::{SimFile, SimStorage};
pub use handle::{DiskHandle, DiskSnapshot};
pub(crate) use operation::Disks;
pub use options::{Atomicity, DirectoryOrder, DiskOptions};
