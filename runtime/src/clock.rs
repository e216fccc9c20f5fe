//! Time: the only place where a fiber learns or awaits it.

use std::future::Future;
use std::time::Duration;

use moment::{Moment, WallTime};

use crate::race::{Either, race};
use crate::{host, sim};

/// The clock of a shard.
#[derive(Clone)]
pub struct Clock(Inner);

#[derive(Clone)]
enum Inner {
    Host(host::HostClock),
    Sim(sim::SimClock),
}

impl Clock {
    pub(crate) fn from_host(clock: host::HostClock) -> Clock {
        Clock(Inner::Host(clock))
    }

    pub(crate) fn from_sim(clock: sim::SimClock) -> Clock {
        Clock(Inner::Sim(clock))
    }

    /// The moment now; never goes back, and goes on while the machine is suspended.
    pub fn now(&self) -> Moment {
        match &self.0 {
            Inner::Host(clock) => clock.now(),
            Inner::Sim(clock) => clock.now(),
        }
    }

    /// What a person's clock shows; may jump either way.
    pub fn wall(&self) -> WallTime {
        match &self.0 {
            Inner::Host(clock) => clock.wall(),
            Inner::Sim(clock) => clock.wall(),
        }
    }

    /// Waits at least `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Waits until `moment` has come.
    pub async fn sleep_until(&self, moment: Moment) {
        match &self.0 {
            Inner::Host(clock) => clock.sleep_until(moment).await,
            Inner::Sim(clock) => clock.sleep_until(moment).await,
        }
    }

    /// The future's result, or `None` when it did not come within `duration`; it is dropped then.
    ///
    /// Not for futures that must not be dropped: log writes, accepts.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        match race(future, self.sleep(duration)).await {
            Either::Left(output) => Some(output),
            Either::Right(()) => None,
        }
    }
}
