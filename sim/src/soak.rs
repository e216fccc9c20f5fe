//! Many seeds, one after the other, on several threads.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::fault::Strikes;
use crate::run::{Keep, Report, Source, run};
use crate::violation::{Rule, Violation};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// The first seed.
    pub from: u64,
    /// How many seeds; none for as many as there is time for.
    pub seeds: Option<u64>,
    /// Stop after so long.
    pub limit: Option<Duration>,
    /// Threads.
    pub jobs: usize,
    /// One in so many seeds runs again in another process, which must give the same.
    pub twice_one_in: u64,
}

/// Sums over many runs.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Runs.
    pub seeds: u64,
    /// Things that happened.
    pub events: u64,
    /// World time.
    pub simulated: Duration,
    /// Calls of clients.
    pub calls: u64,
    /// Of them carried out for sure.
    pub done: u64,
    /// Keys whose history was searched, and those given up.
    pub keys: (u64, u64),
    /// Faults.
    pub strikes: Strikes,
    /// What has happened to the members.
    pub coverage: Coverage,
    /// Real time.
    pub elapsed: Duration,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.events += report.events;
        self.simulated += report.simulated;
        self.calls += report.calls.0 as u64;
        self.done += report.calls.1 as u64;
        self.keys.0 += report.keys.keys as u64;
        self.keys.1 += report.keys.undecided as u64;
        self.strikes.merge(&report.strikes);
        self.coverage.merge(&report.coverage);
    }
}

/// A seed that broke a rule.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
}

struct Progress {
    next: AtomicU64,
    is_over: AtomicBool,
    totals: Mutex<Totals>,
    found: Mutex<Option<Found>>,
    started: Instant,
}

/// Runs until a seed breaks a rule, or the seeds or the time are used up. `tell` hears of the sums
/// once in a while.
pub fn soak(soak: Soak, tell: impl Fn(&Totals) + Sync) -> (Totals, Option<Found>) {
    let progress = Progress {
        next: AtomicU64::new(soak.from),
        is_over: AtomicBool::new(false),
        totals: Mutex::default(),
        found: Mutex::default(),
        started: Instant::now(),
    };
    std::thread::scope(|scope| {
        for _ in 0..soak.jobs {
            let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
            let worker = worker.spawn_scoped(scope, || work(&soak, &progress, &tell));
            assert!(worker.is_ok(), "a thread can be started");
        }
    });
    let totals = lock(&progress.totals).clone();
    let found = lock(&progress.found).clone();
    (totals, found)
}

/// A server's main fiber is large, and moved about while it is made.
const STACK_BYTES: usize = 32 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(soak: &Soak, progress: &Progress, tell: &(impl Fn(&Totals) + Sync)) {
    while !progress.is_over.load(Ordering::Relaxed) {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        let is_last = soak.seeds.is_some_and(|count| seed >= soak.from.saturating_add(count));
        let is_late = soak.limit.is_some_and(|limit| progress.started.elapsed() >= limit);
        if is_last || is_late {
            return;
        }
        let report = run_seed(seed, soak.twice_one_in);
        {
            let mut totals = lock(&progress.totals);
            totals.add(&report);
            totals.elapsed = progress.started.elapsed();
            tell(&totals);
        }
        if let Some(violation) = report.violation {
            progress.is_over.store(true, Ordering::Relaxed);
            let mut found = lock(&progress.found);
            if found.as_ref().is_none_or(|found| seed < found.seed) {
                *found = Some(Found { seed, violation });
            }
        }
    }
}

/// Runs a seed, now and then a second time in a process of its own.
fn run_seed(seed: u64, twice_one_in: u64) -> Report {
    let mut report = run(&Source::Seed(seed), Keep::default());
    if twice_one_in > 0 && seed.is_multiple_of(twice_one_in) && report.violation.is_none() {
        let once = told_trace(report.trace_hash);
        let twice = trace_elsewhere(seed).unwrap_or_else(|error| error.to_string());
        if once != twice {
            let what = format!("once {once}, and once {twice}");
            report.violation = Some(Violation::new(Rule::Determinism, what));
        }
    }
    report
}

/// How a trace is told to people, and to a process that runs the same seed.
pub fn told_trace(hash: u64) -> String {
    format!("trace {hash:016x}")
}

/// The trace of a seed by another process: nothing that only this one has may matter.
fn trace_elsewhere(seed: u64) -> std::io::Result<String> {
    let arguments = ["replay", "--quiet", &seed.to_string()];
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let trace = told.lines().find(|line| line.starts_with("trace "));
    let trace = trace.and_then(|line| line.split(',').next());
    Ok(trace.unwrap_or("a process that tells no trace").to_owned())
}
