//! Durations that were measured.

use std::fmt;
use std::time::Duration;

/// What was measured, in the order of size.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(mut all: Vec<Duration>) -> Times {
        all.sort_unstable();
        Times(all)
    }

    /// The smallest time that so many percent do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |percent| self.percentile(percent).as_millis();
        let (p50, p90, p99) = (millis(50), millis(90), millis(99));
        let (count, longest) = (self.0.len(), millis(100));
        write!(
            formatter,
            "{count} times: p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, longest {longest} ms"
        )
    }
}
