//! Who watches what in a group: requests of clients, and their end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kv_api::WatchRequest;
use kv_machine::{Machine, WatchId};
use moment::Moment;
use rpc::ConnectionId;
use runtime::ShardId;
use wire::BizCode;

use super::dirty::Dirty;
use super::slots::{Place, Slots};
use super::watcher::Watcher;

/// A connection of this node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClientId {
    /// The shard that holds it.
    pub shard: ShardId,
    /// Its name there.
    pub connection: ConnectionId,
}

/// The limits of a group's watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatchLimits {
    /// Keys that one client may watch.
    pub keys_max: usize,
    /// A notification gets no further event once its keys and values have this many bytes.
    pub notify_bytes_max: usize,
    /// Nothing is sent while unanswered notifications have this many bytes.
    pub in_flight_bytes_max: usize,
    /// A client that is silent for this long is forgotten.
    pub keep_alive: Duration,
}

/// Why a watch request was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncRefusal {
    /// It cannot be.
    Code(BizCode),
    /// The client would watch too many keys.
    TooManyKeys {
        /// So many more it may.
        room: usize,
    },
}

/// The watches of one group.
pub struct Table {
    pub(super) limits: WatchLimits,
    pub(super) watchers: Slots<Watcher>,
    pub(super) by_client: BTreeMap<ClientId, Place>,
    pub(super) watches: Slots<Watch>,
    /// The watches of each watched key; none of the lists is empty.
    pub(super) by_key: BTreeMap<WatchId, Vec<Place>>,
    /// Clients to send to. Some may be gone.
    pub(super) queue: VecDeque<Place>,
    /// Each client once, no later than its deadline.
    pub(super) alarms: BTreeSet<(Moment, Place)>,
    /// Keys whose change has not been noted with their watches.
    pub(super) changes: Vec<WatchId>,
    pub(super) last_serial: u64,
    pub(super) in_flight_bytes: usize,
}

/// One key of one client.
pub(super) struct Watch {
    pub(super) watcher: Place,
    pub(super) key: WatchId,
    /// Where it stands in the list of its key.
    pub(super) position: usize,
    /// The client has the state of this index.
    pub(super) known: u64,
    /// No other watch has had it.
    pub(super) serial: u64,
    /// It stands in the queue of its client.
    pub(super) is_dirty: bool,
}

impl Table {
    /// No watches.
    pub const fn new(limits: WatchLimits) -> Table {
        Table {
            limits,
            watchers: Slots::new(),
            by_client: BTreeMap::new(),
            watches: Slots::new(),
            by_key: BTreeMap::new(),
            queue: VecDeque::new(),
            alarms: BTreeSet::new(),
            changes: Vec::new(),
            last_serial: 0,
            in_flight_bytes: 0,
        }
    }

    /// Carries out a client's request.
    ///
    /// # Errors
    /// Why nothing of it was done.
    pub fn sync(
        &mut self,
        machine: &mut Machine,
        client: ClientId,
        request: &WatchRequest<'_>,
        now: Moment,
    ) -> Result<(), SyncRefusal> {
        request.check().map_err(SyncRefusal::Code)?;
        let added = request.entries().filter(|(_, known)| *known >= 0).count();
        let kept = if request.sync_all { 0 } else { self.count(client) };
        if kept + added > self.limits.keys_max {
            let room = self.limits.keys_max.saturating_sub(kept);
            return Err(SyncRefusal::TooManyKeys { room });
        }
        let Some(watcher) = self.watcher_of(client, added > 0, now) else {
            return Ok(());
        };
        let mut listed = BTreeSet::new();
        for (key, known) in request.entries() {
            let id = machine.watch(key);
            match u64::try_from(known) {
                Ok(known) => {
                    if request.sync_all {
                        listed.insert(id);
                    }
                    self.add(machine, watcher, id, known);
                }
                Err(_) => {
                    machine.unwatch(id);
                    self.remove(machine, watcher, id);
                }
            }
        }
        if request.sync_all {
            for id in self.keys_of(watcher) {
                if !listed.contains(&id) {
                    self.remove(machine, watcher, id);
                }
            }
        }
        self.touch(client, now);
        self.tidy(machine, watcher);
        Ok(())
    }

