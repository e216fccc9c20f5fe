//! Bounded mailboxes between shards: the only way from one shard to another.
//!
//! The unit of transfer is a batch: one lock and at most one wake-up for all that a fiber has
//! gathered. Two shards that wait for room in each other's mailboxes would wait for ever, so each
//! mailbox is drained by a fiber that itself never waits for room in another one.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// The other side is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the other side is gone")
    }
}

impl std::error::Error for Closed {}

/// A mailbox of at most `capacity` messages, many senders on any shard, one receiver.
///
/// # Panics
/// When `capacity` is 0: nothing would ever pass.
pub fn mailbox<T: Send + 'static>(capacity: usize) -> (MailSender<T>, MailReceiver<T>) {
    assert!(capacity > 0, "a mailbox needs room for one message");
    let state = Arc::new(Mutex::new(State {
        messages: Vec::new(),
        capacity,
        receiver: None,
        waiting_senders: Vec::new(),
        senders: 1,
        receiver_alive: true,
    }));
    (MailSender(Arc::clone(&state)), MailReceiver(state))
}

struct State<T> {
    messages: Vec<T>,
    capacity: usize,
    receiver: Option<Waker>,
    waiting_senders: Vec<Waker>,
    senders: usize,
    receiver_alive: bool,
}

/// Nothing that can panic runs under the lock, so a poisoned one is still in order.
fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts messages in, from any shard.
pub struct MailSender<T>(Arc<Mutex<State<T>>>);

impl<T: Send + 'static> MailSender<T> {
    /// Moves as many messages of `batch` as there is room for, the first ones first; true when
    /// `batch` is empty afterwards. Moves none when the receiver is gone.
    pub fn try_send_all(&self, batch: &mut Vec<T>) -> bool {
        if !batch.is_empty() {
            let waker = lock(&self.0).take_from(batch);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        batch.is_empty()
    }

    /// Moves all of `batch`, waiting for room. Dropping the future leaves in `batch` what was not
    /// moved.
    ///
    /// # Errors
    /// [`Closed`] when the receiver is gone; what was not moved stays in `batch`.
    pub async fn send_all(&self, batch: &mut Vec<T>) -> Result<(), Closed> {
        poll_fn(|context| {
            if self.try_send_all(batch) {
                return Poll::Ready(Ok(()));
            }
            let mut state = lock(&self.0);
            if !state.receiver_alive {
                return Poll::Ready(Err(Closed));
            }
            if state.messages.len() < state.capacity {
                // Room was made since the attempt above.
                drop(state);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !state.waiting_senders.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting_senders.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// True when the receiver is gone.
    pub fn is_closed(&self) -> bool {
        !lock(&self.0).receiver_alive
    }
}

impl<T> State<T> {
    /// Takes what fits; the waker to wake outside of the lock.
    fn take_from(&mut self, batch: &mut Vec<T>) -> Option<Waker> {
        if !self.receiver_alive {
            return None;
        }
        let room = self.capacity - self.messages.len();
        if room == 0 {
            return None;
        }
        if batch.len() <= room {
            self.messages.append(batch);
        } else {
            self.messages.extend(batch.drain(..room));
        }
        self.receiver.take()
    }
}

impl<T> Clone for MailSender<T> {
    fn clone(&self) -> MailSender<T> {
        lock(&self.0).senders += 1;
        MailSender(Arc::clone(&self.0))
    }
}

impl<T> Drop for MailSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = lock(&self.0);
            state.senders -= 1;
            if state.senders == 0 { state.receiver.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Takes messages out, in the order they were put in.
pub struct MailReceiver<T>(Arc<Mutex<State<T>>>);

impl<T: Send + 'static> MailReceiver<T> {
    /// Waits for at least one message and appends all there are to `out`; an empty `out` is
    /// exchanged for the mailbox's own vector, so that nothing is copied.
    ///
    /// # Errors
    /// [`Closed`] when all senders are gone and the mailbox is empty.
    pub async fn recv_all(&mut self, out: &mut Vec<T>) -> Result<(), Closed> {
        poll_fn(|context| {
            let mut state = lock(&self.0);
            if state.messages.is_empty() {
                if state.senders == 0 {
                    return Poll::Ready(Err(Closed));
                }
                state.receiver = Some(context.waker().clone());
                return Poll::Pending;
            }
            if out.is_empty() {
                std::mem::swap(out, &mut state.messages);
            } else {
                out.append(&mut state.messages);
            }
            let senders = std::mem::take(&mut state.waiting_senders);
            drop(state);
            senders.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        })
        .await
    }
}

impl<T> Drop for MailReceiver<T> {
    fn drop(&mut self) {
        let (messages, senders) = {
            let mut state = lock(&self.0);
            state.receiver_alive = false;
            (std::mem::take(&mut state.messages), std::mem::take(&mut state.waiting_senders))
        };
        drop(messages);
        senders.into_iter().for_each(Waker::wake);
    }
}
