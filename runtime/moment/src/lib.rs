//! Points in time, without a way to read a clock.
//!
//! Pure crates are handed the time as an argument; the runtime's clock is the only place that makes
//! one. [`Moment`] is monotonic and has nanoseconds, [`WallTime`] is what a person's clock shows and
//! has milliseconds. Neither can be mistaken for the other.
#![no_std]

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point on the node's monotonic clock, in nanoseconds since an arbitrary start.
///
/// The clock behind it goes on while the machine is suspended (`CLOCK_BOOTTIME`), so that a lease
/// cannot outlive a pause.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// The start of the clock.
    pub const ZERO: Moment = Moment(0);
    /// Later than every moment that a clock returns.
    pub const MAX: Moment = Moment(u64::MAX);

    /// The moment this many nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Moment {
        Moment(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` is not earlier.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `nanos` nanoseconds later, [`Moment::MAX`] when that cannot be represented.
    pub const fn after_nanos(self, nanos: u64) -> Moment {
        Moment(self.0.saturating_add(nanos))
    }
}

/// Saturates at [`Moment::MAX`].
impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        self.after_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Saturates at [`Moment::ZERO`].
impl Sub<Duration> for Moment {
    type Output = Moment;

    fn sub(self, duration: Duration) -> Moment {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_sub(nanos))
    }
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// The time this many milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> WallTime {
        WallTime(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ms since 1970", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Moment::MAX + Duration::from_secs(1), Moment::MAX);
        assert_eq!(Moment::ZERO - Duration::from_secs(1), Moment::ZERO);
        assert_eq!(Moment::ZERO.since(Moment::MAX), Duration::ZERO);
        assert_eq!(Moment::from_nanos(5) + Duration::from_nanos(7), Moment::from_nanos(12));
    }
}
