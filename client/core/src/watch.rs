//! Watches: what this client has been told of each key, and what the server knows of that.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;

use crate::error::Error;
use crate::event::{Event, KeyState, WatchUpdate};

/// Names a watch of one client; no number is given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WatchId(pub(crate) u32);

/// All watches of a client. They are registered on one link, their home.
pub(crate) struct Watches {
    by_number: BTreeMap<u32, Watch>,
    by_key: BTreeMap<Box<[u8]>, u32>,
    /// Watches with something to tell, each once.
    ready: VecDeque<u32>,
    /// Refused by a server, and not yet told.
    ended: VecDeque<(u32, Error)>,
    pub(crate) home: Option<Home>,
    /// After a failure, nothing is registered before.
    pub(crate) rest_until: Moment,
    failures: u32,
    last_number: u32,
}

struct Watch {
    key: Box<[u8]>,
    /// Index of the last state that was told, or that the caller knew from before.
    known: u64,
    /// Coalesced until the caller takes it, so that a slow one costs one state a key.
    news: Option<(u64, KeyState)>,
}

/// The link that watches are registered on, and how far that has come.
pub(crate) struct Home {
    pub(crate) link: usize,
    /// The next request replaces everything that the server knows.
    afresh: bool,
    /// Watches that the server does not know yet.
    missing: BTreeSet<u32>,
    /// Keys that the server need not watch any more.
    dropped: BTreeSet<Box<[u8]>>,
    /// The request under way: its number, until when to wait, and the watches that it adds.
    pub(crate) asked: Option<(i32, Moment, Vec<u32>)>,
    /// The unanswered question whether the watches are still there.
    pub(crate) keep_alive: Option<(i32, Moment)>,
    /// The next such question is not before.
    pub(crate) next_keep_alive: Moment,
}

/// A request to a server about watches.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) afresh: bool,
    pub(crate) known: Vec<i64>,
    pub(crate) keys: Vec<Box<[u8]>>,
    pub(crate) added: Vec<u32>,
}

impl Watches {
    pub(crate) fn new() -> Watches {
        Watches {
            by_number: BTreeMap::new(),
            by_key: BTreeMap::new(),
            ready: VecDeque::new(),
            ended: VecDeque::new(),
            home: None,
            rest_until: Moment::ZERO,
            failures: 0,
            last_number: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// A new watch, unless there is one for this key.
    pub(crate) fn add(&mut self, key: &[u8], known: u64) -> Option<WatchId> {
        if self.by_key.contains_key(key) {
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        self.by_key.insert(key.into(), number);
        self.by_number.insert(number, Watch { key: key.into(), known, news: None });
        if let Some(home) = &mut self.home {
            home.dropped.remove(key);
            home.missing.insert(number);
        }
        Some(WatchId(number))
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let Some(watch) = self.by_number.remove(&number) else { return };
        self.by_key.remove(&watch.key);
        if watch.news.is_some() {
            self.ready.retain(|&other| other != number);
        }
        if let Some(home) = &mut self.home {
            home.missing.remove(&number);
            home.dropped.insert(watch.key);
        }
    }

    /// The server refuses a watch, which ends.
    pub(crate) fn refuse(&mut self, number: u32, error: Error) {
        if self.by_number.contains_key(&number) {
            self.remove(number);
            self.ended.push_back((number, error));
        }
    }

    /// From now on everything is registered on this link.
    pub(crate) fn move_to(&mut self, link: usize, now: Moment) {
        self.home = Some(Home {
            link,
            afresh: true,
            missing: self.by_number.keys().copied().collect(),
            dropped: BTreeSet::new(),
            asked: None,
            keep_alive: None,
            next_keep_alive: now,
        });
    }

    /// This link is down, or its server of no use.
    pub(crate) fn leave(&mut self, link: usize) {
        if self.is_home(link) {
            self.home = None;
        }
    }

    pub(crate) fn is_home(&self, link: usize) -> bool {
        self.home.as_ref().is_some_and(|home| home.link == link)
    }

    /// Takes what is to be told to the server next, as far as one request may go.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        let home = self.home.as_mut()?;
        if home.asked.is_some()
            || !home.afresh && home.missing.is_empty() && home.dropped.is_empty()
        {
            return None;
        }
        let mut batch = Batch { afresh: home.afresh, ..Batch::default() };
        if home.afresh {
            home.dropped.clear();
            home.afresh = false;
        }
        let mut bytes = 0;
        while batch.has_room(bytes) {
            let Some(key) = home.dropped.pop_first() else { break };
            bytes += key.len();
            batch.known.push(ENDS);
            batch.keys.push(key);
        }
        while batch.has_room(bytes) {
            let Some(number) = home.missing.pop_first() else { break };
            let Some(watch) = self.by_number.get(&number) else { continue };
            bytes += watch.key.len();
            // What the server tells of 0 is told again after a lost link: then it is not newer.
            batch.known.push(i64::try_from(watch.known).unwrap_or(i64::MAX));
            batch.keys.push(watch.key.clone());
            batch.added.push(number);
        }
        Some(batch)
    }

    /// How many watches the server has confirmed or will confirm at least.
    pub(crate) fn expected(&self) -> usize {
        match &self.home {
            Some(home) if home.asked.is_none() && !home.afresh => {
                self.by_number.len() - home.missing.len()
            }
            _ => 0,
        }
    }

    /// A server told a state; whether the key is watched.
    pub(crate) fn told(&mut self, key: &[u8], raft_index: u64, state: impl Into<KeyState>) -> bool {
        let Some(&number) = self.by_key.get(key) else { return false };
        let Some(watch) = self.by_number.get_mut(&number) else { return false };
        if raft_index > watch.known {
            watch.known = raft_index;
            if watch.news.replace((raft_index, state.into())).is_none() {
                self.ready.push_back(number);
            }
        }
        true
    }

    pub(crate) fn has_event(&self) -> bool {
        !self.ready.is_empty() || !self.ended.is_empty()
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        if let Some((number, error)) = self.ended.pop_front() {
            return Some(Event::Watch(WatchId(number), WatchUpdate::Ended(error)));
        }
        let number = self.ready.pop_front()?;
        let (raft_index, state) = self.by_number.get_mut(&number)?.news.take()?;
        Some(Event::Watch(WatchId(number), WatchUpdate::State { raft_index, state }))
    }

    /// A request has succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A request has failed: everything is registered again after a rest.
    pub(crate) fn failed(&mut self, now: Moment) {
        self.home = None;
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.rest_until = now + REST_MIN.saturating_mul(factor).min(REST_MAX);
        self.failures = self.failures.saturating_add(1);
    }
}

impl Batch {
    fn has_room(&self, bytes: usize) -> bool {
        self.keys.len() < BATCH_KEYS_MAX && bytes < BATCH_BYTES_MAX
    }
}

/// Known index of a watch that ends.
const ENDS: i64 = -1;
/// Keys of one request, and about how many bytes they have.
const BATCH_KEYS_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Pause after a failure; it doubles with each further one.
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);
