//! Taking, keeping and giving back locks.

use core::time::Duration;

use kv_api::KvRequest;
use moment::Moment;
use wire::{Packet, WireError};

use crate::calls::{CallOwner, CallState, Start};
use crate::core::Core;
use crate::error::{Error, Reason};
use crate::event::{LockEvent, LockLoss};
use crate::lock::{Asked, LockId, LockOptions, Phase, Question, shortened};
use crate::operation::Operation;
use crate::operations::{LockHolder, TryLock, Unlock, UpdateLockLease};

/// What the answer to a request of a lock object says.
enum Answer {
    Held { fencing_token: u64 },
    NotHeld,
    Error(Error),
}

impl Core {
    /// Wants a lock. [`Core::next_event`] tells when it is held and when it is lost; it must be
    /// given back with [`Core::unlock`], also while it is waited for.
    ///
    /// A client has at most one lock object for a key.
    pub fn lock(&mut self, key: &[u8], options: LockOptions, now: Moment) -> Result<LockId, Error> {
        let lock = self.locks.add(key, options, now)?;
        self.changed = true;
        self.settle(now);
        Ok(lock)
    }

    /// Gives a lock back or leaves its queue. Does nothing if the lock object is gone.
    pub fn unlock(&mut self, lock: LockId, now: Moment) {
        let Some(lock) = self.locks.by_number.get_mut(&lock.0) else { return };
        // A holder whose time is over must hear that first.
        match lock.phase {
            Phase::Held { until } if until <= now => {}
            Phase::Releasing { .. } => return,
            Phase::Acquiring { .. } | Phase::Held { .. } => {
                lock.phase = Phase::Releasing { told: true };
                lock.next = now;
            }
        }
        self.locks.stirred = true;
        self.changed = true;
        self.settle(now);
    }

    /// Renews the lease of a lock now, whether it is renewed on its own or not.
    pub fn renew_lock(&mut self, lock: LockId, now: Moment) {
        if let Some(lock) = self.locks.by_number.get_mut(&lock.0)
            && let Phase::Held { .. } = lock.phase
        {
            lock.next = now;
            self.locks.stirred = true;
            self.changed = true;
            self.settle(now);
        }
    }

    /// Whether a lock object is there, if only because its lock, or its place in the queue, is being
    /// given back.
    pub fn has_lock(&self, lock: LockId) -> bool {
        self.locks.by_number.contains_key(&lock.0)
    }

    /// Until when this client holds the lock, unless the lease is renewed before. `None` if it does
    /// not hold it. Compare it with the time *after* whatever the lock must protect.
    pub fn lock_held_until(&self, lock: LockId, now: Moment) -> Option<Moment> {
        match self.locks.by_number.get(&lock.0)?.phase {
            Phase::Held { until } if until > now => Some(until),
            _ => None,
        }
    }

    /// Lets every lock object do what has become possible or necessary.
    pub(crate) fn step_locks(&mut self, now: Moment) {
        if !self.locks.stirred && self.locks.next > now {
            return;
        }
        self.locks.stirred = false;
        for (number, slot) in core::mem::take(&mut self.locks.ended) {
            self.lock_answered(number, slot, now);
        }
        let mut after = 0;
        while let Some((&number, _)) = self.locks.by_number.range(after..).next() {
            self.step_lock(number, now);
            let Some(following) = number.checked_add(1) else { break };
            after = following;
        }
        self.locks.schedule();
    }

    fn step_lock(&mut self, number: u32, now: Moment) {
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        match lock.phase {
            Phase::Acquiring { until } if until <= now && !lock.options.wait.is_zero() => {
                let event = lock.end_of_waiting();
                self.give_up(number, event, now);
            }
            Phase::Held { until } if until <= now => {
                self.give_up(number, LockEvent::Lost(LockLoss::LeaseOver), now);
            }
            _ => {}
        }
        self.take_back_unsent(number, now);
        self.drop_untouched(number);
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        if lock.asked.is_some() || lock.next > now {
            return;
        }
        match lock.phase {
            Phase::Acquiring { until } => {
                lock.attempt += 1;
                lock.attempt_at = now;
                let key = lock.key.clone();
                let lease = lock.options.lease;
                let wait = lease.min(until.since(now));
                let tag = u64::from(number) << 32 | u64::from(lock.attempt);
                let attempt = TryLock { key: &key, lease, wait, tag };
                self.ask(number, Question::TryLock, &attempt, lease, now);
            }
            Phase::Held { .. } => {
                let (key, lease) = (lock.key.clone(), lock.options.lease);
                let timeout = lock.interval();
                let renewal = UpdateLockLease { key: &key, lease };
                self.ask(number, Question::Renew, &renewal, timeout, now);
            }
            Phase::Releasing { .. } => {
                let key = lock.key.clone();
                // Later the lock is free without being given back.
                let timeout = lock.options.lease;
                self.ask(number, Question::Unlock, &Unlock { key: &key }, timeout, now);
            }
        }
    }

