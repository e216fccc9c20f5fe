//! Snapshots of the state machine: their files, when they are made, and how they travel.
//!
//! Pure, over bytes: `header`, `chunk`, `trailer`, and `check`, which reads them in their order.

pub mod check;
pub mod chunk;
pub mod header;
pub mod name;
pub mod trailer;

pub mod options;
pub mod status;

pub(crate) mod load;
mod reader;
pub mod save;
pub(crate) mod store;
mod writer;

mod boundary;
mod install;
mod read_back;
pub(crate) mod receiving;
pub(crate) mod sending;
pub mod transfer;
