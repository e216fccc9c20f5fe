//! `bench put|get|watch|lock|verify`: load over the bench library.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bench::{BenchError, Load, Options, Record, RecordFile, Report};

use super::arguments::{BenchVerb, ClientArguments, LoadArguments};
use super::connect;
use super::exit::{Exit, Failure};
use super::output::Output;

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
