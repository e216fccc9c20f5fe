//! The system's monotonic clock.

use std::time::Instant;

use moment::Moment;

pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    #[inline]
    pub(super) fn now(&self) -> Moment {
        Moment::ZERO + self.start.elapsed()
    }
}
