//! What happened in a run, line by line, for people.

use std::time::Duration;

use moment::Moment;

use crate::workload::Call;

/// Lines with their times.
#[derive(Clone, Debug, Default)]
pub struct Story {
    lines: Vec<(Moment, String)>,
    is_told: bool,
}

impl Story {
    /// A story that is kept, or one that nobody wants to hear.
    pub fn new(is_told: bool) -> Story {
        Story { lines: Vec::new(), is_told }
    }

    /// Adds a line.
    pub fn tell(&mut self, at: Moment, line: impl FnOnce() -> String) {
        if self.is_told {
            self.lines.push((at, line()));
        }
    }

    /// All lines in order of time, with the calls of the clients where they were answered.
    pub fn with_calls(&self, calls: &[Call]) -> Vec<String> {
        let mut lines = self.lines.clone();
        for call in calls {
            let begun = Duration::from_nanos(call.invoked.at.as_nanos());
            let line = format!("{call} (since {:.6})", begun.as_secs_f64());
            lines.push((call.returned.unwrap_or(call.invoked).at, line));
        }
        lines.sort_by_key(|(at, _)| *at);
        let seconds = |at: Moment| Duration::from_nanos(at.as_nanos()).as_secs_f64();
        lines.into_iter().map(|(at, line)| format!("{:>11.6} {line}", seconds(at))).collect()
    }
}
