//! The sequence numbers of one connection, and what each is waiting for.

use alloc::boxed::Box;
use alloc::vec;

/// What waits for the response with some sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    /// The call in this slot.
    Call(u32),
    /// The handshake.
    Handshake,
    /// The search for the leader.
    Search,
    /// The registration of watches.
    Watch,
    /// The question whether the watches are still there.
    KeepAlive,
    /// The opening of a session.
    Session,
}

/// A ring over the numbers: entry `number % length` belongs to the newest number of its class.
///
/// Numbers rise from 1 and start again after 2^31 − 1. A number whose entry is still taken by a
/// very old request is skipped; servers only echo numbers.
pub(crate) struct Sequences {
    entries: Box<[Entry]>,
    next: u32,
    taken: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    /// 0 when nothing waits here.
    number: u32,
    waiting: u32,
}

const FREE: Entry = Entry { number: 0, waiting: 0 };
const HANDSHAKE: u32 = u32::MAX;
const SEARCH: u32 = u32::MAX - 1;
const WATCH: u32 = u32::MAX - 2;
const KEEP_ALIVE: u32 = u32::MAX - 3;
const SESSION: u32 = u32::MAX - 4;
/// Room for the others beside the calls, each of which is there once at most.
const EXTRA: usize = 5;

impl Sequences {
    /// Room for `calls_max` calls at the same time.
    pub(crate) fn new(calls_max: usize) -> Sequences {
        // At least half of the ring is always free, so that few numbers are skipped.
        let length = (calls_max + EXTRA).next_power_of_two() * 2;
        Sequences { entries: vec![FREE; length].into_boxed_slice(), next: 1, taken: 0 }
    }

    /// The next number, which from now on waits.
    #[inline]
    pub(crate) fn assign(&mut self, waiting: Waiting) -> i32 {
        assert!(self.taken * 2 < self.entries.len(), "the limit of calls bounds what waits");
        loop {
            let number = self.next;
            self.next = if number == i32::MAX as u32 { 1 } else { number + 1 };
            let position = self.position(number);
            let entry = &mut self.entries[position];
            if entry.number == 0 {
                *entry = Entry { number, waiting: waiting.to_mark() };
                self.taken += 1;
                return number as i32;
            }
        }
    }

    /// What waits for this number, which from now on does not.
    #[inline]
    pub(crate) fn take(&mut self, number: i32) -> Option<Waiting> {
        let number = number as u32;
        let position = self.position(number);
        let entry = &mut self.entries[position];
        if number == 0 || entry.number != number {
            return None;
        }
        let waiting = Waiting::from_mark(entry.waiting);
        *entry = FREE;
        self.taken -= 1;
        Some(waiting)
    }

    /// Forgets everything, for a new connection; gives what was waiting to `each`, oldest first.
    pub(crate) fn reset(&mut self, mut each: impl FnMut(Waiting)) {
        let start = self.next as usize;
        for offset in 0..self.entries.len() {
            let position = (start + offset) & (self.entries.len() - 1);
            let entry = core::mem::replace(&mut self.entries[position], FREE);
            if entry.number != 0 {
                each(Waiting::from_mark(entry.waiting));
            }
        }
        self.next = 1;
        self.taken = 0;
    }

    #[inline]
    fn position(&self, number: u32) -> usize {
        number as usize & (self.entries.len() - 1)
    }
}

impl Waiting {
    #[inline]
    fn to_mark(self) -> u32 {
        match self {
            Waiting::Call(slot) => slot,
            Waiting::Handshake => HANDSHAKE,
            Waiting::Search => SEARCH,
            Waiting::Watch => WATCH,
            Waiting::KeepAlive => KEEP_ALIVE,
            Waiting::Session => SESSION,
        }
    }

    #[inline]
    fn from_mark(mark: u32) -> Waiting {
        match mark {
            HANDSHAKE => Waiting::Handshake,
            SEARCH => Waiting::Search,
            WATCH => Waiting::Watch,
            KEEP_ALIVE => Waiting::KeepAlive,
            SESSION => Waiting::Session,
            slot => Waiting::Call(slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn numbers_rise_from_one_and_are_taken_once() {
        let mut sequences = Sequences::new(4);
        assert_eq!(sequences.assign(Waiting::Handshake), 1);
        assert_eq!(sequences.assign(Waiting::Call(7)), 2);
        assert_eq!(sequences.take(1), Some(Waiting::Handshake));
        assert_eq!(sequences.take(1), None);
        assert_eq!(sequences.take(2), Some(Waiting::Call(7)));
        for unknown in [0, 3, 18, -1, i32::MIN, i32::MAX] {
            assert_eq!(sequences.take(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn number_of_an_old_request_is_not_reused() {
        let mut sequences = Sequences::new(2);
        let length = sequences.entries.len() as i32;
        let old = sequences.assign(Waiting::Call(0));
        for _ in 0..100 {
            let number = sequences.assign(Waiting::Call(1));
            assert_ne!(number % length, old % length);
            assert_eq!(sequences.take(number), Some(Waiting::Call(1)));
        }
        assert_eq!(sequences.take(old), Some(Waiting::Call(0)));
    }

    #[test]
    fn numbers_start_again_after_the_largest() {
        let mut sequences = Sequences::new(2);
        sequences.next = i32::MAX as u32;
        assert_eq!(sequences.assign(Waiting::Search), i32::MAX);
        assert_eq!(sequences.assign(Waiting::Call(3)), 1);
        assert_eq!(sequences.take(i32::MAX), Some(Waiting::Search));
    }

    #[test]
    fn reset_gives_back_the_oldest_first() {
        let mut sequences = Sequences::new(6);
        for slot in 0..11 {
            let number = sequences.assign(Waiting::Call(slot));
            if slot < 8 {
                sequences.take(number);
            }
        }
        let mut seen = Vec::new();
        sequences.reset(|waiting| seen.push(waiting));
        assert_eq!(seen, [Waiting::Call(8), Waiting::Call(9), Waiting::Call(10)]);
        assert_eq!(sequences.assign(Waiting::Handshake), 1);
    }
}
