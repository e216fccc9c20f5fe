//! What each client is owed: changes, notifications, answers, and what time does to them.

use std::collections::VecDeque;

use kv_api::WatchEvent;
use kv_machine::Machine;
use moment::Moment;
use planted::{Bug, is_on};

use super::answer::NotifyAnswer;
use super::dirty::Dirty;
use super::links::ANSWER_TIMEOUT;
use super::slots::Place;
use super::table::{ClientId, Table};
use super::watcher::{Flight, Phase, Sent, Watcher};

/// Something to send: the latest states of what the client does not have.
pub struct Notification<'a> {
    /// To whom.
    pub client: ClientId,
    /// Names it in [`Table::answered`].
    pub flight: u64,
    /// At least one.
    pub events: Vec<WatchEvent<'a>>,
}

/// A notification is not made longer than this: clients drop connections that send them more.
const NOTIFY_BYTES_CEILING: usize = 4 << 20;

impl Table {
    /// Takes the answer to a notification. Returns what to send to the client at once: what did not
    /// fit into that notification.
    pub fn answered<'m>(
        &mut self,
        machine: &'m mut Machine,
        client: ClientId,
        flight: u64,
        answer: NotifyAnswer<'_>,
        now: Moment,
    ) -> Option<Notification<'m>> {
        let &place = self.by_client.get(&client)?;
        let watcher = self.watchers.get_mut(place)?;
        let Phase::InFlight(Flight { serial, is_cut, .. }) = &watcher.phase else { return None };
        if *serial != flight {
            return None;
        }
        let is_cut = *is_cut;
        match answer {
            NotifyAnswer::RemoveAll => self.forget(machine, place),
            NotifyAnswer::Failed => self.fail(place, now),
            NotifyAnswer::Results(results) => {
                let results = results.iter().chain(core::iter::repeat(0));
                if self.take_results(machine, place, results, now) && is_cut {
                    return self.notify(machine, place, now);
                }
            }
        }
        None
    }

    /// Notes changes of the machine with their watches, until about `watches_max` have been looked
    /// at. Returns whether there are more.
    pub fn note_changes(&mut self, machine: &mut Machine, watches_max: usize) -> bool {
        if self.changes.is_empty() {
            machine.take_changes(&mut self.changes);
        }
        let mut looked_at = 0;
        while looked_at < watches_max
            && let Some(key) = self.changes.pop()
        {
            // Its last watch may have ended since, which is no harm: whoever has the id now is told
            // nothing that it knows.
            let watches = self.by_key.get_mut(&key).map(core::mem::take).unwrap_or_default();
            looked_at += watches.len().max(1);
            for &watch in &watches {
                self.mark(watch);
            }
            if let Some(list) = self.by_key.get_mut(&key) {
                *list = watches;
            }
        }
        !self.changes.is_empty()
    }

    /// The next notification to send, if one is owed and may be sent now.
    pub fn next_notification<'m>(
        &mut self,
        machine: &'m Machine,
        now: Moment,
    ) -> Option<Notification<'m>> {
        while self.in_flight_bytes < self.limits.in_flight_bytes_max {
            let place = self.queue.pop_front()?;
            let is_queued = |watcher: &Watcher| matches!(watcher.phase, Phase::Queued);
            if self.watchers.get(place).is_some_and(is_queued)
                && let Some(notification) = self.notify(machine, place, now)
            {
                return Some(notification);
            }
        }
        None
    }

    /// When [`Table::ring`] has to be called.
    pub fn next_alarm(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Looks at the clients whose time has come: forgets the silent ones, gives up notifications
    /// without an answer, ends rests.
    pub fn ring(&mut self, machine: &mut Machine, now: Moment) {
        while let Some(&(at, place)) = self.alarms.first()
            && at <= now
        {
            self.alarms.pop_first();
            let Some(watcher) = self.watchers.get_mut(place) else { continue };
            watcher.alarm = Moment::MAX;
            if watcher.heard + self.limits.keep_alive <= now {
                self.forget(machine, place);
                continue;
            }
            match &watcher.phase {
                Phase::InFlight(flight) if flight.since + ANSWER_TIMEOUT <= now => {
                    self.fail(place, now);
                }
                Phase::Resting(until) if *until <= now => {
                    watcher.phase = Phase::Idle;
                    enqueue(watcher, &mut self.queue, place);
                }
                Phase::Idle | Phase::Queued | Phase::InFlight(_) | Phase::Resting(_) => {}
            }
            self.set_alarm(place);
        }
    }

    /// The notification of a client, which becomes one in flight; `None` if it has everything.
    fn notify<'m>(
        &mut self,
        machine: &'m Machine,
        place: Place,
        now: Moment,
    ) -> Option<Notification<'m>> {
        let watcher = self.watchers.get_mut(place)?;
        let (mut events, mut sent) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut is_cut = false;
        while let Some(dirty) = watcher.dirty.first() {
            let watch = self.watches.get_mut(dirty.watch).filter(|watch| watch.is(dirty));
            if let Some(watch) = watch {
                let mut event = machine.watched_state(watch.key);
                if event.value.len() > NOTIFY_BYTES_CEILING {
                    // No client would take it, nor the answer to a get.
                    event.value = &[];
                }
                let size = event.key.len() + event.value.len();
                let is_full =
                    bytes >= self.limits.notify_bytes_max || bytes + size > NOTIFY_BYTES_CEILING;
                if event.raft_index > watch.known {
                    if is_full && !events.is_empty() {
                        is_cut = true;
                        break;
                    }
                    bytes += size;
                    sent.push(Sent { watch: dirty, index: event.raft_index });
                    events.push(event);
                }
                watch.is_dirty = false;
            }
            watcher.dirty.pop();
        }
        if events.is_empty() {
            watcher.phase = Phase::Idle;
            return None;
        }
        self.last_serial += 1;
        let flight = self.last_serial;
        watcher.phase = Phase::InFlight(Flight { serial: flight, since: now, bytes, is_cut, sent });
        let client = watcher.client;
        self.in_flight_bytes += bytes;
        self.set_alarm(place);
        Some(Notification { client, flight, events })
    }

    /// Takes the results of the client's notification. Returns whether all of it was taken.
    fn take_results(
        &mut self,
        machine: &mut Machine,
        place: Place,
        results: impl Iterator<Item = i32>,
        now: Moment,
    ) -> bool {
        const REMOVED: i32 = kv_api::WatchNotifyResponse::REMOVE_WATCH;
        let Some(flight) = self.land(place) else { return false };
        let mut failed = Vec::new();
        for (sent, result) in flight.sent.into_iter().zip(results) {
            // A watch that ended or began anew in the meantime has nothing to do with the answer.
            let watch = self.watches.get_mut(sent.watch.watch);
            let Some(watch) = watch.filter(|watch| watch.serial == sent.watch.serial) else {
                continue;
            };
            match result {
                0 => watch.known = watch.known.max(sent.index),
                REMOVED => {
                    let key = watch.key;
                    self.remove(machine, place, key);
                }
                _ => failed.push(sent.watch.watch),
            }
        }
        let Some(watcher) = self.watchers.get_mut(place) else { return false };
        if failed.is_empty() {
            watcher.succeed(now);
            enqueue(watcher, &mut self.queue, place);
            self.tidy(machine, place);
            return true;
        }
        watcher.heard = now;
        self.rest(place, &failed, now);
        false
    }

    /// The client's notification did not reach it: everything in it is owed again.
    fn fail(&mut self, place: Place, now: Moment) {
        let Some(flight) = self.land(place) else { return };
        let is_alive = |sent: &Sent| {
            let watch = self.watches.get(sent.watch.watch);
            watch.is_some_and(|watch| watch.serial == sent.watch.serial)
        };
        let owed: Vec<_> =
            flight.sent.iter().filter(|sent| is_alive(sent)).map(|sent| sent.watch.watch).collect();
        self.rest(place, &owed, now);
    }

    fn rest(&mut self, place: Place, owed: &[Place], now: Moment) {
        let Some(watcher) = self.watchers.get_mut(place) else { return };
        watcher.rest(now);
        for &watch in owed.iter().filter(|_| !is_on(Bug::NoticeLost)) {
            self.mark(watch);
        }
        self.set_alarm(place);
    }

    /// Ends the client's flight, if there is one.
    pub(super) fn land(&mut self, place: Place) -> Option<Flight> {
        let watcher = self.watchers.get_mut(place)?;
        match core::mem::replace(&mut watcher.phase, Phase::Idle) {
            Phase::InFlight(flight) => {
                self.in_flight_bytes -= flight.bytes;
                Some(flight)
            }
            other => {
                watcher.phase = other;
                None
            }
        }
    }

    /// Lets the client's alarm ring no later than its deadline. An earlier one stays: it looks at the
    /// deadline anew, which is cheaper than moving it with each notification.
    pub(super) fn set_alarm(&mut self, place: Place) {
        let Some(watcher) = self.watchers.get_mut(place) else { return };
        let deadline = watcher.deadline(self.limits.keep_alive);
        if deadline < watcher.alarm {
            self.alarms.remove(&(watcher.alarm, place));
            watcher.alarm = deadline;
            self.alarms.insert((deadline, place));
        }
    }

    /// The client may not have the latest state of a watch.
    #[inline]
    pub(super) fn mark(&mut self, place: Place) {
        let Some(watch) = self.watches.get_mut(place) else { return };
        if watch.is_dirty {
            return;
        }
        watch.is_dirty = true;
        let dirty = Dirty { watch: place, serial: watch.serial };
        let place = watch.watcher;
        if let Some(watcher) = self.watchers.get_mut(place) {
            watcher.dirty.push(dirty);
            enqueue(watcher, &mut self.queue, place);
        }
    }
}

/// Lets a client be sent to, if something is owed and nothing stands against it.
#[inline]
fn enqueue(watcher: &mut Watcher, queue: &mut VecDeque<Place>, place: Place) {
    if matches!(watcher.phase, Phase::Idle) && !watcher.dirty.is_empty() {
        watcher.phase = Phase::Queued;
        queue.push_back(place);
    }
}
