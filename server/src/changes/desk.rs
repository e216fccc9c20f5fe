//! Who waits for which changes, as plain data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use kv_api::{WatchEvent, WatchState};
use moment::Moment;

use super::keys::{Keys, ancestors, first_below};
use crate::caller::Caller;
use crate::watches::ClientId;

/// Limits of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangesLimits {
    /// Requests for changes that wait at the same time.
    pub readers_max: usize,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) caller: Caller,
    pub(super) keys: Keys,
    /// The first index that it wants.
    pub(super) from: u64,
    /// How many changes of that index it has.
    pub(super) skip: u32,
    /// A part of the log was looked through for it.
    pub(super) is_begun: bool,
    /// When it is answered at the latest.
    pub(super) until: Moment,
}

/// Names a request that waits; none is used twice.
pub(super) type ReaderId = u64;

/// The requests that wait in a group.
pub(super) struct Desk {
    limits: ChangesLimits,
    readers: BTreeMap<ReaderId, Reader>,
    by_client: BTreeSet<(ClientId, ReaderId)>,
    alarms: BTreeSet<(Moment, ReaderId)>,
    /// Those who have seen everything up to `told`, by each of their keys.
    parked: BTreeMap<Box<[u8]>, BTreeSet<ReaderId>>,
    parked_count: usize,
    /// Those who want something older, in turn. Some may be gone.
    behind: VecDeque<ReaderId>,
    told: u64,
    last_id: ReaderId,
}

impl Desk {
    pub(super) fn new(limits: ChangesLimits) -> Desk {
        Desk {
            limits,
            readers: BTreeMap::new(),
            by_client: BTreeSet::new(),
            alarms: BTreeSet::new(),
            parked: BTreeMap::new(),
            parked_count: 0,
            behind: VecDeque::new(),
            told: 0,
            last_id: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Whether a connection may have one more request waiting. All of its answers may leave at the same
    /// time.
    pub(super) fn has_room(&self, client: ClientId) -> bool {
        let of_client = self.by_client.range(all_of(client)).take(READERS_OF_CLIENT_MAX).count();
        self.readers.len() < self.limits.readers_max && of_client < READERS_OF_CLIENT_MAX
    }

    /// Takes a request of a group that has applied everything up to `applied`.
    pub(super) fn add(&mut self, reader: Reader, applied: u64) {
        self.last_id += 1;
        let id = self.last_id;
        self.by_client.insert((reader.caller.client(), id));
        self.readers.insert(id, reader);
        self.settle(id, applied);
    }

    /// Parks a request that wants nothing older than what the parked ones are told next; others get
    /// in line.
    pub(super) fn settle(&mut self, id: ReaderId, applied: u64) {
        let Some(reader) = self.readers.get(&id) else { return };
        if self.parked_count == 0 {
            self.told = applied;
        }
        let is_behind = reader.from <= self.told;
        if !is_behind || reader.is_begun {
            // Whoever does not want to wait gets something nevertheless, if there is something.
            self.alarms.insert((reader.until, id));
        }
        if is_behind {
            return self.behind.push_back(id);
        }
        self.parked_count += 1;
        for key in &reader.keys {
            self.parked.entry(key.clone()).or_default().insert(id);
        }
    }

    /// Up to where those who are parked have seen everything, if there are any.
    pub(super) fn told(&self) -> Option<u64> {
        (self.parked_count > 0).then_some(self.told)
    }

    pub(super) fn parked_count(&self) -> usize {
        self.parked_count
    }

    pub(super) fn note_told(&mut self, index: u64) {
        self.told = self.told.max(index);
    }

    /// The next request that wants something older; it comes back by [`Desk::settle`].
    pub(super) fn next_behind(&mut self) -> Option<(ReaderId, &Reader)> {
        loop {
            let id = self.behind.pop_front()?;
            if self.readers.contains_key(&id) {
                return self.readers.get(&id).map(|reader| (id, reader));
            }
        }
    }

    pub(super) fn get_mut(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.readers.get_mut(&id)
    }

    /// Whoever is parked and wants to know of this, perhaps more than once.
    pub(super) fn concerned(&self, event: &WatchEvent<'_>) -> impl Iterator<Item = ReaderId> {
        let key = event.key;
        let exact = core::iter::once(key).chain(ancestors(key));
        let above = exact.filter_map(|key| self.parked.get(key));
        // What is gone took all below with it.
        let first = first_below(key);
        let is_gone = event.state == WatchState::Missing;
        let bounds = (Bound::Included(&first[..]), Bound::Unbounded);
        let below = self.parked.range::<[u8], _>(bounds);
        let below = below.take_while(|(key, _)| is_gone && key.starts_with(&first));
        let below: Vec<_> = below.map(|(_, readers)| readers).collect();
        above.chain(below).flatten().copied()
    }

    /// All who are parked.
    pub(super) fn parked(&self) -> Vec<ReaderId> {
        let all: BTreeSet<_> = self.parked.values().flatten().copied().collect();
        all.into_iter().collect()
    }

    pub(super) fn remove(&mut self, id: ReaderId) -> Option<Reader> {
        let reader = self.readers.remove(&id)?;
        self.by_client.remove(&(reader.caller.client(), id));
        self.alarms.remove(&(reader.until, id));
        let mut was_parked = false;
        for key in &reader.keys {
            if let Some(readers) = self.parked.get_mut(key) {
                was_parked |= readers.remove(&id);
                if readers.is_empty() {
                    self.parked.remove(key);
                }
            }
        }
        self.parked_count -= usize::from(was_parked);
        Some(reader)
    }

    /// Forgets the requests of a connection that is gone.
    pub(super) fn close(&mut self, client: ClientId) {
        let ids: Vec<_> = self.by_client.range(all_of(client)).map(|(_, id)| *id).collect();
        for id in ids {
            drop(self.remove(id));
        }
    }

    /// Takes all requests.
    pub(super) fn take_all(&mut self) -> Vec<Reader> {
        let ids: Vec<_> = self.readers.keys().copied().collect();
        ids.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// When the next request has to be answered.
    pub(super) fn next_alarm(&self) -> Option<Moment> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Takes a request whose time is over, with the index from which on it has to ask again.
    pub(super) fn next_over(&mut self, now: Moment) -> Option<Reader> {
        let &(at, id) = self.alarms.first()?;
        if at > now {
            return None;
        }
        let parked_count = self.parked_count;
        let mut reader = self.remove(id)?;
        let was_parked = self.parked_count < parked_count;
        if was_parked && reader.from <= self.told {
            (reader.from, reader.skip) = (self.told + 1, 0);
        }
        Some(reader)
    }
}

/// As many as a connection may have gets and lists.
const READERS_OF_CLIENT_MAX: usize = 32;

fn all_of(client: ClientId) -> core::ops::RangeInclusive<(ClientId, ReaderId)> {
    (client, ReaderId::MIN)..=(client, ReaderId::MAX)
}
