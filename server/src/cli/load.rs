//! `bench put|get|watch|lock|verify`: load over the bench library.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bench::{BenchError, Load, Options, Record, RecordFile, Report};
use clap::{Args, Subcommand};
use client::Retries;

use super::arguments::ClientArguments;
use super::connect;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::parse_duration;

#[derive(Subcommand, Debug)]
pub(super) enum BenchVerb {
    /// Write random keys.
    Put {
        #[command(flatten)]
        load: LoadArguments,
        /// Write down every acknowledged put, for `bench verify`.
        #[arg(long, value_name = "FILE")]
        record: Option<PathBuf>,
    },
    /// Read random keys.
    Get {
        #[command(flatten)]
        load: LoadArguments,
    },
    /// Change a directory that many clients watch; --threads of them look for news. Says how long the
    /// puts took, and how soon all clients knew of the last one.
    Watch {
        #[command(flatten)]
        load: LoadArguments,
        /// Clients, each with a connection of its own.
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        watchers: u32,
        /// Puts in a second.
        #[arg(long, value_name = "N", default_value_t = 1_000,
              value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
    /// Let locks go round three clients, and measure from giving back to the next one holding.
    Lock {
        #[command(flatten)]
        load: LoadArguments,
        /// Locks that go round.
        #[arg(long, value_name = "N", default_value_t = 100,
              value_parser = clap::value_parser!(u32).range(1..))]
        locks: u32,
    },
    /// Check that the server still has every put that a record says was acknowledged (exit code 9
    /// if not).
    Verify {
        /// The file that `bench put --record` wrote.
        record: PathBuf,
        /// The directory that the puts went to.
        #[arg(long, value_name = "KEY", default_value = "benchmark")]
        directory: String,
    },
}

#[derive(Args, Debug)]
pub(super) struct LoadArguments {
    /// Number of groups, from --group on, that share what is in flight. Each has connections of its
    /// own.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    groups: u32,
    /// Requests in flight at any time.
    #[arg(long, value_name = "N", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Connections to each server.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Threads, which share requests and connections.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Number of different keys.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Bytes of each value.
    #[arg(long, value_name = "BYTES", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    value_bytes: u32,
    /// The directory of the keys, which is made first.
    #[arg(long, value_name = "KEY", default_value = "benchmark")]
    directory: String,
    /// The same seed gives the same order of keys.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write in sessions, so that a put whose answer is lost is sent again.
    #[arg(long)]
    sessions: bool,
    /// How long a thread looks for answers before it sleeps. Shows the server's latency without
    /// the time that this program takes to wake up.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0s")]
    busy_poll: Duration,
    /// How long to measure.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    duration: Duration,
    /// How long to run before measuring.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "3s")]
    warm_up: Duration,
}

pub(super) fn run(
    verb: &BenchVerb,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    match verb {
        BenchVerb::Put { load, record: Some(path) } => {
            let file = RecordFile::create(path)?;
            recorded(file, |record| {
                let mut options = options(load, client, Load::Put)?;
                options.record = Some(record);
                measure(&options, output)
            })
        }
        BenchVerb::Put { load, record: None } => {
            measure(&options(load, client, Load::Put)?, output)
        }
        BenchVerb::Get { load } => measure(&options(load, client, Load::Get)?, output),
        BenchVerb::Watch { load, watchers, rate } => {
            let options = options(load, client, Load::Put)?;
            let report = bench::run_watchers(&options, *watchers as usize, *rate)?;
            match output.is_json() {
                true => output.json(&report),
                false => output.line(&report.to_string()),
            }
        }
        BenchVerb::Lock { load, locks } => {
            let options = options(load, client, Load::Put)?;
            let report = bench::run_locks(&options, *locks as usize)?;
            match output.is_json() {
                true => output.json(&report),
                false => output.line(&report.to_string()),
            }
        }
        BenchVerb::Verify { record, directory } => verify(record, directory, client, output),
    }
}

fn options(load: &LoadArguments, client: &ClientArguments, kind: Load) -> Result<Options, Failure> {
    let mut options = Options::new(connect::options(client)?);
    options.load = kind;
    options.client.retries = if load.sessions { Retries::InSession } else { Retries::Never };
    options.groups = load.groups as usize;
    options.in_flight = load.in_flight as usize;
    options.connections = load.connections as usize;
    options.threads = load.threads as usize;
    options.keys = u64::from(load.keys);
    options.value_bytes = load.value_bytes as usize;
    options.directory.clone_from(&load.directory);
    options.seed = load.seed;
    options.busy_poll = load.busy_poll;
    options.duration = load.duration;
    options.warm_up = load.warm_up;
    Ok(options)
}

/// Progress goes to standard error, so that standard output has the report alone.
fn measure(options: &Options, output: &mut Output) -> Result<(), Failure> {
    let report = bench::run(options, &mut |second| note(&second.to_string()))?;
    print(&report, output)?;
    if report.ops == 0 {
        return Err(Failure::new(Exit::Unavailable, "no operation was answered"));
    }
    Ok(())
}

fn print(report: &Report, output: &mut Output) -> Result<(), Failure> {
    match output.is_json() {
        true => output.json(report),
        false => output.line(&report.to_string()),
    }
}

/// Runs `measured` with a record that is written to `file`; fails when the file could not be
/// written, because then it says nothing about what was acknowledged.
fn recorded(
    mut file: RecordFile,
    measured: impl FnOnce(Record) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = Arc::new(Mutex::new(None));
    let failure = failed.clone();
    let record = Record::new(move |puts| {
        if let Err(error) = file.append(puts) {
            let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(error);
        }
    });
    measured(record)?;
    let error: Option<io::Error> = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    error.map_or(Ok(()), |error| Err(error.into()))
}

fn verify(
    record: &Path,
    directory: &str,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let acknowledged = bench::read_record(record)?;
    let found = bench::verify(connect::options(client)?, directory, &acknowledged)?;
    for lost in &found.lost {
        let there = found_text(lost.found);
        output.line(&format!(
            "key {}: put {} was acknowledged, {there}",
            lost.key, lost.acknowledged
        ))?;
    }
    output.line(&format!("{} keys read, {} lost", found.checked, found.lost.len()))?;
    match found.lost.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Integrity, "acknowledged puts are lost")),
    }
}

fn found_text(found: Option<u64>) -> String {
    match found {
        Some(number) => format!("put {number} is there"),
        None => "nothing is there".to_owned(),
    }
}

#[expect(clippy::print_stderr, reason = "progress, for a person who waits")]
fn note(text: &str) {
    eprintln!("{text}");
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Failure {
        match error {
            BenchError::Options(what) => Failure::new(Exit::Usage, what),
            BenchError::Client(error) => Failure::new(Exit::Usage, error.to_string()),
            BenchError::Prepare(error) => error.into(),
        }
    }
}
