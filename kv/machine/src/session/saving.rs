//! Writes the sessions as they are at one index, in pieces, while entries go on changing them: as the
//! nodes are written, by a cursor over their places.

use alloc::vec::Vec;

use planted::{Bug, is_on};

use super::one::Session;
use super::record::{Sum, encode_limits, encode_session};
use super::table::Sessions;
use crate::state_hash::hash_bytes;

/// The sessions' part of a snapshot on its way; idle at first.
#[derive(Default)]
pub(crate) struct SavingSessions {
    /// The next place to visit.
    next: u32,
    /// Places from `next` on that may hold sessions.
    left: u32,
    /// One bit for each place below the bound: it needs no visit any more.
    settled: Vec<u64>,
    /// Records of sessions that have changed before they were visited.
    kept: Vec<u8>,
    kept_bytes_max: usize,
    sum: Sum,
    is_under_way: bool,
}

/// How far the sessions' part of a stream has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SessionsPiece {
    More,
    /// All of them are in the stream.
    Done,
    /// More has changed than may be kept.
    Overrun,
}

/// Places that one call visits at most.
const VISITS: u32 = 1024;

impl SavingSessions {
    /// Whether a change of this place concerns the snapshot.
    #[inline]
    pub(super) fn awaits(&self, place: u32) -> bool {
        place.wrapping_sub(self.next) < self.left
    }

    /// A place that is still to come is about to change.
    #[cold]
    pub(super) fn keep(&mut self, place: u32, session: &Session) {
        let (word, bit) = (place as usize / 64, 1 << (place % 64));
        if self.settled[word] & bit == 0 {
            self.settled[word] |= bit;
            if session.id != 0 {
                add_record(&mut self.sum, session, &mut self.kept);
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.kept.capacity() + self.settled.capacity() * size_of::<u64>()
    }
}

fn add_record(sum: &mut Sum, session: &Session, out: &mut Vec<u8>) {
    let start = out.len();
    encode_session(session, out);
    sum.add(&out[start..]);
}

impl Sessions {
    /// Begins their part of a stream.
    pub(crate) fn begin_saving(&mut self, kept_bytes_max: usize, out: &mut Vec<u8>) {
        let left = if is_on(Bug::SessionsNotSaved) { 0 } else { self.places.len() as u32 };
        let settled = alloc::vec![0; (left as usize).div_ceil(64)];
        self.saving = SavingSessions {
            left,
            settled,
            kept_bytes_max,
            is_under_way: true,
            ..SavingSessions::default()
        };
        encode_limits(&self.limits, out);
    }

    /// Whether their part is not complete.
    pub(crate) fn is_saving(&self) -> bool {
        self.saving.is_under_way
    }

    /// Appends about so many bytes of their part.
    pub(crate) fn saving_piece(&mut self, bytes: usize, out: &mut Vec<u8>) -> SessionsPiece {
        let saving = &mut self.saving;
        if saving.kept.len() > saving.kept_bytes_max {
            self.end_saving();
            return SessionsPiece::Overrun;
        }
        let wanted = out.len() + bytes;
        out.append(&mut saving.kept);
        let mut visits = 0;
        while saving.left > 0 && out.len() < wanted && visits < VISITS {
            let place = saving.next as usize;
            let session = &self.places[place].session;
            if saving.settled[place / 64] & 1 << (place % 64) == 0 && session.id != 0 {
                add_record(&mut saving.sum, session, out);
            }
            saving.next += 1;
            saving.left -= 1;
            visits += 1;
        }
        if saving.left > 0 {
            return SessionsPiece::More;
        }
        saving.sum.encode(out);
        self.end_saving();
        SessionsPiece::Done
    }

    /// Gives it up, if it is under way.
    pub(crate) fn end_saving(&mut self) {
        self.saving = SavingSessions::default();
    }

    /// A hash of all of them, in their order: the same on replicas that have applied the same entries.
    pub(crate) fn state_hash(&self) -> u64 {
        let mut bytes = Vec::new();
        encode_limits(&self.limits, &mut bytes);
        for session in self.in_order() {
            encode_session(session, &mut bytes);
        }
        hash_bytes(&bytes)
    }
}
