//! Wakes executors that sleep although they have work.
//!
//! An executor goes to sleep with runnable tasks when its preempt timer, or another event that
//! wakes no task, is there before the first task has run. That takes a pause of the thread at the
//! wrong moment, so it is rare, and usually the next timer ends it; but none is left when the
//! fiber of the timers is itself what had not run. Only another thread helps then. The watchdog
//! looks whether each shard's clock goes on, and wakes a shard whose clock does not. One that is
//! busy, or that the system does not let run, is woken too, which costs it a look at its queue.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::host::clock::TICK_IDLE;
use crate::shard::ShardId;

/// How often the watchdog looks.
const INTERVAL: Duration = TICK_IDLE;
/// An idle clock beats once in an interval, and a beat may fall just outside of one.
const SILENCE: Duration = INTERVAL.saturating_mul(2);
/// From here on a stall is worth a line in the log.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// What a shard shows to the watchdog.
#[derive(Default)]
pub(crate) struct Pulse {
    beats: AtomicU64,
    bell: Mutex<Option<Waker>>,
}

impl Pulse {
    /// Says that the shard's clock goes on.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets the watchdog wake the executor that runs this; never ends.
    ///
    /// What is woken has nothing to do: that the executor looks at its queue is all.
    pub(crate) async fn answer(&self) {
        poll_fn(|context: &mut Context<'_>| {
            self.bell().replace(context.waker().clone());
            Poll::<()>::Pending
        })
        .await;
    }

    fn ring(&self) {
        if let Some(bell) = self.bell().as_ref() {
            bell.wake_by_ref();
        }
    }

    fn bell(&self) -> MutexGuard<'_, Option<Waker>> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches shards until all senders of `alive` are gone.
pub(crate) fn watch(pulses: Vec<(ShardId, Arc<Pulse>)>, alive: &Receiver<()>) {
    let start = Instant::now();
    let mut watched: Vec<Watched> =
        pulses.into_iter().map(|(shard, pulse)| Watched::new(shard, pulse, start)).collect();
    while alive.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        watched.iter_mut().for_each(|shard| shard.look(now));
    }
}

struct Watched {
    shard: ShardId,
    pulse: Arc<Pulse>,
    /// Beats at the last look that saw new ones.
    beats: u64,
    since: Instant,
}

impl Watched {
    fn new(shard: ShardId, pulse: Arc<Pulse>, now: Instant) -> Watched {
        Watched { shard, pulse, beats: 0, since: now }
    }

    fn look(&mut self, now: Instant) {
        let silent = now.duration_since(self.since);
        let beats = self.pulse.beats.load(Ordering::Relaxed);
        if beats == self.beats {
            if silent >= SILENCE {
                self.pulse.ring();
            }
            return;
        }
        if silent >= WORTH_TELLING {
            tracing::warn!(
                shard = self.shard.0,
                ?silent,
                "a shard did not run: the machine was paused, its core was taken, or it had too much to do at once"
            );
        }
        self.beats = beats;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn only_a_clock_that_stands_still_is_rung_for() {
        let (pulse, rings) = (Arc::new(Pulse::default()), Arc::new(Rings::default()));
        pulse.bell().replace(Waker::from(Arc::clone(&rings)));
        let start = Instant::now();
        let mut shard = Watched::new(ShardId(0), Arc::clone(&pulse), start);
        let mut rung_after = |beats: u32, look: u32| {
            (0..beats).for_each(|_| pulse.beat());
            shard.look(start + INTERVAL * look);
            rings.0.swap(0, Ordering::SeqCst)
        };
        // One interval without a beat may be an unlucky moment, two are not.
        let looks = [(1, 1, 0), (0, 2, 0), (0, 3, 1), (0, 4, 1), (1, 5, 0), (7, 6, 0), (0, 7, 0)];
        for (beats, look, rings) in looks {
            assert_eq!(rung_after(beats, look), rings, "look {look}");
        }
    }

    /// Nothing but the watchdog can wake this executor: it has no timer, no file and no socket.
    #[test]
    fn an_executor_without_any_event_is_woken() {
        let pulse = Arc::new(Pulse::default());
        let (alive, watched) = mpsc::channel();
        let dog = {
            let pulses = vec![(ShardId(0), Arc::clone(&pulse))];
            std::thread::spawn(move || watch(pulses, &watched))
        };
        let executor = glommio::LocalExecutorBuilder::default().make().expect("io_uring");
        executor.run(async {
            let mut looks = 0;
            let mut answer = std::pin::pin!(pulse.answer());
            poll_fn(|context: &mut Context<'_>| {
                looks += 1;
                match answer.as_mut().poll(context) {
                    Poll::Pending if looks < 3 => Poll::Pending,
                    _ => Poll::Ready(()),
                }
            })
            .await;
        });
        drop(alive);
        dog.join().expect("the watchdog ends with what it watches");
    }
}