    /// The number of keys that a client watches.
    pub fn count(&self, client: ClientId) -> usize {
        let watcher = self.by_client.get(&client).and_then(|place| self.watchers.get(*place));
        watcher.map_or(0, |watcher| watcher.watches.len())
    }

    /// A client has shown that it is there.
    pub fn touch(&mut self, client: ClientId, now: Moment) {
        let place = self.by_client.get(&client).copied();
        if let Some(watcher) = place.and_then(|place| self.watchers.get_mut(place)) {
            watcher.heard = now;
        }
    }

    /// Forgets a client.
    pub fn close(&mut self, machine: &mut Machine, client: ClientId) {
        if let Some(&watcher) = self.by_client.get(&client) {
            self.forget(machine, watcher);
        }
    }

    fn watcher_of(&mut self, client: ClientId, make: bool, now: Moment) -> Option<Place> {
        let found = self.by_client.get(&client).copied();
        if found.is_some() || !make {
            return found;
        }
        let place = self.watchers.insert(Watcher::new(client, now));
        self.by_client.insert(client, place);
        self.set_alarm(place);
        Some(place)
    }

    fn keys_of(&self, watcher: Place) -> Vec<WatchId> {
        let watcher = self.watchers.get(watcher);
        watcher.map_or_else(Vec::new, |watcher| watcher.watches.keys().copied().collect())
    }

    /// Begins a watch whose key has been counted by the machine, or begins it anew.
    fn add(&mut self, machine: &mut Machine, place: Place, key: WatchId, known: u64) {
        let Some(watcher) = self.watchers.get_mut(place) else { return };
        self.last_serial += 1;
        let serial = self.last_serial;
        let watch = match watcher.watches.get(&key) {
            Some(&watch) => {
                machine.unwatch(key);
                watch
            }
            None => {
                let of_key = self.by_key.entry(key).or_default();
                let (position, is_dirty) = (of_key.len(), false);
                let watch = Watch { watcher: place, key, position, known, serial, is_dirty };
                let watch = self.watches.insert(watch);
                of_key.push(watch);
                watcher.watches.insert(key, watch);
                watch
            }
        };
        if let Some(watch) = self.watches.get_mut(watch) {
            (watch.known, watch.serial, watch.is_dirty) = (known, serial, false);
        }
        self.mark(watch);
    }

    /// Ends a watch, if there is one.
    pub(super) fn remove(&mut self, machine: &mut Machine, watcher: Place, key: WatchId) {
        let watcher = self.watchers.get_mut(watcher);
        if let Some(watch) = watcher.and_then(|watcher| watcher.watches.remove(&key)) {
            self.drop_watch(machine, watch);
        }
    }

    fn drop_watch(&mut self, machine: &mut Machine, watch: Place) {
        let Some(Watch { key, position, .. }) = self.watches.take(watch) else { return };
        machine.unwatch(key);
        let Some(of_key) = self.by_key.get_mut(&key) else { return };
        of_key.swap_remove(position);
        if let Some(&moved) = of_key.get(position) {
            if let Some(moved) = self.watches.get_mut(moved) {
                moved.position = position;
            }
        } else if of_key.is_empty() {
            self.by_key.remove(&key);
        }
    }

    pub(super) fn forget(&mut self, machine: &mut Machine, place: Place) {
        self.land(place);
        let Some(watcher) = self.watchers.take(place) else { return };
        self.by_client.remove(&watcher.client);
        self.alarms.remove(&(watcher.alarm, place));
        for watch in watcher.watches.into_values() {
            self.drop_watch(machine, watch);
        }
    }

    /// Forgets a client without watches, and of the others what has ended.
    pub(super) fn tidy(&mut self, machine: &mut Machine, place: Place) {
        let Some(watcher) = self.watchers.get_mut(place) else { return };
        if watcher.watches.is_empty() {
            return self.forget(machine, place);
        }
        let watches = &self.watches;
        let lives = |dirty: Dirty| watches.get(dirty.watch).is_some_and(|watch| watch.is(dirty));
        watcher.dirty.sweep(watcher.watches.len(), lives);
    }
}

impl Watch {
    /// Whether this is the watch that was put into the queue, and it still stands there.
    pub(super) fn is(&self, dirty: Dirty) -> bool {
        self.is_dirty && self.serial == dirty.serial
    }
}
