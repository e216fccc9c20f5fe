//! Every change of some keys, in the order of the log, for clients that ask for it.
//!
//! A client asks with the first index that it wants and gets the changes from there on, or, when
//! there is none yet, waits for the next one. It asks again with where the answer ended: so a slow
//! client costs no memory, and one whose server is gone goes on with another one. What is told comes
//! from the log ([`kv_machine::Machine::changes_of`]); where the log begins too late, the state of
//! the keys takes its place.
//!
//! `desk` knows who waits for what. `fiber` reads the log for them. `answer` and `state` write what
//! they are told.

mod answer;
mod desk;
mod events;
mod fiber;
mod keys;
mod state;

pub use desk::ChangesLimits;
pub use fiber::Changes;
