//! One thread of a run: a pipeline that is kept full.

use std::sync::atomic::Ordering;
use std::time::Duration;

use client::blocking::Pipeline;
use client::operations::{Get, Put};
use client::{BizCode, Completion, Error, RequestId};

use crate::failures::{REFUSED, kind};
use crate::key::KeyName;
use crate::options::{BenchError, Load, Options};
use crate::random::Random;
use crate::record::Acknowledged;
use crate::report::Tally;
use crate::value::{Value, ValueHead};

pub(crate) struct Worker<'a> {
    options: &'a Options,
    /// One for each group.
    lanes: Vec<Lane>,
    keys: Keys,
    name: KeyName,
    value: Value,
    next_number: u64,
    /// Acknowledged in the current poll.
    acknowledged: Vec<Acknowledged>,
}

/// The way to one group.
struct Lane {
    pipeline: Pipeline,
    in_flight_max: usize,
    /// By slot of the request: what was put.
    heads: Vec<ValueHead>,
}

/// The longest wait for completions in one go, so that seconds end in time.
const WAIT: Duration = Duration::from_millis(20);
/// The same where other groups wait for their turn, and there was nothing in a whole round.
const WAIT_SHORT: Duration = Duration::from_micros(500);

impl<'a> Worker<'a> {
    /// The thread `index` of all.
    pub(crate) fn new(options: &'a Options, index: usize) -> Result<Worker<'a>, BenchError> {
        let in_flight = share(options.in_flight, options.threads, index);
        let connections = share(options.connections, options.threads, index);
        let mut random = Random::new(options.seed.wrapping_add(index as u64));
        let lane = |group| {
            let in_flight_max = share(in_flight, options.groups, group);
            let client = options.client_of(group, in_flight_max, connections);
            let mut pipeline = Pipeline::new(client).map_err(BenchError::Client)?;
            pipeline.set_busy_poll(options.busy_poll);
            let heads = vec![ValueHead { key: 0, number: 0 }; in_flight_max];
            Ok(Lane { pipeline, in_flight_max, heads })
        };
        Ok(Worker {
            options,
            lanes: (0..options.groups).map(lane).collect::<Result<_, BenchError>>()?,
            value: Value::new(options.value_bytes, &mut random),
            keys: Keys::new(options, index, random),
            name: KeyName::new(&options.directory),
            next_number: options.first_number,
            acknowledged: Vec::new(),
        })
    }

    /// Keeps the pipelines full until the end, gives `each` what happened in each window of time,
    /// and waits for what is still in flight then. Returns how long they were kept full.
    pub(crate) fn run(mut self, each: &mut dyn FnMut(Window, Tally)) -> Duration {
        let start = self.lanes[0].pipeline.now();
        let total = self.options.warm_up + self.options.duration;
        let (mut window, mut tally) = (Window::at(Duration::ZERO, self.options), Tally::new());
        let mut wait = self.first_wait();
        let elapsed = loop {
            let elapsed = self.lanes[0].pipeline.now().since(start);
            let now = Window::at(elapsed, self.options);
            if now != window {
                each(window, std::mem::replace(&mut tally, Tally::new()));
                window = now;
            }
            if elapsed >= total || self.options.stop.load(Ordering::Relaxed) {
                break elapsed;
            }
            let mut count = 0;
            for lane in 0..self.lanes.len() {
                self.submit(lane, &mut tally);
                count += self.poll(lane, wait, &mut tally);
                wait = self.first_wait();
            }
            if count == 0 && self.lanes.len() > 1 {
                wait = WAIT_SHORT;
            }
        };
        each(window, tally);
        let mut late = Tally::new();
        for lane in 0..self.lanes.len() {
            while self.lanes[lane].pipeline.in_flight() > 0 {
                self.poll(lane, WAIT, &mut late);
            }
        }
        elapsed
    }

    /// How long a pipeline may be waited for when there is nothing to do for it.
    fn first_wait(&self) -> Duration {
        if self.lanes.len() == 1 { WAIT } else { Duration::ZERO }
    }

    /// Sets every key of every group once.
    pub(crate) fn fill_all(mut self) -> Result<(), BenchError> {
        (0..self.lanes.len()).try_for_each(|lane| self.fill(lane))
    }

    fn fill(&mut self, lane: usize) -> Result<(), BenchError> {
        let pipeline = &mut self.lanes[lane].pipeline;
        let mut next = 0;
        let mut outcome = Ok(());
        while outcome.is_ok() && (next < self.options.keys || pipeline.in_flight() > 0) {
            let mut burst = pipeline.burst();
            while next < self.options.keys && burst.has_room() {
                let value = self.value.with_head(ValueHead { key: next, number: 0 });
                let put = Put { key: self.name.of(next), value };
                burst.submit(&put).map_err(BenchError::Prepare)?;
                next += 1;
            }
            pipeline.poll(WAIT, |completion| {
                if let Err(error) = completion.reply::<Put>() {
                    outcome = Err(BenchError::Prepare(error));
                }
            });
        }
        outcome
    }

    fn submit(&mut self, lane: usize, tally: &mut Tally) {
        let Lane { pipeline, in_flight_max, heads } = &mut self.lanes[lane];
        let room = *in_flight_max - pipeline.in_flight();
        let mut burst = pipeline.burst();
        for _ in 0..room {
            // A server may have lowered the limit.
            if !burst.has_room() {
                return;
            }
            let Some(key) = self.keys.choose() else { return };
            let name = self.name.of(key);
            let request = match self.options.load {
                Load::Put => {
                    let number = self.next_number;
                    self.next_number += 1;
                    let head = ValueHead { key, number };
                    let value = self.value.with_head(head);
                    let request = burst.submit(&Put { key: name, value });
                    remember(heads, &request, head);
                    request
                }
                Load::Get => burst.submit(&Get { key: name }),
            };
            if let Err(error) = request {
                tally.failures.add(kind(&error));
                self.keys.give_back(key);
                return;
            }
        }
    }

    fn poll(&mut self, lane: usize, wait: Duration, tally: &mut Tally) -> usize {
        let Worker { lanes, options, keys, acknowledged, .. } = self;
        let Lane { pipeline, heads, .. } = &mut lanes[lane];
        let count = pipeline.poll(wait, |completion| {
            let failure = failure(&completion);
            match failure {
                None => tally.add_latency(nanos(&completion)),
                Some((kind, _)) => tally.failures.add(kind),
            }
            if options.record.is_none() {
                return;
            }
            let head = heads[completion.request.slot()];
            match failure {
                None => {
                    acknowledged.push(Acknowledged { key: head.key, number: head.number });
                    keys.give_back(head.key);
                }
                Some((_, NotExecuted(true))) => keys.give_back(head.key),
                // This put may still be executed, even after a later one to the same key.
                Some((_, NotExecuted(false))) => {}
            }
        });
        if let Some(record) = &options.record {
            record.report(acknowledged);
            acknowledged.clear();
        }
        count
    }
}

/// A second of the warm-up or of the measurement; the last of each may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Window {
    WarmUp(u64),
    Measured(u64),
}

