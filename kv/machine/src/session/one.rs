//! One session: a window over its numbers, from the lowest that its client waits for.

use alloc::collections::VecDeque;

use kv_api::SessionStamp;
use planted::{Bug, is_on};
use wire::BizCode;

use super::answer::Answer;

/// What is known of the writes of one session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Session {
    /// Index of the entry that opened it.
    pub(super) id: u64,
    /// Index of the last entry that was a write in it, or opened it.
    pub(super) last_used: u64,
    /// The mark of its client.
    pub(super) check: u32,
    /// Numbers that may be open at a time.
    pub(super) results_max: u32,
    /// The lowest number that its client may still send; never goes back.
    pub(super) lowest_open: u64,
    /// What became of the numbers from `lowest_open` on, `None` where nothing came yet; the last one
    /// is there.
    pub(super) answers: VecDeque<Option<Answer>>,
    /// Bytes of the answers' bodies.
    pub(super) body_bytes: u64,
}

/// What has to be done with a write.
pub(crate) enum Admission {
    /// Carry it out.
    First,
    /// Nothing; it was carried out.
    Again(Answer),
    /// Nothing; why.
    Refused(BizCode),
}

/// What a session counts besides its answers, and an answer besides its body. Sessions end by these
/// numbers, so that they are the same in every build: never what a type happens to take.
const SESSION_BYTES: u64 = 128;
const ANSWER_BYTES: u64 = 32;
const _: () = assert!(size_of::<Option<Answer>>() as u64 <= ANSWER_BYTES);
/// A window with less room than this stays as it is.
const KEPT_ROOM: usize = 64;

impl Session {
    pub(super) fn new(id: u64, check: u32, results_max: u32) -> Session {
        Session {
            id,
            last_used: id,
            check,
            results_max,
            lowest_open: 1,
            answers: VecDeque::new(),
            body_bytes: 0,
        }
    }

    /// Bytes that it counts: the same on all replicas.
    pub(super) fn bytes(&self) -> u64 {
        SESSION_BYTES + ANSWER_BYTES * self.answers.len() as u64 + self.body_bytes
    }

    /// Says what has to be done with a write, and forgets what its client has been told.
    #[inline]
    pub(super) fn admit(&mut self, stamp: &SessionStamp) -> Admission {
        self.forget_below(stamp.lowest_open());
        if is_on(Bug::SequenceIgnored)
            && let Some(answer) = self.answers.back().cloned().flatten()
        {
            return Admission::Again(answer);
        }
        let Some(place) = stamp.sequence.get().checked_sub(self.lowest_open) else {
            return match is_on(Bug::StaleCarriedOut) {
                true => Admission::First,
                false => Admission::Refused(BizCode::SessionStale),
            };
        };
        if place >= u64::from(self.results_max) {
            return Admission::Refused(BizCode::SessionFull);
        }
        match self.answers.get(place as usize) {
            Some(Some(answer)) => Admission::Again(answer.clone()),
            _ => Admission::First,
        }
    }

    /// Keeps the answer to a write that was admitted.
    #[inline]
    pub(super) fn keep(&mut self, sequence: u64, answer: Answer) {
        let Some(place) = sequence.checked_sub(self.lowest_open) else { return };
        self.body_bytes += answer.bytes();
        let place = place as usize;
        match self.answers.get_mut(place) {
            Some(vacant) => *vacant = Some(answer),
            None => {
                self.answers.resize(place, None);
                self.answers.push_back(Some(answer));
            }
        }
    }

    fn forget_below(&mut self, lowest_open: u64) {
        while self.lowest_open < lowest_open {
            let Some(told) = self.answers.pop_front() else {
                self.lowest_open = lowest_open;
                break;
            };
            self.lowest_open += 1;
            self.body_bytes -= told.map_or(0, |answer| answer.bytes());
        }
        let wanted = self.answers.len() * 2;
        if self.answers.capacity() > KEPT_ROOM.max(wanted * 2) {
            self.answers.shrink_to(wanted);
        }
    }

    /// Forgets what became of the newest write.
    pub(super) fn forget_newest(&mut self) {
        if let Some(newest) = self.answers.pop_back() {
            self.body_bytes -= newest.map_or(0, |answer| answer.bytes());
        }
        while matches!(self.answers.back(), Some(None)) {
            self.answers.pop_back();
        }
    }
}
