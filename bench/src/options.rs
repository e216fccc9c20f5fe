//! What to do, how much of it, and for how long.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use client::GroupId;

use crate::record::Record;
use crate::value::HEAD_BYTES;

/// The operation that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// Set values.
    Put,
    /// Read values, which are set first.
    Get,
}

/// A run; [`Options::new`] gives the usual one.
#[derive(Clone)]
pub struct Options {
    /// The servers and the limits of the client. Its limit of calls and its number of connections
    /// are set by this crate.
    pub client: client::Options,
    /// What is measured.
    pub load: Load,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Keys, each as likely as the others.
    pub keys: u64,
    /// The directory of the keys; it is made first.
    pub directory: String,
    /// Groups from the client's on, each with its share of the operations and connections of its own.
    pub groups: usize,
    /// Operations in flight, all threads together.
    pub in_flight: usize,
    /// Connections to each server, all threads together.
    pub connections: usize,
    /// Threads, each with its share of operations and connections.
    pub threads: usize,
    /// How long a thread that waits for answers looks for them without sleeping.
    pub busy_poll: Duration,
    /// Time before the measurement.
    pub warm_up: Duration,
    /// Time of the measurement.
    pub duration: Duration,
    /// The keys come in the same order for the same seed.
    pub seed: u64,
    /// For the report: whether the servers sync before they answer.
    pub durable: Option<bool>,
    /// Is told of every acknowledged put, also of those before and after the measurement.
    pub record: Option<Record>,
    /// The number of the first put, from which the others rise. A run that continues another one
    /// starts above its last number.
    pub first_number: u64,
    /// Ends the run early when it becomes true.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// Puts of 256 bytes to 10,000 keys, 2,000 in flight over one connection, for 10 s after a
    /// warm-up of 3 s.
    pub fn new(client: client::Options) -> Options {
        Options {
            client,
            load: Load::Put,
            value_bytes: 256,
            keys: 10_000,
            directory: "benchmark".to_owned(),
            groups: 1,
            in_flight: 2_000,
            connections: 1,
            threads: 1,
            busy_poll: Duration::ZERO,
            warm_up: Duration::from_secs(3),
            duration: Duration::from_secs(10),
            seed: 1,
            durable: None,
            record: None,
            first_number: 1,
            stop: Arc::default(),
        }
    }

    /// Says what is wrong with these options, if anything is.
    pub fn check(&self) -> Result<(), BenchError> {
        let wrong = |what| Err(BenchError::Options(what));
        if self.keys == 0 {
            return wrong("there must be at least one key");
        }
        if self.threads == 0 || self.connections < self.threads || self.in_flight < self.threads {
            return wrong("every thread needs a connection and an operation in flight");
        }
        if self.groups == 0 || self.in_flight < self.threads * self.groups {
            return wrong("every thread needs an operation in flight for each group");
        }
        if self.groups > 1 && self.record.is_some() {
            return wrong("only the puts of one group can be recorded");
        }
        if self.duration.is_zero() {
            return wrong("the duration is zero");
        }
        if self.value_bytes == 0 {
            return wrong("a value has at least one byte");
        }
        if self.record.is_some() {
            if self.load != Load::Put || self.value_bytes < HEAD_BYTES {
                return wrong("only puts of at least 16 bytes can be recorded");
            }
            // No key has two puts in flight, and keys are given up after unknown outcomes.
            if self.keys / 4 < self.in_flight as u64 {
                return wrong("a record needs four keys for each operation in flight");
            }
        }
        match self.client.check() {
            Ok(()) => Ok(()),
            Err(error) => Err(BenchError::Client(error)),
        }
    }

    /// The options of a client that has this share of what is in flight.
    pub(crate) fn client_of(
        &self,
        group: usize,
        in_flight: usize,
        connections: usize,
    ) -> client::Options {
        client::Options {
            group: GroupId(self.client.group.0 + group as i32),
            calls_max: in_flight,
            call_bytes_max: in_flight.saturating_mul(self.value_bytes + CALL_BYTES),
            connections_per_server: connections,
            client: client::new_process_id(),
            ..self.client.clone()
        }
    }
}

/// More than a small operation takes besides its value.
const CALL_BYTES: usize = 1_024;

/// Why a run did not take place.
#[derive(Debug)]
pub enum BenchError {
    /// The options contradict themselves.
    Options(&'static str),
    /// The options of the client are wrong.
    Client(client::OptionsError),
    /// The directory could not be made, or the values could not be set or read.
    Prepare(client::Error),
}

impl fmt::Display for BenchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Options(what) => formatter.write_str(what),
            BenchError::Client(error) => error.fmt(formatter),
            BenchError::Prepare(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for BenchError {}
