//! What came out, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::failures::Failures;
use crate::options::{Load, Options};

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// `put` or `get`.
    pub op: &'static str,
    /// Operations with an answer in a second of the measurement.
    pub ops_per_s: f64,
    /// Median of the latencies in microseconds, as the next ones.
    pub p50_us: f64,
    /// Nine of ten are not slower.
    pub p90_us: f64,
    /// 99 of 100 are not slower.
    pub p99_us: f64,
    /// 999 of 1,000 are not slower.
    pub p999_us: f64,
    /// The slowest.
    pub max_us: f64,
    /// Operations that failed during the measurement.
    pub errors: u64,
    /// The same by kind.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// Whether the servers sync before they answer, if it is known.
    pub durable: Option<bool>,
    /// Operations with an answer during the measurement.
    pub ops: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Operations in flight.
    pub in_flight: usize,
    /// Connections to each server.
    pub connections: usize,
    /// Threads of the client.
    pub threads: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Different keys.
    pub keys: u64,
}

/// One second of a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Second {
    /// Which one of the warm-up or of the measurement, from 0.
    pub second: u64,
    /// Whether it does not count.
    pub is_warm_up: bool,
    /// Operations with an answer.
    pub ops: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Median of the latencies in microseconds, as the next ones.
    pub p50_us: f64,
    /// 99 of 100 are not slower.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// What happened in a time: latencies in nanoseconds, and failures.
pub(crate) struct Tally {
    pub(crate) latencies: Histogram<u64>,
    pub(crate) failures: Failures,
}

/// A latency above this is counted as this.
const LATENCY_NANOS_MAX: u64 = 60_000_000_000;
/// Latencies are kept with an error of one in a thousand.
const DIGITS: u8 = 3;

impl Tally {
    pub(crate) fn new() -> Tally {
        match Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, DIGITS) {
            Ok(latencies) => Tally { latencies, failures: Failures::default() },
            Err(error) => unreachable!("the bounds are constants: {error}"),
        }
    }

    #[inline]
    pub(crate) fn add_latency(&mut self, nanos: u64) {
        self.latencies.saturating_record(nanos.clamp(1, LATENCY_NANOS_MAX));
    }

    pub(crate) fn add(&mut self, other: &Tally) {
        if let Err(error) = self.latencies.add(&other.latencies) {
            unreachable!("all histograms have the same bounds: {error}");
        }
        self.failures.add_all(&other.failures);
    }

    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        micros(self.latencies.value_at_quantile(quantile))
    }

    pub(crate) fn max_us(&self) -> f64 {
        micros(if self.latencies.is_empty() { 0 } else { self.latencies.max() })
    }

    pub(crate) fn to_second(&self, second: u64, is_warm_up: bool) -> Second {
        Second {
            second,
            is_warm_up,
            ops: self.latencies.len(),
            errors: self.failures.total(),
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            max_us: self.max_us(),
        }
    }

    pub(crate) fn to_report(&self, options: &Options, seconds: f64) -> Report {
        let ops = self.latencies.len();
        Report {
            op: match options.load {
                Load::Put => "put",
                Load::Get => "get",
            },
            ops_per_s: if ops == 0 { 0.0 } else { (ops as f64 / seconds).round() },
            p50_us: self.quantile_us(0.5),
            p90_us: self.quantile_us(0.9),
            p99_us: self.quantile_us(0.99),
            p999_us: self.quantile_us(0.999),
            max_us: self.max_us(),
            errors: self.failures.total(),
            errors_by_kind: self.failures.by_kind(),
            durable: options.durable,
            ops,
            seconds,
            in_flight: options.in_flight,
            connections: options.connections,
            threads: options.threads,
            value_bytes: options.value_bytes,
            keys: options.keys,
        }
    }
}

/// With one digit after the point, which is the resolution of the clock under load.
fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

impl Report {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        match serde_json::to_string(self) {
            Ok(json) => json,
            Err(error) => unreachable!("numbers and strings can be written: {error}"),
        }
    }
}

impl fmt::Display for Second {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Second { second, ops, errors, p50_us, p99_us, max_us, .. } = self;
        let note = if self.is_warm_up { "  (warm-up)" } else { "" };
        write!(
            formatter,
            "{second:>4} s {ops:>9} ops/s  p50 {p50_us:.1} us  p99 {p99_us:.1} us  \
             max {max_us:.1} us  errors {errors}{note}"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let durable = match self.durable {
            Some(true) => "durable ",
            Some(false) => "not durable ",
            None => "",
        };
        writeln!(formatter, "{:.0} {durable}{}s/s", self.ops_per_s, self.op)?;
        let Report { in_flight, connections, threads, value_bytes, keys, .. } = self;
        writeln!(
            formatter,
            "{in_flight} in flight, {connections} connections, {threads} threads, \
             {value_bytes} bytes, {keys} keys, {:.1} s",
            self.seconds
        )?;
        let Report { p50_us, p90_us, p99_us, p999_us, max_us, .. } = self;
        write!(
            formatter,
            "p50 {p50_us:.1} us, p90 {p90_us:.1} us, p99 {p99_us:.1} us, p99.9 {p999_us:.1} us, \
             max {max_us:.1} us, {} errors",
            self.errors
        )?;
        for (kind, count) in &self.errors_by_kind {
            write!(formatter, "\n  {kind}: {count}")?;
        }
        Ok(())
    }
}
