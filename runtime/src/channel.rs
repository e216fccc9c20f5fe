//! A bounded queue between fibers of one shard.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::condition::Condition;
use crate::mesh::Closed;

/// A queue of at most `capacity` items, many senders, one receiver.
///
/// # Panics
/// When `capacity` is 0: nothing would ever pass.
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel needs room for one item");
    let state = Rc::new(State {
        queue: RefCell::new(VecDeque::new()),
        capacity,
        receiver: Cell::new(None),
        room: Condition::new(),
        senders: Cell::new(1),
        receiver_alive: Cell::new(true),
    });
    (Sender(Rc::clone(&state)), Receiver(state))
}

struct State<T> {
    queue: RefCell<VecDeque<T>>,
    capacity: usize,
    receiver: Cell<Option<Waker>>,
    room: Condition,
    senders: Cell<usize>,
    receiver_alive: Cell<bool>,
}

/// Why an item was not taken; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Rejected<T> {
    /// There is no room now.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

/// Puts items in.
pub struct Sender<T>(Rc<State<T>>);

impl<T> Sender<T> {
    /// Puts an item in if there is room.
    ///
    /// # Errors
    /// The item, with the reason.
    pub fn try_send(&self, item: T) -> Result<(), Rejected<T>> {
        if !self.0.receiver_alive.get() {
            return Err(Rejected::Closed(item));
        }
        let mut queue = self.0.queue.borrow_mut();
        if queue.len() >= self.0.capacity {
            return Err(Rejected::Full(item));
        }
        queue.push_back(item);
        drop(queue);
        if let Some(waker) = self.0.receiver.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Puts an item in, waiting for room. Dropping the future before that drops the item.
    ///
    /// # Errors
    /// [`Closed`] when the receiver is gone; the item is dropped then.
    pub async fn send(&self, item: T) -> Result<(), Closed> {
        let mut item = item;
        loop {
            match self.try_send(item) {
                Ok(()) => return Ok(()),
                Err(Rejected::Closed(_)) => return Err(Closed),
                Err(Rejected::Full(back)) => item = back,
            }
            self.0.room.wait().await;
        }
    }

    /// True when the receiver is gone.
    pub fn is_closed(&self) -> bool {
        !self.0.receiver_alive.get()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.0.senders.set(self.0.senders.get() + 1);
        Sender(Rc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.senders.get() == 0
            && let Some(waker) = self.0.receiver.take()
        {
            waker.wake();
        }
    }
}

/// Takes items out, in the order they were put in.
pub struct Receiver<T>(Rc<State<T>>);

impl<T> Receiver<T> {
    /// An item if there is one.
    pub fn try_recv(&mut self) -> Option<T> {
        let item = self.0.queue.borrow_mut().pop_front()?;
        self.0.room.notify_one();
        Some(item)
    }

    /// The next item; `None` when all senders are gone and the queue is empty.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| match self.try_recv() {
            Some(item) => Poll::Ready(Some(item)),
            None => self.poll_end(context).map(|()| None),
        })
        .await
    }

    /// Waits for at least one item and appends all there are to `out`.
    ///
    /// # Errors
    /// [`Closed`] when all senders are gone and the queue is empty.
    pub async fn recv_all(&mut self, out: &mut Vec<T>) -> Result<(), Closed> {
        poll_fn(|context| {
            let mut queue = self.0.queue.borrow_mut();
            if queue.is_empty() {
                drop(queue);
                return self.poll_end(context).map(|()| Err(Closed));
            }
            out.extend(queue.drain(..));
            drop(queue);
            self.0.room.notify_all();
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ready when no sender is left; to be asked when the queue is empty.
    fn poll_end(&self, context: &Context<'_>) -> Poll<()> {
        if self.0.senders.get() == 0 {
            return Poll::Ready(());
        }
        self.0.receiver.set(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.receiver_alive.set(false);
        let rest = std::mem::take(&mut *self.0.queue.borrow_mut());
        drop(rest);
        self.0.room.notify_all();
    }
}