    /// What has not been sent when the lock is given back, is not sent any more.
    fn take_back_unsent(&mut self, number: u32, now: Moment) {
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        let (Phase::Releasing { .. }, Some(asked)) = (lock.phase, lock.asked) else { return };
        let unsent = self.calls[asked.slot].state == CallState::Waiting;
        if asked.what == Question::Unlock || !unsent {
            return;
        }
        lock.asked = None;
        lock.next = now;
        if asked.what == Question::TryLock {
            lock.attempt -= 1;
        }
        self.withdraw(asked.slot);
        self.calls.release(asked.slot);
    }

    /// What the server has never heard of needs not be given back.
    fn drop_untouched(&mut self, number: u32) {
        let Some(lock) = self.locks.by_number.get(&number) else { return };
        if let Phase::Releasing { told } = lock.phase
            && lock.attempt == 0
        {
            self.locks.remove(number);
            if told {
                self.tell(number, LockEvent::Released);
            }
        }
    }

    /// Submits a request of a lock object. It waits with the others for the leader, and leaves
    /// when this round of work comes to that.
    fn ask<O: Operation>(
        &mut self,
        number: u32,
        what: Question,
        operation: &O,
        timeout: Duration,
        now: Moment,
    ) {
        let deadline = now + timeout.min(self.options.call_timeout);
        let start = Start {
            command: O::COMMAND,
            access: O::ACCESS,
            target: operation.target(),
            owner: CallOwner::Lock(number),
            submitted: now,
            deadline,
            // A lock object asks again by itself.
            in_session: false,
        };
        let has_room = self.calls.has_room();
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        if !has_room {
            lock.next = now + lock.retry_pause();
            return;
        }
        let slot = self.calls.claim(start);
        lock.asked = Some(Asked { what, slot, at: now });
        lock.next = Moment::MAX;
        operation.encode(self.options.group, &mut self.calls[slot].body);
        self.calls.count_bytes(slot);
        self.earliest_deadline = self.earliest_deadline.min(deadline);
        self.waiting.push_back(slot);
    }

