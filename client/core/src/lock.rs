//! Lock objects: what this client knows of each lock that it holds or wants.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;

use crate::argument::{InvalidArgument, check_key, check_time_to_live};
use crate::error::{Error, Reason};
use crate::event::LockEvent;

/// Names a lock object of one client; no number is given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LockId(pub(crate) u32);

/// How to take a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockOptions {
    /// How long the server keeps the lock for a client of which it hears nothing. The client
    /// counts a hundredth less, from before its request was sent: clocks may run that differently
    /// fast without two clients taking themselves for the holder.
    pub lease: Duration,
    /// How long to wait for the lock; zero: one attempt. May be longer than the lease.
    pub wait: Duration,
    /// Whether to renew the lease, three times in its length, until the lock is given back.
    pub renew: bool,
}

impl LockOptions {
    /// One attempt, with renewals afterwards.
    pub fn new(lease: Duration) -> LockOptions {
        LockOptions { lease, wait: Duration::ZERO, renew: true }
    }

    /// Waits for the lock, in order of arrival.
    pub fn waiting(self, wait: Duration) -> LockOptions {
        LockOptions { wait, ..self }
    }

    pub(crate) fn check(&self, key: &[u8]) -> Result<(), InvalidArgument> {
        check_key(key)?;
        check_time_to_live(self.lease)
    }
}

/// All lock objects of a client.
pub(crate) struct Locks {
    pub(crate) by_number: BTreeMap<u32, Lock>,
    /// The latest one of each key.
    pub(crate) by_key: BTreeMap<Box<[u8]>, u32>,
    /// Calls that have ended and the lock objects they were for.
    pub(crate) ended: Vec<(u32, u32)>,
    /// Whether some lock object may have something to do at once.
    pub(crate) stirred: bool,
    /// None has anything to do earlier.
    pub(crate) next: Moment,
    last_number: u32,
}

/// A lock object, from the wish to have the lock until it is known that this client has it no more.
pub(crate) struct Lock {
    pub(crate) key: Box<[u8]>,
    pub(crate) options: LockOptions,
    pub(crate) phase: Phase,
    /// An earlier lock object of the same key whose lock is being given back: asking for it before
    /// that is done could lose what it brings.
    pub(crate) behind: Option<u32>,
    /// The request under way.
    pub(crate) asked: Option<Asked>,
    /// Number and time of the last attempt to take the lock.
    pub(crate) attempt: u32,
    pub(crate) attempt_at: Moment,
    /// The next request is not before.
    pub(crate) next: Moment,
    /// Why the last attempt had no answer; the server has never been heard if there is also no
    /// answer before.
    pub(crate) trouble: Option<Error>,
    pub(crate) heard: bool,
}

/// How far a lock object has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Tries, waits in the queue, or both.
    Acquiring { until: Moment },
    /// Is held until then, by this client's clock.
    Held { until: Moment },
    /// Is given back; `told` says whether the owner wants to know how that ends.
    Releasing { told: bool },
}

/// A request of a lock object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    pub(crate) what: Question,
    /// The slot of its call.
    pub(crate) slot: u32,
    /// A lease that it starts is counted from here.
    pub(crate) at: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    TryLock,
    Renew,
    Unlock,
}

impl Locks {
    pub(crate) fn new() -> Locks {
        Locks {
            by_number: BTreeMap::new(),
            by_key: BTreeMap::new(),
            ended: Vec::new(),
            stirred: false,
            next: Moment::MAX,
            last_number: 0,
        }
    }

    /// A new lock object; one for each key.
    pub(crate) fn add(
        &mut self,
        key: &[u8],
        options: LockOptions,
        now: Moment,
    ) -> Result<LockId, InvalidArgument> {
        options.check(key)?;
        let behind = self.by_key.get(key).copied();
        let earlier = behind.and_then(|number| self.by_number.get(&number));
        if earlier.is_some_and(|lock| lock.phase != Phase::Releasing { told: false }) {
            return Err(InvalidArgument::KeyInUse);
        }
        self.last_number += 1;
        self.by_key.insert(key.into(), self.last_number);
        let lock = Lock {
            key: key.into(),
            options,
            phase: Phase::Acquiring { until: now + options.wait },
            behind,
            asked: None,
            attempt: 0,
            attempt_at: now,
            next: if behind.is_none() { now } else { Moment::MAX },
            trouble: None,
            heard: false,
        };
        self.by_number.insert(self.last_number, lock);
        self.stirred = true;
        Ok(LockId(self.last_number))
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let Some(lock) = self.by_number.remove(&number) else { return };
        match (self.by_key.get(&lock.key).copied(), lock.behind) {
            (Some(latest), Some(earlier)) if latest == number => {
                self.by_key.insert(lock.key, earlier);
            }
            (Some(latest), None) if latest == number => drop(self.by_key.remove(&lock.key)),
            _ => {}
        }
        // Whoever was behind it takes its place in the order.
        for following in self.by_number.values_mut().filter(|lock| lock.behind == Some(number)) {
            following.behind = lock.behind;
            if lock.behind.is_none() {
                following.next = Moment::ZERO;
                self.stirred = true;
            }
        }
    }

    /// Whoever waits may be told by nobody now: each asks again where it stands.
    pub(crate) fn ask_again(&mut self, now: Moment) {
        for lock in self.by_number.values_mut() {
            if let Phase::Acquiring { .. } = lock.phase
                && lock.asked.is_none()
            {
                lock.next = lock.next.min(now);
                self.stirred = true;
            }
        }
    }

    /// Finds out anew when something has to be done.
    pub(crate) fn schedule(&mut self) {
        let next = self.by_number.values().map(Lock::next_deadline).min();
        self.next = next.unwrap_or(Moment::MAX);
    }
}

impl Lock {
    /// When a lease that was asked for at `asked` ends for this client.
    pub(crate) fn lease_end(&self, asked: Moment) -> Moment {
        asked + shortened(self.options.lease)
    }

    /// The pause before a renewal, or before asking again for a place in the queue.
    pub(crate) fn interval(&self) -> Duration {
        self.options.lease / RENEWALS
    }

    /// The pause after something went wrong.
    pub(crate) fn retry_pause(&self) -> Duration {
        (self.options.lease / 20).clamp(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX)
    }

    /// The time of waiting is over: another one has the lock, or nobody has said anything.
    pub(crate) fn end_of_waiting(&mut self) -> LockEvent {
        match self.heard {
            true => LockEvent::NotAcquired,
            false => {
                let silence = Error::Unavailable(Reason::NoConnection);
                LockEvent::Failed(self.trouble.take().unwrap_or(silence))
            }
        }
    }

    fn next_deadline(&self) -> Moment {
        let next = if self.asked.is_some() { Moment::MAX } else { self.next };
        match self.phase {
            // A single attempt ends with its answer.
            Phase::Acquiring { .. } if self.options.wait.is_zero() => next,
            Phase::Acquiring { until } | Phase::Held { until } => next.min(until),
            Phase::Releasing { .. } => next,
        }
    }
}

/// What a client may count of a time that a server measures with its own clock.
pub(crate) fn shortened(time: Duration) -> Duration {
    time - time / CLOCK_DRIFT_PART
}

/// Renewals in the length of a lease.
const RENEWALS: u32 = 3;
const CLOCK_DRIFT_PART: u32 = 100;
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(10);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
