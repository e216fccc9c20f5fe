//! The time that a leader gives its entries.
//!
//! Time to live and leases are counted in it, so that it must not jump when somebody sets the wall
//! clock. It starts with the wall clock, or with the newest entry if that is ahead, and is carried on
//! by the monotonic clock; what the wall clock differs by is made up for so slowly that no countdown
//! notices. It never goes back, whoever leads.

use moment::{Moment, WallTime};
use planted::{Bug, is_on};

/// Times of entries in the log, and of the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryClock {
    /// Time of the newest entry that is known.
    newest_ms: u64,
    /// Where the time was when this node last gave one; `None` when another node has since.
    pace: Option<Pace>,
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    at: Moment,
    nanos: u64,
}

/// Of so many nanoseconds one may be made longer or shorter: 500 parts per million, as much as the
/// monotonic clock itself may be adjusted.
const SLEW: u64 = 2000;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;

impl EntryClock {
    /// The clock behind a log whose newest entry has this time.
    pub(crate) fn behind(newest_ms: u64) -> EntryClock {
        EntryClock { newest_ms, pace: None }
    }

    /// The time of the newest entry.
    pub(crate) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Entries from here on have at least this time, the time now.
    pub(crate) fn advance(&mut self, now: Moment, wall: WallTime) {
        let nanos = self.look(now, wall);
        self.pace = Some(Pace { at: now, nanos });
        let millis = nanos / NANOS_PER_MILLISECOND;
        let is_free = is_on(Bug::EntryTimeFromWall);
        self.newest_ms = if is_free { millis } else { self.newest_ms.max(millis) };
    }

    /// The time now, as [`EntryClock::advance`] would make it.
    pub(crate) fn now_ms(&self, now: Moment, wall: WallTime) -> u64 {
        self.newest_ms.max(self.look(now, wall) / NANOS_PER_MILLISECOND)
    }

    /// An entry of another leader came.
    pub(crate) fn received(&mut self, time_ms: u64) {
        self.newest_ms = self.newest_ms.max(time_ms);
        self.pace = None;
    }

    fn look(&self, now: Moment, wall: WallTime) -> u64 {
        let wall = wall.as_millis().saturating_mul(NANOS_PER_MILLISECOND);
        if is_on(Bug::EntryTimeFromWall) {
            return wall;
        }
        let Some(pace) = self.pace else {
            return wall.max(self.newest_ms.saturating_mul(NANOS_PER_MILLISECOND));
        };
        let passed = now.as_nanos().saturating_sub(pace.at.as_nanos());
        let slack = passed / SLEW;
        let carried = pace.nanos.saturating_add(passed);
        wall.clamp(carried - slack, carried.saturating_add(slack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START_MS: i64 = 1_800_000_000_000;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * SECOND)
    }

    fn wall(milliseconds: i64) -> WallTime {
        WallTime::from_millis((START_MS + milliseconds) as u64)
    }

    /// The clock's time, in milliseconds since the same start.
    fn read(clock: &mut EntryClock, now: Moment, wall: WallTime) -> i64 {
        let told = clock.now_ms(now, wall);
        clock.advance(now, wall);
        assert_eq!(told, clock.newest_ms());
        told as i64 - START_MS
    }

    #[test]
    fn a_wall_clock_that_jumps_moves_it_by_little() {
        for jump in [3_600_000, -3_600_000] {
            let mut clock = EntryClock::behind(0);
            assert_eq!(read(&mut clock, at(0), wall(0)), 0);
            assert_eq!(read(&mut clock, at(10), wall(10_000)), 10_000);
            let slewed = read(&mut clock, at(20), wall(20_000 + jump));
            assert_eq!((slewed - 20_000) * jump.signum(), 5, "of ten seconds");
            let later = read(&mut clock, at(1020), wall(1_020_000 + jump));
            assert_eq!((later - 1_020_000) * jump.signum(), 505);
        }
    }

    #[test]
    fn it_follows_a_wall_clock_that_is_adjusted() {
        let mut clock = EntryClock::behind(0);
        read(&mut clock, at(0), wall(0));
        for second in 1..1000 {
            let adjusted = second * 1000 + second / 10;
            let read = read(&mut clock, at(second as u64), wall(adjusted));
            assert!((adjusted - read).abs() <= 1, "100 parts per million: {read}, {adjusted}");
        }
    }

    #[test]
    fn it_never_goes_back() {
        let mut clock = EntryClock::behind(START_MS as u64 + 5000);
        assert_eq!(read(&mut clock, at(0), wall(0)), 5000, "older entries are ahead of the wall");
        assert_eq!(read(&mut clock, at(1), wall(1000)), 5999, "and time goes on nevertheless");
        clock.received(START_MS as u64 + 90_000);
        assert_eq!(read(&mut clock, at(2), wall(2000)), 90_000);
        clock.received(START_MS as u64);
        assert_eq!(
            read(&mut clock, at(3), wall(100_000)),
            100_000,
            "another leader was in between"
        );
    }

    #[test]
    fn garbage_saturates() {
        let mut clock = EntryClock::behind(u64::MAX);
        clock.advance(Moment::MAX, WallTime::from_millis(u64::MAX));
        clock.advance(Moment::ZERO, WallTime::from_millis(0));
        assert_eq!(clock.newest_ms(), u64::MAX);
    }
}
