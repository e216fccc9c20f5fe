//! How long things take: a range, and a rare longer time.

use std::time::Duration;

use super::tape::{CHOICE_LIMIT, Tape};

/// A law of delays: uniform in a range, and once in a while longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latency {
    /// The shortest delay.
    pub min: Duration,
    /// The longest ordinary delay.
    pub max: Duration,
    /// One in so many takes up to [`tail`](Self::tail) more; 0 means none does.
    pub tail_one_in: u64,
    /// Most that a slow one takes on top.
    pub tail: Duration,
}

impl Latency {
    /// Always the same delay.
    pub const fn fixed(delay: Duration) -> Latency {
        Latency::between(delay, delay)
    }

    /// Uniform from `min` to `max`.
    pub const fn between(min: Duration, max: Duration) -> Latency {
        Latency { min, max, tail_one_in: 0, tail: Duration::ZERO }
    }

    /// With one in `one_in` up to `tail` longer.
    pub const fn with_tail(self, one_in: u64, tail: Duration) -> Latency {
        Latency { tail_one_in: one_in, tail, ..self }
    }

    pub(crate) fn draw(&self, tape: &mut Tape, site: &'static str) -> Duration {
        let mut delay = self.min + below(tape, site, self.max.saturating_sub(self.min));
        if tape.one_in("latency.tail", self.tail_one_in) {
            delay += below(tape, "latency.tail.length", self.tail);
        }
        delay
    }
}

/// A duration from zero to `longest`, both included.
pub(crate) fn below(tape: &mut Tape, site: &'static str, longest: Duration) -> Duration {
    let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).min(CHOICE_LIMIT - 1);
    Duration::from_nanos(tape.choose(site, nanos + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_in_their_range() {
        let mut tape = Tape::from_seed(1);
        let (min, max) = (Duration::from_micros(50), Duration::from_micros(500));
        let latency = Latency::between(min, max).with_tail(10, Duration::from_millis(9));
        let drawn: Vec<_> = (0..1000).map(|_| latency.draw(&mut tape, "test")).collect();
        let slow = drawn.iter().filter(|delay| **delay > max).count();
        assert!(drawn.iter().all(|delay| *delay >= min && *delay <= Duration::from_micros(9500)));
        assert!((50..150).contains(&slow), "{slow}");
        assert_eq!(Latency::fixed(max).draw(&mut tape, "test"), max);
    }
}
