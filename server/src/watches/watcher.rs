//! One client with watches in one group.

use std::collections::BTreeMap;
use std::time::Duration;

use kv_machine::WatchId;
use moment::Moment;

use super::dirty::{Dirty, DirtyQueue};
use super::links::ANSWER_TIMEOUT;
use super::slots::Place;
use super::table::ClientId;

/// What is known of a client.
pub(super) struct Watcher {
    pub(super) client: ClientId,
    /// Its watches by their key.
    pub(super) watches: BTreeMap<WatchId, Place>,
    pub(super) dirty: DirtyQueue,
    pub(super) phase: Phase,
    /// Notifications that failed since the last one that did not.
    failures: usize,
    /// When the client last said something about its watches.
    pub(super) heard: Moment,
    /// When to look at it; [`Moment::MAX`] when it stands in no list.
    pub(super) alarm: Moment,
}

/// What a client waits for, or is waited for.
pub(super) enum Phase {
    /// Nothing is owed.
    Idle,
    /// It stands in the queue of those that are sent to.
    Queued,
    /// It owes an answer.
    InFlight(Flight),
    /// A notification failed; the next one is not sent before.
    Resting(Moment),
}

/// A notification without an answer yet.
pub(super) struct Flight {
    pub(super) serial: u64,
    pub(super) since: Moment,
    pub(super) bytes: usize,
    /// It was full before everything owed was in it.
    pub(super) is_cut: bool,
    pub(super) sent: Vec<Sent>,
}

/// An event of a notification.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) watch: Dirty,
    pub(super) index: u64,
}

/// How long a client rests after each failure in a row.
const RESTS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

impl Watcher {
    pub(super) fn new(client: ClientId, now: Moment) -> Watcher {
        Watcher {
            client,
            watches: BTreeMap::new(),
            dirty: DirtyQueue::default(),
            phase: Phase::Idle,
            failures: 0,
            heard: now,
            alarm: Moment::MAX,
        }
    }

    /// Its notification did not reach it; returns until when it rests.
    pub(super) fn rest(&mut self, now: Moment) -> Moment {
        let until = now + RESTS[self.failures.min(RESTS.len() - 1)];
        self.failures += 1;
        self.phase = Phase::Resting(until);
        until
    }

    /// Its notification reached it.
    pub(super) fn succeed(&mut self, now: Moment) {
        self.failures = 0;
        self.heard = now;
        self.phase = Phase::Idle;
    }

    /// When something happens if the client remains silent.
    pub(super) fn deadline(&self, keep_alive: Duration) -> Moment {
        let expiry = self.heard + keep_alive;
        match &self.phase {
            Phase::Idle | Phase::Queued => expiry,
            Phase::InFlight(flight) => expiry.min(flight.since + ANSWER_TIMEOUT),
            Phase::Resting(until) => expiry.min(*until),
        }
    }
}
