//! A client program that watches keys, and notes what it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::fiber::Client;
use client::{GroupId, KeyState, Options, ProcessId, Server};
use runtime::{FiberGroup, Shard};

/// What a watcher is to do.
#[derive(Clone, Debug)]
pub struct WatcherPlan {
    /// Its number among the watchers.
    pub number: u16,
    /// The group that it watches.
    pub group: GroupId,
    /// The servers.
    pub servers: Vec<Server>,
    /// The keys.
    pub keys: Vec<Vec<u8>>,
}

/// Something that a watcher was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sight {
    /// Which life of the watcher.
    pub life: u64,
    /// The key.
    pub key: Vec<u8>,
    /// The entry that made the state.
    pub index: u64,
    /// The state.
    pub state: KeyState,
}

/// A watcher; clones are the same.
#[derive(Clone)]
pub struct Watcher {
    plan: Arc<WatcherPlan>,
    sights: Arc<Mutex<Vec<Sight>>>,
    life: u64,
}

impl Watcher {
    /// One that has not begun.
    pub fn new(plan: WatcherPlan) -> Watcher {
        Watcher { plan: Arc::new(plan), sights: Arc::default(), life: 0 }
    }

    /// What it is to do.
    pub fn plan(&self) -> &WatcherPlan {
        &self.plan
    }

    /// Another life, in which it knows nothing.
    pub fn reborn(&mut self) -> Watcher {
        self.life += 1;
        self.clone()
    }

    /// All that it was told.
    pub fn sights(&self) -> Vec<Sight> {
        self.locked().clone()
    }

    /// What it was told last of a key in its present life.
    pub fn last_sight(&self, key: &[u8]) -> Option<Sight> {
        let sights = self.locked();
        let of_key = |sight: &&Sight| sight.life == self.life && sight.key == key;
        sights.iter().rev().find(of_key).cloned()
    }

    /// Watches until it is killed.
    pub async fn run(self, shard: Shard) {
        let process = ProcessId { high: u64::from(self.plan.number) + 1, low: !self.life };
        let options = Options {
            group: self.plan.group,
            reconnect_delay_min: Duration::from_millis(2),
            reconnect_delay_max: Duration::from_millis(100),
            connect_timeout: Duration::from_millis(500),
            call_timeout: Duration::from_secs(1),
            watch_keep_alive: Duration::from_millis(500),
            ..Options::new(self.plan.servers.clone(), process)
        };
        let Ok(client) = Client::new(&shard, options) else { return };
        let fibers = FiberGroup::new(&shard, "watches");
        for key in self.plan.keys.clone() {
            drop(fibers.spawn("watch", self.clone().watch(client.clone(), key)));
        }
        fibers.join().await;
    }

    async fn watch(self, client: Client, key: Vec<u8>) {
        let Ok(mut watch) = client.watch(&key, 0) else { return };
        while let Ok((index, state)) = watch.next().await {
            let sight = Sight { life: self.life, key: key.clone(), index, state };
            self.locked().push(sight);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Sight>> {
        self.sights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
