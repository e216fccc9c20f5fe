//! Term, vote and hints for recovery, in a file of two slots.

mod file;
mod slot;

pub use file::HardStateFile;
pub use slot::{Newest, SavedState, SlotFault, newest, write_slot};
