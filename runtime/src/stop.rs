//! The request to stop a node, from any thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Asks a node to stop; may be called from any thread, any number of times.
#[derive(Clone, Default)]
pub struct StopHandle(Arc<State>);

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    next_key: u64,
    wakers: Vec<(u64, Waker)>,
}

impl StopHandle {
    /// A handle nobody stopped yet.
    pub fn new() -> StopHandle {
        StopHandle::default()
    }

    /// Asks the node to stop.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        let woken = std::mem::take(&mut self.waiters().wakers);
        for (_, waker) in woken {
            waker.wake();
        }
    }

    /// True once [`stop`](Self::stop) was called.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Resolves once [`stop`](Self::stop) was called.
    pub(crate) fn stopped(&self) -> Stopped<'_> {
        Stopped { handle: self, key: None }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.0.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Stopped<'a> {
    handle: &'a StopHandle,
    key: Option<u64>,
}

impl Future for Stopped<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let handle = self.handle;
        let mut waiters = handle.waiters();
        // Looked at under the lock: a stop after this line finds the waker in the list.
        if handle.is_stopped() {
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => {
                let key = waiters.next_key;
                waiters.next_key += 1;
                self.key = Some(key);
                key
            }
        };
        match waiters.wakers.iter_mut().find(|(other, _)| *other == key) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => waiters.wakers.push((key, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.handle.waiters().wakers.retain(|(other, _)| *other != key);
        }
    }
}
