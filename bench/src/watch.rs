//! Many clients that watch one directory while it changes.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::blocking::{Client, Pipeline};
use client::operations::{Put, PutReply};
use client::{Event, WatchUpdate};
use serde::Serialize;

use crate::failures::kind;
use crate::key::KeyName;
use crate::options::{BenchError, Options};
use crate::report::Tally;

/// What came out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WatchReport {
    /// `watch`.
    pub op: &'static str,
    /// Clients, each with a connection and a watch.
    pub watchers: usize,
    /// Puts in a second.
    pub updates_per_s: f64,
    /// States that all watchers were told in a second.
    pub told_per_s: f64,
    /// Watchers that have seen the state after the last put.
    pub watchers_up_to_date: usize,
    /// From the answer to the last put until the last watcher knew of it, in milliseconds.
    pub last_told_ms: f64,
    /// Median latency of the puts in microseconds, as the next ones.
    pub put_p50_us: f64,
    /// 99 of 100 are not slower.
    pub put_p99_us: f64,
    /// The slowest.
    pub put_max_us: f64,
    /// Puts that failed.
    pub errors: u64,
    /// Seconds measured.
    pub seconds: f64,
}

/// How long watchers may take to hear of the last put.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);
/// Connections that are opened at once.
const OPENING_MAX: usize = 100;

/// One client with its watch.
struct Watcher {
    pipeline: Pipeline,
    index: u64,
}

impl Watcher {
    fn open(options: &Options) -> Result<Watcher, BenchError> {
        let client = options.client_of(0, 1, 1);
        let mut pipeline = Pipeline::new(client).map_err(BenchError::Client)?;
        let key = options.directory.as_bytes();
        let watch = pipeline.with_core(|core, now| core.watch(key, 0, now));
        watch.map_err(BenchError::Prepare)?;
        Ok(Watcher { pipeline, index: 0 })
    }

    /// Takes what has come; returns how many states that is.
    fn look(&mut self, wait: Duration) -> u64 {
        self.pipeline.poll(wait, |_| {});
        let mut told = 0;
        while let Some(event) = self.pipeline.with_core(|core, _| core.next_event()) {
            if let Event::Watch(_, WatchUpdate::State { raft_index, .. }) = event {
                self.index = raft_index;
                told += 1;
            }
        }
        if told > 0 {
            // The answer leaves now.
            self.pipeline.poll(Duration::ZERO, |_| {});
        }
        told
    }
}

/// What the threads tell each other.
#[derive(Default)]
struct Board {
    told: AtomicU64,
    /// The index of the last put, once it is known.
    last_index: AtomicU64,
    up_to_date: AtomicU64,
    is_over: AtomicBool,
}

/// Opens the watchers, changes the directory at this rate, and waits until all know of the end.
///
/// # Errors
/// When the options are wrong or the clients cannot connect.
pub fn run_watchers(
    options: &Options,
    watchers: usize,
    updates_per_s: u32,
) -> Result<WatchReport, BenchError> {
    options.check()?;
    let client = Client::new(options.client_of(0, 1, 1));
    let mut client = client.map_err(BenchError::Client)?;
    client.mkdir(options.directory.as_bytes()).map_err(BenchError::Prepare)?;
    let mut name = KeyName::new(&options.directory);
    client.put(name.of(0), b"v").map_err(BenchError::Prepare)?;
    let threads = options.threads;
    let mut parts = Vec::new();
    for thread in 0..threads {
        parts.push(open_all(
            options,
            watchers / threads + usize::from(thread < watchers % threads),
        )?);
    }
    let board = Board::default();
    let (tally, seconds, last_told) = std::thread::scope(|scope| {
        for part in &mut parts {
            let board = &board;
            scope.spawn(move || follow(part, board));
        }
        let (tally, last_index, seconds) = write(options, updates_per_s, &board);
        let written = Instant::now();
        board.last_index.store(last_index, Ordering::Release);
        while (board.up_to_date.load(Ordering::Acquire) as usize) < watchers
            && written.elapsed() < CATCH_UP_MAX
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        board.is_over.store(true, Ordering::Release);
        (tally, seconds, written.elapsed())
    });
    Ok(WatchReport {
        op: "watch",
        watchers,
        updates_per_s: (tally.latencies.len() as f64 / seconds).round(),
        told_per_s: (board.told.load(Ordering::Acquire) as f64 / seconds).round(),
        watchers_up_to_date: board.up_to_date.load(Ordering::Acquire) as usize,
        last_told_ms: last_told.as_secs_f64() * 1e3,
        put_p50_us: tally.quantile_us(0.5),
        put_p99_us: tally.quantile_us(0.99),
        put_max_us: tally.max_us(),
        errors: tally.failures.total(),
        seconds,
    })
}

