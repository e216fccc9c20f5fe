//! From options to a report.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};

use client::blocking::Client;

use crate::options::{BenchError, Load, Options};
use crate::report::{Report, Second, Tally};
use crate::worker::{Window, Worker};

/// Makes the directory, fills it if it is to be read, and runs the load. `each` is called once a
/// second while it runs.
pub fn run(options: &Options, each: &mut dyn FnMut(&Second)) -> Result<Report, BenchError> {
    options.check()?;
    prepare(options)?;
    let mut workers = Vec::new();
    for index in 0..options.threads {
        workers.push(Worker::new(options, index)?);
    }
    let (total, elapsed) = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(options.threads * WINDOWS_WAITING);
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let sender = sender.clone();
                scope.spawn(move || {
                    worker.run(&mut |window, tally| {
                        // The receiver is there until all threads have ended.
                        let _ = sender.send((window, tally));
                    })
                })
            })
            .collect();
        drop(sender);
        let total = collect(options, &receiver, each);
        let elapsed = threads.into_iter().map(|thread| match thread.join() {
            Ok(elapsed) => elapsed,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let elapsed = elapsed.max();
        (total, elapsed.unwrap_or_default())
    });
    // A run that was stopped has measured less than it should.
    let seconds = elapsed.saturating_sub(options.warm_up).min(options.duration);
    Ok(total.to_report(options, seconds.as_secs_f64()))
}

/// Seconds that a thread may be ahead of whoever is told of them.
const WINDOWS_WAITING: usize = 8;

fn prepare(options: &Options) -> Result<(), BenchError> {
    for group in 0..options.groups {
        let client = Client::new(options.client_of(group, 1, 1));
        let mut client = client.map_err(BenchError::Client)?;
        client.mkdir(options.directory.as_bytes()).map_err(BenchError::Prepare)?;
    }
    match options.load {
        Load::Get => Worker::new(options, 0)?.fill_all(),
        Load::Put => Ok(()),
    }
}

/// Adds up what the threads report, until all have ended.
fn collect(
    options: &Options,
    receiver: &Receiver<(Window, Tally)>,
    each: &mut dyn FnMut(&Second),
) -> Tally {
    let (mut total, mut open) = (Tally::new(), BTreeMap::new());
    while let Ok((window, tally)) = receiver.recv() {
        let (second, length, is_warm_up) = match window {
            Window::WarmUp(second) => (second, options.warm_up, true),
            Window::Measured(second) => (second, options.duration, false),
        };
        if !is_warm_up {
            total.add(&tally);
        }
        let (reports, sum) = open.entry(window).or_insert_with(|| (0, Tally::new()));
        *reports += 1;
        sum.add(&tally);
        if *reports == options.threads
            && let Some((_, sum)) = open.remove(&window)
            // The number of a part of a second would not compare with the others.
            && second < length.as_secs()
        {
            each(&sum.to_second(second, is_warm_up));
        }
    }
    total
}
