//! To be written.
#![no_std]
pub mod entry;
pub mod types;