/// Connects clients, a few at a time, until each has been told the first state.
fn open_all(options: &Options, count: usize) -> Result<Vec<Watcher>, BenchError> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let begin = open.len();
        for _ in begin..count.min(begin + OPENING_MAX) {
            open.push(Watcher::open(options)?);
        }
        let until = Instant::now() + options.client.call_timeout;
        while open[begin..].iter().any(|watcher| watcher.index == 0) {
            for watcher in &mut open[begin..] {
                watcher.look(Duration::ZERO);
            }
            if Instant::now() > until {
                return Err(BenchError::Options(
                    "the watchers cannot connect; see connections_max",
                ));
            }
        }
    }
    Ok(open)
}

fn follow(watchers: &mut [Watcher], board: &Board) {
    let mut counted = vec![false; watchers.len()];
    while !board.is_over.load(Ordering::Acquire) {
        let last_index = board.last_index.load(Ordering::Acquire);
        let mut told = 0;
        for (watcher, counted) in watchers.iter_mut().zip(&mut counted) {
            told += watcher.look(Duration::ZERO);
            if last_index > 0 && watcher.index >= last_index && !*counted {
                *counted = true;
                board.up_to_date.fetch_add(1, Ordering::Release);
            }
        }
        board.told.fetch_add(told, Ordering::Relaxed);
        if told == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Puts at the rate, whether answers come or not; returns the latencies of the measured part, the
/// index of the last put, and how long that part was.
fn write(options: &Options, updates_per_s: u32, board: &Board) -> (Tally, u64, f64) {
    let client = options.client_of(0, options.in_flight, 1);
    let Ok(mut pipeline) = Pipeline::new(client) else {
        unreachable!("the options were checked");
    };
    pipeline.set_busy_poll(options.busy_poll);
    let (mut name, mut tally) = (KeyName::new(&options.directory), Tally::new());
    let value = vec![b'v'; options.value_bytes];
    let (mut submitted, mut last_index) = (0_u64, 0);
    let started = Instant::now();
    let total = options.warm_up + options.duration;
    let mut is_measured = false;
    while started.elapsed() < total || pipeline.in_flight() > 0 {
        let elapsed = started.elapsed();
        if !is_measured && elapsed >= options.warm_up {
            is_measured = true;
            tally = Tally::new();
            board.told.store(0, Ordering::Relaxed);
        }
        let due = (elapsed.min(total).as_secs_f64() * f64::from(updates_per_s)) as u64;
        while submitted < due && pipeline.has_room() {
            let key = name.of(submitted % options.keys);
            if pipeline.submit(&Put { key, value: &value }).is_err() {
                break;
            }
            submitted += 1;
        }
        pipeline.poll(Duration::from_micros(200), |completion| {
            match completion.reply::<Put<'_>>() {
                Ok(PutReply { raft_index, .. }) => {
                    let latency = completion.finished.since(completion.submitted);
                    tally.add_latency(latency.as_nanos() as u64);
                    last_index = last_index.max(raft_index);
                }
                Err(error) => tally.failures.add(kind(&error)),
            }
        });
    }
    (tally, last_index, started.elapsed().saturating_sub(options.warm_up).as_secs_f64())
}

impl fmt::Display for WatchReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WatchReport { watchers, updates_per_s, told_per_s, seconds, .. } = self;
        let WatchReport { watchers_up_to_date, last_told_ms, .. } = self;
        let WatchReport { put_p50_us, put_p99_us, put_max_us, errors, .. } = self;
        write!(
            formatter,
            "{watchers} watchers, {updates_per_s:.0} puts/s, {told_per_s:.0} states told/s, \
             {seconds:.1} s\n{watchers_up_to_date} watchers have the last state, after \
             {last_told_ms:.1} ms\nputs: p50 {put_p50_us:.1} us, p99 {put_p99_us:.1} us, \
             max {put_max_us:.1} us, {errors} errors"
        )
    }
}
