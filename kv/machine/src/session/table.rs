//! All sessions of a group, in the order of their last use.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use kv_api::{SessionLimits, SessionStamp};
use planted::{Bug, is_on};
use wire::BizCode;

use super::answer::Answer;
use super::one::{Admission, Session};
use super::saving::SavingSessions;

/// The sessions, in places that do not move, chained from the one used least recently to the one
/// used last.
pub(crate) struct Sessions {
    /// Those of the newest opening.
    pub(super) limits: SessionLimits,
    pub(super) places: Vec<Place>,
    vacant: Vec<u32>,
    by_id: BTreeMap<u64, u32>,
    oldest: u32,
    newest: u32,
    /// What all of them count.
    bytes: u64,
    pub(super) saving: SavingSessions,
}

pub(super) struct Place {
    /// Vacant places have one of number 0.
    pub(super) session: Session,
    older: u32,
    newer: u32,
}

/// No place.
const NONE: u32 = u32::MAX;

/// A write that was admitted, until it is known what became of it.
#[derive(Clone, Copy)]
pub(crate) struct Admitted {
    place: u32,
    sequence: u64,
}

impl Sessions {
    pub(crate) fn new() -> Sessions {
        Sessions {
            limits: SessionLimits::default(),
            places: Vec::new(),
            vacant: Vec::new(),
            by_id: BTreeMap::new(),
            oldest: NONE,
            newest: NONE,
            bytes: 0,
            saving: SavingSessions::default(),
        }
    }

    /// Opens a session with the number of its entry. Returns how many of its numbers may be open.
    pub(crate) fn open(&mut self, index: u64, check: u32, limits: SessionLimits) -> u32 {
        // Whatever the entry says, a session can be used.
        self.limits = SessionLimits {
            sessions_max: limits.sessions_max.max(1),
            results_max: limits.results_max.max(1),
            ..limits
        };
        self.insert(Session::new(index, check, self.limits.results_max));
        self.end_oldest();
        self.limits.results_max
    }

    /// Says what has to be done with a write.
    ///
    /// # Errors
    /// The answer that the write gets instead of being carried out.
    #[inline]
    pub(crate) fn admit(
        &mut self,
        index: u64,
        stamp: &SessionStamp,
    ) -> Result<Admitted, Result<Answer, BizCode>> {
        let place = self.by_id.get(&stamp.session).copied();
        let place = place.filter(|place| self.session(*place).check == stamp.check);
        let Some(place) = place else { return Err(Err(BizCode::SessionExpired)) };
        self.save_first(place);
        self.move_to_newest(place);
        let session = &mut self.places[place as usize].session;
        session.last_used = index;
        let before = session.bytes();
        let admission = session.admit(stamp);
        self.bytes = self.bytes + session.bytes() - before;
        match admission {
            Admission::First => Ok(Admitted { place, sequence: stamp.sequence.get() }),
            Admission::Again(answer) => Err(Ok(answer)),
            Admission::Refused(code) => Err(Err(code)),
        }
    }

    /// Keeps the answer to a write that was admitted by the same entry.
    #[inline]
    pub(crate) fn keep(&mut self, admitted: Admitted, answer: Answer) {
        let session = &mut self.places[admitted.place as usize].session;
        let before = session.bytes();
        session.keep(admitted.sequence, answer);
        self.bytes = self.bytes + session.bytes() - before;
        if self.bytes > self.limits.bytes_max {
            self.end_oldest();
        }
    }

    /// Forgets what became of the newest write of the session that was used last.
    pub(crate) fn forget_newest(&mut self) {
        if let Some(place) = self.places.get_mut(self.newest as usize) {
            let before = place.session.bytes();
            place.session.forget_newest();
            self.bytes = self.bytes + place.session.bytes() - before;
        }
    }

    /// Whether there has never been one, as far as anybody can see.
    pub(crate) fn is_untouched(&self) -> bool {
        self.limits == SessionLimits::default() && self.by_id.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes as usize + self.saving.memory_bytes()
    }

    /// From the one used least recently on.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Session> {
        let mut next = self.oldest;
        core::iter::from_fn(move || {
            let place = self.places.get(next as usize)?;
            next = place.newer;
            Some(&place.session)
        })
    }

    /// Takes a session over, as the one that was used last.
    pub(super) fn insert(&mut self, session: Session) {
        self.bytes += session.bytes();
        let vacant = self.vacant.pop();
        let place = vacant.unwrap_or(self.places.len() as u32);
        self.save_first(place);
        self.by_id.insert(session.id, place);
        let filled = Place { session, older: NONE, newer: NONE };
        match self.places.get_mut(place as usize) {
            Some(vacant) => *vacant = filled,
            None => self.places.push(filled),
        }
        self.append(place);
    }

    /// Ends sessions until the rest keeps the limits.
    #[inline(never)]
    fn end_oldest(&mut self) {
        let SessionLimits { sessions_max, bytes_max, .. } = self.limits;
        while self.by_id.len() > sessions_max as usize || self.bytes > bytes_max {
            let place = match is_on(Bug::NewestSessionEnds) {
                true => self.newest,
                false => self.oldest,
            };
            if place == NONE {
                break;
            }
            self.save_first(place);
            self.unlink(place);
            let vacant = Session::new(0, 0, 0);
            let ended = core::mem::replace(&mut self.places[place as usize].session, vacant);
            self.bytes -= ended.bytes();
            self.by_id.remove(&ended.id);
            self.vacant.push(place);
        }
    }

    fn session(&self, place: u32) -> &Session {
        &self.places[place as usize].session
    }

    /// A snapshot under way gets the session as it is before it changes.
    #[inline]
    fn save_first(&mut self, place: u32) {
        if self.saving.awaits(place) {
            self.saving.keep(place, &self.places[place as usize].session);
        }
    }

    #[inline]
    fn move_to_newest(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.append(place);
        }
    }

    fn unlink(&mut self, place: u32) {
        let Place { older, newer, .. } = self.places[place as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.places[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.places[newer as usize].older = older,
        }
    }

    fn append(&mut self, place: u32) {
        let older = self.newest;
        (self.places[place as usize].older, self.places[place as usize].newer) = (older, NONE);
        match older {
            NONE => self.oldest = place,
            older => self.places[older as usize].newer = place,
        }
        self.newest = place;
    }
}
