//! The log of a group: segments of frames of records.

pub mod frame;
pub mod image;
pub mod recovery;
pub mod segment;
