//! What goes wrong, when and for how long.

mod class;
mod disk;
mod group;
mod network;
mod process;
mod stored;
mod storm;
mod undo;

pub use class::{FaultClass, Strengths};
pub use storm::{Storm, Strikes};
