//! Locks that go round three clients, as fast as they can: whoever gets one back finds another client
//! waiting already.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use client::blocking::{Client, Pipeline};
use client::{LockEvent, LockId, LockOptions};
use serde::Serialize;

use crate::options::{BenchError, Options};
use crate::report::Tally;

/// What came out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LockReport {
    /// `lock`.
    pub op: &'static str,
    /// How often in a second a lock went from one client to another.
    pub handovers_per_s: f64,
    /// Median time from the request that gives a lock back to the news that the other client holds
    /// it, in microseconds, as the next ones.
    pub p50_us: f64,
    /// 99 of 100 are not slower.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// Locks.
    pub locks: usize,
    /// Locks that were lost or could not be had.
    pub errors: u64,
    /// Seconds measured.
    pub seconds: f64,
}

/// Long enough that no lease is renewed or ends meanwhile.
const LEASE: Duration = Duration::from_secs(600);
/// How long giving everything back may take.
const END_MAX: Duration = Duration::from_secs(5);

/// One of the clients that every lock goes round.
struct Side {
    pipeline: Pipeline,
    locks: BTreeMap<LockId, usize>,
}

impl Side {
    fn new(options: &Options, locks: usize) -> Result<Side, BenchError> {
        // A lock has a request under way when it is given back, and one when it is asked for.
        let client = options.client_of(0, 2 * locks, 1);
        let mut pipeline = Pipeline::new(client).map_err(BenchError::Client)?;
        pipeline.set_busy_poll(options.busy_poll);
        Ok(Side { pipeline, locks: BTreeMap::new() })
    }

    fn ask(&mut self, number: usize, key: &[u8]) -> Result<(), BenchError> {
        let options = LockOptions { renew: false, ..LockOptions::new(LEASE) }.waiting(LEASE);
        let asked = self.pipeline.with_core(|core, now| core.lock(key, options, now));
        self.locks.insert(asked.map_err(BenchError::Prepare)?, number);
        Ok(())
    }

    /// Gives everything back, so that the next run finds nothing held.
    fn end(&mut self) {
        for lock in std::mem::take(&mut self.locks).into_keys() {
            self.pipeline.with_core(|core, now| core.unlock(lock, now));
        }
        let until = std::time::Instant::now() + END_MAX;
        while self.pipeline.in_flight() > 0 && std::time::Instant::now() < until {
            self.pipeline.poll(Duration::from_millis(1), |_| {});
        }
    }

    /// Gives back what it holds, and asks again for what it has given back.
    fn turn(&mut self, run: &mut Run) -> Result<usize, BenchError> {
        self.pipeline.poll(Duration::ZERO, |_| {});
        let mut count = 0;
        while let Some((lock, event)) = self.pipeline.with_core(|core, _| core.next_lock_event()) {
            match event {
                LockEvent::Acquired { .. } => {
                    let Some(&number) = self.locks.get(&lock) else { continue };
                    let now = self.pipeline.now();
                    run.acquired(number);
                    count += 1;
                    self.pipeline.with_core(|core, _| core.unlock(lock, now));
                    run.given_back[number] = Some(std::time::Instant::now());
                }
                LockEvent::Released => {
                    if let Some(number) = self.locks.remove(&lock) {
                        self.ask(number, &run.keys[number])?;
                    }
                }
                _ => run.errors += 1,
            }
        }
        Ok(count)
    }
}

struct Run {
    keys: Vec<Vec<u8>>,
    given_back: Vec<Option<std::time::Instant>>,
    tally: Tally,
    errors: u64,
}

impl Run {
    fn acquired(&mut self, number: usize) {
        if let Some(begun) = self.given_back[number].take() {
            self.tally.add_latency(begun.elapsed().as_nanos() as u64);
        }
    }
}

/// Lets so many locks go round three clients.
///
/// # Errors
/// When the options are wrong or the directory cannot be made.
pub fn run_locks(options: &Options, locks: usize) -> Result<LockReport, BenchError> {
    options.check()?;
    let client = Client::new(options.client_of(0, 1, 1));
    let mut client = client.map_err(BenchError::Client)?;
    client.mkdir(options.directory.as_bytes()).map_err(BenchError::Prepare)?;
    let keys = (0..locks).map(|number| format!("{}.lock{number}", options.directory).into_bytes());
    let mut run =
        Run { keys: keys.collect(), given_back: vec![None; locks], tally: Tally::new(), errors: 0 };
    let side = || Side::new(options, locks);
    let mut sides = [side()?, side()?, side()?];
    for (number, key) in run.keys.iter().enumerate() {
        for side in &mut sides {
            side.ask(number, key)?;
        }
    }
    let started = std::time::Instant::now();
    let mut measured_from = None;
    loop {
        for side in &mut sides {
            side.turn(&mut run)?;
        }
        let elapsed = started.elapsed();
        if measured_from.is_none() && elapsed >= options.warm_up {
            run.tally = Tally::new();
            measured_from = Some(elapsed);
        }
        if elapsed >= options.warm_up + options.duration {
            break;
        }
    }
    let seconds = (started.elapsed() - measured_from.unwrap_or_default()).as_secs_f64();
    sides.iter_mut().for_each(Side::end);
    Ok(run.tally.to_lock_report(locks, run.errors, seconds))
}

impl Tally {
    fn to_lock_report(&self, locks: usize, errors: u64, seconds: f64) -> LockReport {
        LockReport {
            op: "lock",
            handovers_per_s: (self.latencies.len() as f64 / seconds).round(),
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            max_us: self.max_us(),
            locks,
            errors,
            seconds,
        }
    }
}

impl fmt::Display for LockReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockReport { handovers_per_s, p50_us, p99_us, max_us, locks, errors, seconds, .. } =
            self;
        write!(
            formatter,
            "{handovers_per_s:.0} hand-overs/s of {locks} locks, {seconds:.1} s\n\
             p50 {p50_us:.1} us, p99 {p99_us:.1} us, max {max_us:.1} us, {errors} errors"
        )
    }
}
