//! Bugs that the simulator can switch on in the code that it tests, to show that it would find them.
//!
//! Without the feature `planted-bugs`, which no build of the server has, [`is_on`] is the constant
//! `false` and the compiler drops what depends on it. With it, one bug at a time is on, in the whole
//! process.
//!
//! Each bug is one that consensus and storage engines have really had.

#![no_std]

mod bug;
mod switch;

pub use bug::Bug;
pub use switch::is_on;
#[cfg(feature = "planted-bugs")]
pub use switch::plant;
