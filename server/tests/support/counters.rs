//! Counters that clients raise by compare-and-set, and what of them was acknowledged.
//!
//! A lost write shows at once, because the next one expects it; one that was carried out twice
//! does, too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::fiber::Client;
use client::{Error, operations};
use runtime::sim::{NodeKey, World};
use runtime::{FiberGroup, Shard};
use server::config::Config;

use crate::simulated::{LIMIT, PROGRAMS, client, start_program};

/// What is known about counters. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    counters: Arc<Mutex<BTreeMap<String, Counter>>>,
    refusals: Arc<Mutex<Vec<Error>>>,
    stopped: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Counter {
    acknowledged: u64,
    /// One more may have been counted.
    in_doubt: bool,
}

/// Counters of a group, each with one call in flight.
const COUNTERS: u32 = 4;
/// Bytes of a value besides the count, so that log files fill up.
const PADDING: usize = 700;
/// Pause after a call that did not succeed.
const PAUSE: Duration = Duration::from_millis(2);

impl Ledger {
    /// Sum of all acknowledged counts.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.counters.lock().unwrap().values().map(|counter| counter.acknowledged).sum()
    }

    /// Calls that were certainly not carried out, each with what was said about it.
    pub(crate) fn take_refusals(&self) -> Vec<Error> {
        std::mem::take(&mut self.refusals.lock().unwrap())
    }

    /// Starts a program for each group of a node, which raises counters until [`Ledger::stop`].
    pub(crate) fn start(&self, world: &World, config: &Config) {
        for (program, group) in programs(config) {
            let (config, ledger) = (config.clone(), self.clone());
            start_program(world, program, move |shard: Shard| {
                let client = client(&shard, &config, group, 1);
                ledger.clone().count(shard, client, group)
            });
        }
    }

    /// Lets the programs come to their ends.
    pub(crate) fn stop(&self, world: &World) {
        self.stopped.store(true, Ordering::Relaxed);
        let have_ended =
            |world: &World| (0..100).all(|number| !world.is_running(NodeKey(PROGRAMS.0 + number)));
        assert_eq!(world.run_until(have_ended, LIMIT), Ok(true));
        self.stopped.store(false, Ordering::Relaxed);
    }

    /// Compares every counter of a node that serves with what is stored.
    pub(crate) fn verify(&self, world: &World, config: &Config) {
        for (program, group) in programs(config) {
            let (config, ledger) = (config.clone(), self.clone());
            start_program(world, program, move |shard: Shard| {
                let client = client(&shard, &config, group, 1);
                ledger.clone().compare(client, group)
            });
            assert_eq!(world.run_until(|world| !world.is_running(program), LIMIT), Ok(true));
        }
    }

    async fn count(self, shard: Shard, client: Client, group: i32) {
        let fibers = FiberGroup::new(&shard, "counters");
        for number in 0..COUNTERS {
            let (ledger, shard, client) = (self.clone(), shard.clone(), client.clone());
            let counting = async move {
                let name = format!("{group}-{number}");
                while !ledger.stopped.load(Ordering::Relaxed) {
                    if !ledger.raise(&client, &name).await {
                        shard.clock().sleep(PAUSE).await;
                    }
                }
            };
            drop(fibers.spawn("counter", counting));
        }
        fibers.join().await;
    }

    /// Tries to count one more; true when that was acknowledged.
    async fn raise(&self, client: &Client, name: &str) -> bool {
        let Counter { acknowledged, in_doubt } = self.get(name);
        let next = acknowledged + 1;
        let expected = (acknowledged > 0).then(|| value(acknowledged));
        let new = value(next);
        let swap = operations::CompareAndSet {
            key: name.as_bytes(),
            expected: expected.as_deref(),
            new: Some(&new),
        };
        match client.call(&swap).await {
            Ok(reply) if reply.swapped => self.set(name, next, false),
            Ok(_) => {
                assert!(in_doubt, "{name}: {acknowledged} was acknowledged and is not there");
                // The call whose answer was lost was carried out.
                self.set(name, next, false);
            }
            Err(Error::OutcomeUnknown(_)) => {
                self.set(name, acknowledged, true);
                return false;
            }
            Err(error) => {
                assert!(error.is_safe_to_retry(), "{name}: {error}");
                self.refusals.lock().unwrap().push(error);
                return false;
            }
        }
        true
    }

    async fn compare(self, client: Client, group: i32) {
        let counters = self.counters.lock().unwrap().clone();
        let group = format!("{group}-");
        for (name, counter) in counters.iter().filter(|(name, _)| name.starts_with(&group)) {
            let node = client.get(name.as_bytes()).await.unwrap();
            let found = node.map_or(0, |node| count(&node.value));
            let range = counter.acknowledged..=counter.acknowledged + u64::from(counter.in_doubt);
            assert!(range.contains(&found), "{name}: found {found}, expected {counter:?}");
        }
    }

    fn get(&self, name: &str) -> Counter {
        self.counters.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    fn set(&self, name: &str, acknowledged: u64, in_doubt: bool) {
        let counter = Counter { acknowledged, in_doubt };
        self.counters.lock().unwrap().insert(name.to_owned(), counter);
    }
}

/// The program of each group.
fn programs(config: &Config) -> impl Iterator<Item = (NodeKey, i32)> + use<> {
    let groups: Vec<i32> = config.groups.iter().map(|group| group.id).collect();
    (PROGRAMS.0..).map(NodeKey).zip(groups)
}

fn value(count: u64) -> Vec<u8> {
    let mut value = count.to_le_bytes().to_vec();
    value.resize(value.len() + PADDING, 0xa5);
    value
}

fn count(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.first_chunk().unwrap())
}