    /// A request of a lock object has ended.
    fn lock_answered(&mut self, number: u32, slot: u32, now: Moment) {
        let completion = self.calls.completion(slot);
        let asked = self.locks.by_number.get_mut(&number).and_then(|lock| lock.asked.take());
        let answer = match asked.map(|asked| asked.what) {
            Some(Question::TryLock) => match completion.reply::<TryLock<'_>>() {
                Ok(reply) => match reply.holder {
                    LockHolder::ThisClient { fencing_token } => Answer::Held { fencing_token },
                    LockHolder::Another => Answer::NotHeld,
                },
                Err(error) => Answer::Error(error),
            },
            Some(Question::Renew) => match completion.reply::<UpdateLockLease<'_>>() {
                Ok(reply) if reply.held => Answer::Held { fencing_token: 0 },
                Ok(_) => Answer::NotHeld,
                Err(error) => Answer::Error(error),
            },
            _ => match completion.reply::<Unlock<'_>>() {
                Ok(_) => Answer::NotHeld,
                Err(error) => Answer::Error(error),
            },
        };
        self.calls.release(slot);
        let Some(asked) = asked else { return };
        let Some(lock) = self.locks.by_number.get(&number) else { return };
        match lock.phase {
            Phase::Acquiring { until } => self.tried(number, asked.at, until, answer, now),
            Phase::Held { until } => self.renewed(number, asked, until, answer, now),
            Phase::Releasing { told } => self.released(number, asked, told, answer, now),
        }
    }

    /// An attempt has its answer.
    fn tried(&mut self, number: u32, asked: Moment, until: Moment, answer: Answer, now: Moment) {
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        let waits = !lock.options.wait.is_zero();
        match answer {
            Answer::Held { fencing_token } => {
                let end = lock.lease_end(asked);
                self.acquired(number, fencing_token, end, now);
            }
            Answer::NotHeld if waits => {
                lock.heard = true;
                // The place lasts as long as a lease at most, and a push can be lost.
                lock.next = (now + lock.interval()).min(until);
            }
            Answer::NotHeld => {
                self.locks.remove(number);
                self.tell(number, LockEvent::NotAcquired);
            }
            Answer::Error(error @ (Error::Unavailable(_) | Error::OutcomeUnknown(_))) if waits => {
                lock.trouble = Some(error);
                lock.next = now + lock.retry_pause();
            }
            Answer::Error(error) if lock.attempt > 1 || error.leaves_outcome_open() => {
                self.give_up(number, LockEvent::Failed(error), now);
            }
            Answer::Error(error) => {
                self.locks.remove(number);
                self.tell(number, LockEvent::Failed(error));
            }
        }
    }

    /// The server has granted the lock.
    fn acquired(&mut self, number: u32, fencing_token: u64, end: Moment, now: Moment) {
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        if end <= now {
            // The news came too late to be of use.
            match lock.options.wait.is_zero() {
                true => self.give_up(
                    number,
                    LockEvent::Failed(Error::Unavailable(Reason::Timeout)),
                    now,
                ),
                false => lock.next = now,
            }
            return;
        }
        lock.phase = Phase::Held { until: end };
        lock.next = if lock.options.renew { now + lock.interval() } else { Moment::MAX };
        self.tell(number, LockEvent::Acquired { fencing_token });
    }

    /// A renewal has its answer, or an attempt that a push has overtaken.
    fn renewed(&mut self, number: u32, asked: Asked, until: Moment, answer: Answer, now: Moment) {
        let Some(lock) = self.locks.by_number.get_mut(&number) else { return };
        match answer {
            Answer::Held { .. } => {
                lock.phase = Phase::Held { until: until.max(lock.lease_end(asked.at)) };
                lock.next = if lock.options.renew { now + lock.interval() } else { Moment::MAX };
            }
            Answer::NotHeld if asked.what == Question::Renew => {
                self.locks.remove(number);
                self.tell(number, LockEvent::Lost(LockLoss::NotHolder));
            }
            Answer::NotHeld | Answer::Error(_) => lock.next = now + lock.retry_pause(),
        }
    }

    /// The lock was given back, or a request from before that has ended.
    fn released(&mut self, number: u32, asked: Asked, told: bool, answer: Answer, now: Moment) {
        if asked.what != Question::Unlock {
            if let Some(lock) = self.locks.by_number.get_mut(&number) {
                lock.next = now;
            }
            return;
        }
        self.locks.remove(number);
        match answer {
            _ if !told => {}
            Answer::Error(error) => self.tell(number, LockEvent::NotReleased(error)),
            Answer::Held { .. } | Answer::NotHeld => self.tell(number, LockEvent::Released),
        }
    }

    /// Tells the last event of a lock object, and makes sure that the server does not keep the
    /// lock, or a place in its queue, for nobody.
    fn give_up(&mut self, number: u32, event: LockEvent, now: Moment) {
        if let Some(lock) = self.locks.by_number.get_mut(&number) {
            lock.phase = Phase::Releasing { told: false };
            lock.next = now;
            self.locks.stirred = true;
            self.changed = true;
            self.tell(number, event);
        }
    }

    fn tell(&mut self, number: u32, event: LockEvent) {
        self.events.push_back((LockId(number), event));
    }

    /// A server says that a lock is this client's now.
    pub(crate) fn lock_pushed(
        &mut self,
        packet: &Packet<'_>,
        now: Moment,
    ) -> Result<(), WireError> {
        let push = KvRequest::decode(packet.body_bytes())?;
        let Some(tag) = push.value.get(8..16).and_then(|bytes| bytes.first_chunk()) else {
            return Ok(());
        };
        let tag = u64::from_be_bytes(*tag);
        let (number, attempt) = ((tag >> 32) as u32, tag as u32);
        let Some(lock) = self.locks.by_number.get(&number) else { return Ok(()) };
        let ours = push.group_id == self.options.group.0 && *lock.key == *push.key;
        // An earlier attempt was followed by another one, whose answer says more.
        let Phase::Acquiring { .. } = lock.phase else { return Ok(()) };
        if ours && lock.attempt == attempt {
            let waited = Duration::from_nanos(u64::try_from(push.ttl_millis).unwrap_or(0));
            let end = lock.lease_end(lock.attempt_at) + shortened(waited);
            self.acquired(number, push.fencing_token, end, now);
            self.locks.stirred = true;
            self.changed = true;
        }
        Ok(())
    }
}
