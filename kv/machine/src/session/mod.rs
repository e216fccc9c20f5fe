//! Sessions: what became of the writes that their clients may send again.
//!
//! A session is opened by an entry, whose index is its number. Each write in it has a sequence
//! number; the answer is kept until the client says that it has it, by the lowest number that it
//! still waits for. A number that comes again is answered and not carried out (Ongaro, "Consensus:
//! Bridging Theory and Practice", section 6.3).
//!
//! The memory is bounded: when there are too many sessions, or too many bytes of answers, those that
//! were used least recently end, on every replica with the same entry. A write in a session that has
//! ended is refused as such, because nobody knows any more whether it was carried out before.

mod answer;
mod one;
mod record;
mod saving;
mod table;

mod load;

pub use answer::Answer;
pub(crate) use load::SessionLoader;
pub(crate) use saving::SessionsPiece;
pub(crate) use table::{Admitted, Sessions};