impl Window {
    fn at(elapsed: Duration, options: &Options) -> Window {
        match elapsed.checked_sub(options.warm_up) {
            None => Window::WarmUp(elapsed.as_secs()),
            Some(measured) => Window::Measured(measured.as_secs()),
        }
    }
}

#[inline]
fn remember(heads: &mut [ValueHead], request: &Result<RequestId, Error>, head: ValueHead) {
    if let Ok(request) = request {
        heads[request.slot()] = head;
    }
}

#[inline]
fn nanos(completion: &Completion<'_>) -> u64 {
    completion.finished.as_nanos() - completion.submitted.as_nanos()
}

/// Whether a failed put can never take effect.
#[derive(Clone, Copy)]
struct NotExecuted(bool);

/// Why an operation did not do what it should. Looks at nothing but the code of an answer.
#[inline]
fn failure(completion: &Completion<'_>) -> Option<(&'static str, NotExecuted)> {
    match completion.response() {
        Ok(response) => match BizCode::from_number(response.biz_code) {
            Some(BizCode::Success | BizCode::SuccessOverwrite) => None,
            _ => Some((REFUSED, NotExecuted(true))),
        },
        Err(error) => Some((kind(error), NotExecuted(error.is_safe_to_retry()))),
    }
}

/// The part of one thread when `total` is divided as evenly as possible.
fn share(total: usize, threads: usize, index: usize) -> usize {
    total / threads + usize::from(index < total % threads)
}

/// Chooses keys. With a record, no key has two puts in flight, so that the order of their numbers
/// is the order of their execution; threads have different keys for the same reason.
struct Keys {
    random: Random,
    count: u64,
    step: u64,
    offset: u64,
    /// By number / step: whether a put is in flight or may still be executed. Empty without record.
    taken: Vec<bool>,
}

/// Attempts to find a key that is not taken; three of four are not.
const ATTEMPTS_MAX: usize = 64;

impl Keys {
    fn new(options: &Options, index: usize, random: Random) -> Keys {
        let exclusive = options.record.is_some();
        let (step, offset) =
            if exclusive { (options.threads as u64, index as u64) } else { (1, 0) };
        let count = (options.keys - offset).div_ceil(step);
        let taken = if exclusive { vec![false; count as usize] } else { Vec::new() };
        Keys { random, count, step, offset, taken }
    }

    /// `None` if nearly all keys are taken.
    #[inline]
    fn choose(&mut self) -> Option<u64> {
        if self.taken.is_empty() {
            return Some(self.random.below(self.count));
        }
        for _ in 0..ATTEMPTS_MAX {
            let position = self.random.below(self.count);
            if let Some(taken @ false) = self.taken.get_mut(position as usize) {
                *taken = true;
                return Some(position * self.step + self.offset);
            }
        }
        None
    }

    fn give_back(&mut self, key: u64) {
        let position = (key - self.offset) / self.step;
        if let Some(taken) = self.taken.get_mut(position as usize) {
            *taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, threads) in [(1, 1), (7, 3), (2_000, 7), (8, 8)] {
            let shares = (0..threads).map(|index| share(total, threads, index));
            assert_eq!(shares.clone().sum::<usize>(), total);
            assert!(shares.clone().max().zip(shares.min()).is_some_and(|(max, min)| max - min < 2));
        }
    }
}
