//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Waits that double from `first` to `longest`, each drawn between half of it and all of it, so that
/// nodes that were cut off together do not come back together.
#[derive(Clone, Copy, Debug)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl BackOff {
    /// Begins with `first`.
    pub fn new(first: Duration, longest: Duration) -> BackOff {
        BackOff { first, longest, next: first }
    }

    /// The next wait. `random_below` gives a random number below a bound.
    pub fn wait(&mut self, random_below: impl FnOnce(u64) -> u64) -> Duration {
        let nanos = u64::try_from(self.next.as_nanos()).unwrap_or(u64::MAX);
        self.next = self.next.saturating_mul(2).min(self.longest);
        Duration::from_nanos(nanos / 2 + random_below(nanos / 2 + 1))
    }

    /// An attempt went well.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut back_off = BackOff::new(Duration::from_millis(50), Duration::from_secs(1));
        for most in [50, 100, 200, 400, 800, 1000, 1000] {
            let most = Duration::from_millis(most);
            let mut shortest = back_off;
            assert_eq!(shortest.wait(|_| 0), most / 2);
            assert_eq!(back_off.wait(|bound| bound - 1), most);
        }
        back_off.reset();
        assert_eq!(back_off.wait(|bound| bound - 1), Duration::from_millis(50));
    }
}
