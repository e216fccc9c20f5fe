//! Clocks of the system, and all timers of a shard behind one of the executor's.
//!
//! The executor has its own timers, but with many of them it rounds to milliseconds, and each
//! costs it more than an entry of a tree. So there is one fiber that sleeps until the next
//! deadline and wakes whoever waits for it.
//!
//! The same fiber never sleeps longer than a tick, for a second reason: after a long pause at the
//! wrong moment the executor can go to sleep although tasks are runnable, and only an event gets
//! it out of that. Ticks are frequent while there is work and rare when there is none. When they
//! stop, the watchdog wakes the executor (`watchdog.rs`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use moment::{Moment, WallTime};

use crate::condition::Signal;
use crate::host::watchdog::Pulse;
use crate::race::race;

/// Longest stall of a shard that has work.
const TICK_BUSY: Duration = Duration::from_millis(10);
/// Longest stall of a shard that had none; ten wake-ups a second cost 0.2 % of a core.
pub(crate) const TICK_IDLE: Duration = Duration::from_millis(100);
/// A tick itself runs this many tasks at most.
const TASKS_OF_A_TICK: u64 = 4;

/// The clocks of the system; clones share one set of timers.
#[derive(Clone, Default)]
pub(crate) struct HostClock(Rc<Timers>);

#[derive(Default)]
struct Timers {
    next_key: Cell<u64>,
    waiting: RefCell<BTreeMap<(Moment, u64), Waker>>,
    /// When the driver wakes by itself.
    alarm: Cell<Moment>,
    /// Set when a deadline before `alarm` came in.
    earlier: Signal,
}

impl HostClock {
    pub(crate) fn now(&self) -> Moment {
        Moment::from_nanos(nanos_of(libc::CLOCK_BOOTTIME))
    }

    pub(crate) fn wall(&self) -> WallTime {
        WallTime::from_millis(nanos_of(libc::CLOCK_REALTIME) / 1_000_000)
    }

    pub(crate) fn sleep_until(&self, moment: Moment) -> SleepUntil<'_> {
        SleepUntil { clock: self, moment, key: None }
    }

    /// Wakes sleepers; runs as long as the executor.
    pub(crate) async fn drive(self, pulse: Arc<Pulse>) {
        let mut busy_until = Moment::ZERO;
        loop {
            pulse.beat();
            let now = self.now();
            self.wake_due(now);
            // The executor counts from the last time it was asked.
            if glommio::executor().executor_stats().tasks_executed() > TASKS_OF_A_TICK {
                busy_until = now + TICK_IDLE;
            }
            let tick = now + if now < busy_until { TICK_BUSY } else { TICK_IDLE };
            let next = self.0.waiting.borrow().keys().next().map_or(tick, |(next, _)| *next);
            let alarm = next.min(tick);
            self.0.alarm.set(alarm);
            race(glommio::timer::sleep(alarm.since(now)), self.0.earlier.wait()).await;
        }
    }

    fn wake_due(&self, now: Moment) {
        let due = {
            let mut waiting = self.0.waiting.borrow_mut();
            let later = waiting.split_off(&(now.after_nanos(1), 0));
            std::mem::replace(&mut *waiting, later)
        };
        due.into_values().for_each(Waker::wake);
    }
}

fn nanos_of(clock: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is valid for a timespec, for which zeros are a value too.
    let time = unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    // Both clocks start at zero and go on from there.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Waits for a moment.
pub(crate) struct SleepUntil<'a> {
    clock: &'a HostClock,
    moment: Moment,
    key: Option<u64>,
}

impl Future for SleepUntil<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.moment {
            return Poll::Ready(());
        }
        let timers = &self.clock.0;
        let key = match self.key {
            Some(key) => key,
            None => {
                let key = timers.next_key.replace(timers.next_key.get() + 1);
                self.key = Some(key);
                key
            }
        };
        timers.waiting.borrow_mut().insert((self.moment, key), context.waker().clone());
        if self.moment < timers.alarm.get() {
            timers.earlier.set();
        }
        Poll::Pending
    }
}

impl Drop for SleepUntil<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.0.waiting.borrow_mut().remove(&(self.moment, key));
        }
    }
}
