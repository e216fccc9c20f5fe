//! Timers that get the executor out of a sleep it should not be in.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use glommio::timer::Timer;
use moment::Moment;

/// The first guard's distance; each other one is twice as far away as the one before, so that the
/// last ones outlast a pause of the whole process.
const FIRST: Duration = Duration::from_millis(100);
const GUARDS: u32 = 10;

/// Timers of the executor that stand ready at growing distances.
///
/// The executor takes it for a lack of work when it is interrupted before it has run the first
/// task, and then sleeps until an event comes. A timer is one, and any of them helps: the next
/// round runs the tasks. One timer does not suffice, since the task that was interrupted may be the
/// one that would have set the next.
#[derive(Default)]
pub(crate) struct Guards([Option<(Moment, Timer)>; GUARDS as usize]);

impl Guards {
    /// Puts guards that have come closer than half their distance back to the whole of it, counted
    /// from the next `alarm`. So they do not fire as long as all is well.
    pub(crate) fn renew(&mut self, now: Moment, alarm: Moment) {
        for (power, guard) in (0..).zip(&mut self.0) {
            let distance = FIRST * 2_u32.pow(power);
            if guard.as_ref().is_none_or(|(at, _)| *at < alarm + distance / 2) {
                let at = alarm + distance;
                let mut timer = Timer::new(at.since(now));
                // It need not wake a task: that it fires is enough.
                let polled = Pin::new(&mut timer).poll(&mut Context::from_waker(Waker::noop()));
                *guard = polled.is_pending().then_some((at, timer));
            }
        }
    }
}
