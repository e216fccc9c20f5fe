//! Turns of the reactor between the work of connections.

use std::cell::Cell;
use std::time::Duration;

use crate::limits::Limits;

/// What the connections of a shard have worked since one of them let the reactor pass.
///
/// It is shared, because a hundred connections that each work for a short time keep the reactor
/// waiting as long as one that works without end.
#[derive(Default)]
pub(crate) struct WorkBudget {
    time: Cell<Duration>,
    bytes: Cell<usize>,
}

impl WorkBudget {
    /// Notes work; true when it is time for [`Shard::pass`](runtime::Shard::pass), and then a new
    /// budget begins.
    pub(crate) fn spend(&self, time: Duration, bytes: usize, limits: &Limits) -> bool {
        let time = self.time.get().saturating_add(time);
        let bytes = self.bytes.get().saturating_add(bytes);
        let spent = time >= limits.work_time || bytes >= limits.work_bytes;
        self.time.set(if spent { Duration::ZERO } else { time });
        self.bytes.set(if spent { 0 } else { bytes });
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_measure_ends_the_budget() {
        let limits =
            Limits { work_time: Duration::from_micros(10), work_bytes: 100, ..Limits::default() };
        let budget = WorkBudget::default();
        let micros = Duration::from_micros;
        let table = [
            (micros(9), 0, false),
            (micros(1), 0, true),
            (micros(9), 99, false),
            (micros(0), 1, true),
            (micros(9), 99, false),
            (micros(9), 99, true),
            (micros(0), 0, false),
        ];
        for (step, (time, bytes, passes)) in table.into_iter().enumerate() {
            assert_eq!(budget.spend(time, bytes, &limits), passes, "step {step}");
        }
    }
}
