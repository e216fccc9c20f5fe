//! One value from one fiber to another of the same shard.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::mesh::Closed;

/// A pair to hand over one value.
pub fn oneshot<T>() -> (OneSender<T>, OneReceiver<T>) {
    let state = Rc::new(State {
        value: RefCell::new(None),
        waker: Cell::new(None),
        sender_alive: Cell::new(true),
        receiver_alive: Cell::new(true),
    });
    (OneSender(Rc::clone(&state)), OneReceiver(state))
}

struct State<T> {
    value: RefCell<Option<T>>,
    waker: Cell<Option<Waker>>,
    sender_alive: Cell<bool>,
    receiver_alive: Cell<bool>,
}

/// Sends the value; dropping it unsent tells the receiver [`Closed`].
pub struct OneSender<T>(Rc<State<T>>);

impl<T> OneSender<T> {
    /// Hands the value over.
    ///
    /// # Errors
    /// The value, when the receiver is gone.
    pub fn send(self, value: T) -> Result<(), T> {
        if !self.0.receiver_alive.get() {
            return Err(value);
        }
        // Dropping `self` wakes the receiver.
        *self.0.value.borrow_mut() = Some(value);
        Ok(())
    }

    /// True when nobody waits for the value any more.
    pub fn is_closed(&self) -> bool {
        !self.0.receiver_alive.get()
    }
}

impl<T> Drop for OneSender<T> {
    fn drop(&mut self) {
        self.0.sender_alive.set(false);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

/// Resolves to the value, or to [`Closed`] when it will never come.
#[must_use = "futures do nothing unless awaited"]
pub struct OneReceiver<T>(Rc<State<T>>);

impl<T> Future for OneReceiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        if let Some(value) = self.0.value.borrow_mut().take() {
            return Poll::Ready(Ok(value));
        }
        if !self.0.sender_alive.get() {
            return Poll::Ready(Err(Closed));
        }
        self.0.waker.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl<T> Drop for OneReceiver<T> {
    fn drop(&mut self) {
        self.0.receiver_alive.set(false);
    }
}
