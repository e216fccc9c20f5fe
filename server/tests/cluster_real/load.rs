//! Clients that read and write a few keys all the time, one call after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use client::blocking::Client;
use client::operations::{GetFrom, Node, ReadMode};
use client::{Error, NodeId, Server};
use sim::check::Action;

use crate::cluster::{NODES, client};
use crate::history::{History, Open};
use crate::random::below;

/// Clients at the same time.
const CLIENTS: usize = 4;
/// Keys of one round: few enough that the clients meet.
const KEYS: u64 = 12;
/// The clients; they end with this value.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    servers: Vec<Server>,
    /// Of a call; what takes longer is not known.
    patience: Duration,
    history: Arc<History>,
    /// Which keys are in use.
    round: AtomicU64,
    /// Every written value is another one.
    value: AtomicU32,
    stop: AtomicBool,
}

impl Load {
    pub(crate) fn start(servers: &[Server], history: &Arc<History>, patience: Duration) -> Load {
        let shared = Arc::new(Shared {
            servers: servers.to_vec(),
            patience,
            history: history.clone(),
            round: AtomicU64::new(0),
            value: AtomicU32::new(0),
            stop: AtomicBool::new(false),
        });
        let threads = shared.spawn();
        Load { shared, threads }
    }

    /// A key that the clients use now.
    pub(crate) fn any_key(&self) -> u64 {
        self.shared.any_key()
    }

    /// Ends the clients' calls, reads every key back, and checks the history so far. Afterwards the
    /// clients go on with other keys.
    pub(crate) fn check(mut self) -> (crate::history::Checked, Load) {
        self.end();
        let round = self.shared.round.load(Ordering::Relaxed);
        let mut reader = client(&self.shared.servers, crate::process::DEADLINE);
        for key in round * KEYS..(round + 1) * KEYS {
            let open = self.shared.history.invoke();
            let found = reader.get(name(key).as_bytes()).unwrap();
            self.shared.history.returned(key, open, Action::Read(number(found)));
        }
        let checked = self.shared.history.check();
        self.shared.round.store(round + 1, Ordering::Relaxed);
        self.shared.stop.store(false, Ordering::Relaxed);
        self.threads = self.shared.spawn();
        (checked, self)
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of a client has been printed, and the test fails for another reason already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let thread = |_| {
            let shared = self.clone();
            std::thread::spawn(move || shared.run())
        };
        (0..CLIENTS).map(thread).collect()
    }

    fn any_key(&self) -> u64 {
        self.round.load(Ordering::Relaxed) * KEYS + below(KEYS)
    }

    fn run(&self) {
        let mut client = client(&self.servers, self.patience);
        let mut seen = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let key = self.any_key();
            let open = self.history.invoke();
            let result = match below(8) {
                0..=2 => self.put(&mut client, key, open),
                3 => self.swap(&mut client, (key, seen), open),
                4 => self.read_anywhere(&mut client, key, open, &mut seen),
                _ => self.read(&mut client, key, open, &mut seen),
            };
            if result.is_err() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn put(&self, client: &mut Client, key: u64, open: Open) -> Result<(), Error> {
        let value = self.value.fetch_add(1, Ordering::Relaxed) + 1;
        let reply = client.put(name(key).as_bytes(), value.to_string().as_bytes());
        let told = |existed| Action::Write(value, existed);
        self.written(key, open, reply.map(|reply| reply.overwritten), told)
    }

    fn swap(&self, client: &mut Client, (key, seen): (u64, u32), open: Open) -> Result<(), Error> {
        let value = self.value.fetch_add(1, Ordering::Relaxed) + 1;
        let (expected, new) = (seen.to_string(), value.to_string());
        let expected = (seen > 0).then_some(expected.as_bytes());
        let reply = client.compare_and_set(name(key).as_bytes(), expected, Some(new.as_bytes()));
        let told = |swapped| Action::Swap(seen, value, swapped);
        self.written(key, open, reply.map(|reply| reply.swapped), told)
    }

    fn written(
        &self,
        key: u64,
        open: Open,
        reply: Result<bool, Error>,
        told: impl Fn(Option<bool>) -> Action,
    ) -> Result<(), Error> {
        match reply {
            Ok(answer) => self.history.returned(key, open, told(Some(answer))),
            Err(error @ (Error::OutcomeUnknown(_) | Error::Protocol(_))) => {
                self.history.unknown(key, open, told(None));
                return Err(error);
            }
            // It was not carried out.
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn read(&self, client: &mut Client, key: u64, open: Open, seen: &mut u32) -> Result<(), Error> {
        *seen = number(client.get(name(key).as_bytes())?);
        self.history.returned(key, open, Action::Read(*seen));
        Ok(())
    }

    /// A linearizable read of a node that need not lead.
    fn read_anywhere(
        &self,
        client: &mut Client,
        key: u64,
        open: Open,
        seen: &mut u32,
    ) -> Result<(), Error> {
        let node = NodeId(NODES[below(3) as usize] as i32);
        let text = name(key);
        let read = GetFrom { key: text.as_bytes(), node, mode: ReadMode::Linearizable };
        *seen = number(client.call(&read)?);
        self.history.returned(key, open, Action::Read(*seen));
        Ok(())
    }
}

pub(crate) fn name(key: u64) -> String {
    format!("k{key}")
}

/// The value as a number; 0 is no key.
pub(crate) fn number(node: Option<Node>) -> u32 {
    node.map_or(0, |node| String::from_utf8(node.value).unwrap().parse().unwrap())
}
