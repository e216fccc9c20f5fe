//! Writes that clients were told are done, or at least were begun.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::fiber::Client;
use client::{GroupId, Options, ProcessId, Server};
use raft_core::NodeId;
use runtime::Shard;
use runtime::sim::NodeKey;
use server::machine::KvStateMachine;

use crate::violation::{Rule, Violation};

/// A key that is written once, perhaps in several attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// The key.
    pub key: String,
    /// Length of its value, which follows from key and length.
    pub bytes: usize,
    /// Whether a client was told that it is done.
    pub is_acknowledged: bool,
}

/// All writes of a run, in the order in which they began; clones are the same ledger.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Write>>>);

impl Ledger {
    /// A ledger that goes on from these writes.
    pub fn of(writes: Vec<Write>) -> Ledger {
        Ledger(Arc::new(Mutex::new(writes)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Write>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All writes so far.
    pub fn writes(&self) -> Vec<Write> {
        self.lock().clone()
    }

    /// How many writes have begun, and how many of them are acknowledged.
    pub fn counts(&self) -> (usize, usize) {
        let writes = self.lock();
        (writes.len(), writes.iter().filter(|write| write.is_acknowledged).count())
    }

    fn begin(&self, key: &str, bytes: usize) {
        self.lock().push(Write { key: key.to_owned(), bytes, is_acknowledged: false });
    }

    fn acknowledge(&self, key: &str) {
        if let Some(write) = self.lock().iter_mut().rfind(|write| write.key == key) {
            write.is_acknowledged = true;
        }
    }

    /// Whether a node's state is what these writes make of it: all that are acknowledged, whole, and
    /// nothing else than what was begun.
    ///
    /// # Errors
    /// The first key that is lost, damaged or from nowhere.
    pub fn check(&self, node: NodeKey, machine: &KvStateMachine) -> Result<(), Violation> {
        let tree = machine.tree();
        let mut found = 0;
        for Write { key, bytes, is_acknowledged } in self.lock().iter() {
            match tree.get(key.as_bytes()) {
                Ok(held) if held.value == value_of(key, *bytes) => found += 1,
                Ok(held) => {
                    let what = format!("{node}: {key} has {} other bytes", held.value.len());
                    return Err(Violation::new(Rule::Damage, what));
                }
                Err(_) if *is_acknowledged => {
                    let what = format!("{node}: {key} was acknowledged and is lost");
                    return Err(Violation::new(Rule::Answer, what));
                }
                Err(_) => {}
            }
        }
        if tree.len() != found {
            let what = format!("{node}: {} keys, of which {found} were written", tree.len());
            return Err(Violation::new(Rule::Damage, what));
        }
        Ok(())
    }
}

/// The value of a key: its bytes tell which key it belongs to and where in the value they are.
fn value_of(key: &str, bytes: usize) -> Vec<u8> {
    let seed = key.bytes().fold(7_u8, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte));
    (0..bytes).map(|place| seed.wrapping_add((place % 251) as u8)).collect()
}

/// A client program that makes some writes, one after the other, each until it is acknowledged.
#[derive(Clone)]
pub struct Writer {
    /// The servers.
    pub servers: Vec<Server>,
    /// What tells it apart from other programs.
    pub number: u16,
    /// Keys, and lengths of their values.
    pub writes: Vec<(String, usize)>,
    /// Where it notes what it did.
    pub ledger: Ledger,
    /// Pause between two writes.
    pub pause: Duration,
}

/// Pause before a write is tried again.
const RETRY: Duration = Duration::from_millis(5);
/// Patience with one attempt.
const PATIENCE: Duration = Duration::from_millis(400);

impl Writer {
    /// Makes all writes.
    pub async fn run(self, shard: Shard) {
        let process = ProcessId { high: u64::from(self.number) + 1, low: 1 };
        let options = Options {
            group: GroupId(0),
            call_timeout: PATIENCE,
            connect_timeout: PATIENCE,
            reconnect_delay_min: Duration::from_millis(2),
            reconnect_delay_max: Duration::from_millis(20),
            search_interval: Duration::from_millis(5),
            ..Options::new(self.servers.clone(), process)
        };
        let Ok(client) = Client::new(&shard, options) else { return };
        for (key, bytes) in &self.writes {
            self.ledger.begin(key, *bytes);
            let value = value_of(key, *bytes);
            while client.put(key.as_bytes(), &value).await.is_err() {
                shard.clock().sleep(RETRY).await;
            }
            self.ledger.acknowledge(key);
            if !self.pause.is_zero() {
                shard.clock().sleep(self.pause).await;
            }
        }
    }
}

/// The node that raft knows by this number.
pub fn id_of(node: NodeKey) -> NodeId {
    NodeId(u32::from(node.0))
}
