//! Puts of the benchmark in the background, and which of them were acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bench::Record;

use crate::process::{DEADLINE, Ports};

/// All puts of a test that were acknowledged, over the lives of a node.
#[derive(Clone, Default)]
pub(crate) struct Acknowledged(Arc<Book>);

#[derive(Default)]
struct Book {
    puts: Mutex<Puts>,
    grown: Condvar,
}

#[derive(Clone, Default)]
struct Puts {
    /// Highest number by key.
    numbers: BTreeMap<u64, u64>,
    count: u64,
    /// Of the load that is started next.
    first_number: u64,
}

/// Numbers of one load; no load has more puts.
const NUMBERS: u64 = 1 << 32;
const DIRECTORY: &str = "load";

impl Acknowledged {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.puts.lock().unwrap().count
    }

    /// Waits until there are that many, as long as they grow.
    pub(crate) fn wait_for(&self, count: u64) {
        let mut puts = self.0.puts.lock().unwrap();
        while puts.count < count {
            let (grown, waited) = self.0.grown.wait_timeout(puts, DEADLINE).unwrap();
            assert!(!waited.timed_out(), "no more than {} of {count} puts", grown.count);
            puts = grown;
        }
    }

    /// Asks a node for each of them; a later put to the same key is right, too. Returns how many
    /// keys it has asked for.
    pub(crate) fn verify(&self, ports: Ports) -> usize {
        let puts = self.0.puts.lock().unwrap().clone();
        let verification = bench::verify(ports.client(), DIRECTORY, &puts.numbers).unwrap();
        assert_eq!(verification.lost, [], "of {} acknowledged puts", puts.count);
        puts.numbers.len()
    }

    /// Starts to load a node, until [`Load::end`], which waits for `patience` if the node is gone.
    pub(crate) fn load(&self, ports: Ports, value_bytes: usize, patience: Duration) -> Load {
        let first_number = {
            let mut puts = self.0.puts.lock().unwrap();
            puts.first_number += NUMBERS;
            puts.first_number
        };
        let client = client::Options { call_timeout: patience, ..ports.client() };
        let (book, stop) = (self.0.clone(), Arc::new(AtomicBool::new(false)));
        let record = Record::new(move |acknowledged| {
            let mut puts = book.puts.lock().unwrap();
            puts.numbers.extend(acknowledged.iter().map(|put| (put.key, put.number)));
            puts.count += acknowledged.len() as u64;
            book.grown.notify_all();
        });
        let options = bench::Options {
            value_bytes,
            keys: 1024,
            in_flight: 256,
            directory: DIRECTORY.to_owned(),
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(3600),
            // Other keys for each load.
            seed: first_number,
            record: Some(record),
            first_number,
            stop: stop.clone(),
            ..bench::Options::new(client)
        };
        let run = move || bench::run(&options, &mut |_| {}).map(drop);
        Load { stop, thread: Some(thread::spawn(run)) }
    }
}

/// A load that runs; ended when dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), bench::BenchError>>>,
}

impl Load {
    /// Lets no more puts follow those that are in flight.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends it. After that nothing is acknowledged any more.
    pub(crate) fn end(mut self) {
        self.stop();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}
