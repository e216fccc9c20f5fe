//! The log of a group: segments of frames of records.

pub(crate) mod batch;
pub mod frame;
pub mod image;
pub(crate) mod reader;
pub mod recovery;
pub(crate) mod replay;
pub mod segment;
pub(crate) mod spares;
pub(crate) mod start;
pub(crate) mod tail;
pub(crate) mod writer;
