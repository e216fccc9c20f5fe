//! Waiting for another fiber of the same shard.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A place to wait until another fiber says that something changed; remembers nothing.
///
/// A fiber looks at its state, and when that is not as wanted it waits and looks again: no
/// wake-up is lost, because nothing else runs between the look and the call of
/// [`wait`](Self::wait).
#[derive(Default)]
pub struct Condition {
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Default)]
struct Waiter {
    notified: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Condition {
    /// A condition nobody waits for.
    pub fn new() -> Condition {
        Condition::default()
    }

    /// Takes a place in the queue now; resolves after a notification.
    pub fn wait(&self) -> Wait<'_> {
        let waiter = Rc::new(Waiter::default());
        self.waiters.borrow_mut().push_back(Rc::clone(&waiter));
        Wait { condition: self, waiter, finished: false }
    }

    /// Wakes the fiber that waits longest.
    pub fn notify_one(&self) {
        let first = self.waiters.borrow_mut().pop_front();
        if let Some(waiter) = first {
            waiter.notify();
        }
    }

    /// Wakes all fibers that wait now.
    pub fn notify_all(&self) {
        let all = std::mem::take(&mut *self.waiters.borrow_mut());
        for waiter in all {
            waiter.notify();
        }
    }
}

impl Waiter {
    fn notify(&self) {
        self.notified.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A place in the queue of a [`Condition`]. A notification it got and did not see before it was
/// dropped goes to the next one.
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<'a> {
    condition: &'a Condition,
    waiter: Rc<Waiter>,
    finished: bool,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.waiter.notified.get() {
            self.finished = true;
            return Poll::Ready(());
        }
        self.waiter.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if self.waiter.notified.get() {
            self.condition.notify_one();
        } else {
            self.condition.waiters.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.waiter));
        }
    }
}

/// Wakes one waiting fiber and remembers one call when none waits; allocates nothing.
#[derive(Default)]
pub struct Signal {
    is_set: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Signal {
    /// A signal that is not set.
    pub fn new() -> Signal {
        Signal::default()
    }

    /// Sets the signal; the fiber that waits, or the next one to wait, goes on.
    pub fn set(&self) {
        if !self.is_set.replace(true)
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// Waits until the signal is set and clears it. Of two fibers that wait at the same time only
    /// the later one is woken.
    pub fn wait(&self) -> SignalWait<'_> {
        SignalWait { signal: self }
    }
}

/// The future of [`Signal::wait`]; dropping it leaves the signal as it is.
#[must_use = "futures do nothing unless awaited"]
pub struct SignalWait<'a> {
    signal: &'a Signal,
}

impl Future for SignalWait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.signal.is_set.replace(false) {
            return Poll::Ready(());
        }
        self.signal.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}
