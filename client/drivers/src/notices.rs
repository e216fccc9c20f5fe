//! What lock objects and watches have told, for futures that wait for it.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use client_core::{Event, LockEvent, LockId, WatchId, WatchUpdate};

/// One place for each lock object and watch that somebody owns.
#[derive(Default)]
pub struct Notices {
    locks: BTreeMap<LockId, LockNotice>,
    watches: BTreeMap<WatchId, WatchNotice>,
}

#[derive(Default)]
struct LockNotice {
    fencing_token: Option<u64>,
    last: Option<LockEvent>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct WatchNotice {
    /// The newest one that was not taken.
    update: Option<WatchUpdate>,
    waker: Option<Waker>,
}

/// How the wish to have a lock has ended.
pub(crate) enum Acquired {
    Yes { fencing_token: u64 },
    No(LockEvent),
}

impl Notices {
    pub(crate) fn open_lock(&mut self, lock: LockId) {
        self.locks.insert(lock, LockNotice::default());
    }

    pub(crate) fn close_lock(&mut self, lock: LockId) {
        self.locks.remove(&lock);
    }

    pub(crate) fn open_watch(&mut self, watch: WatchId) {
        self.watches.insert(watch, WatchNotice::default());
    }

    pub(crate) fn close_watch(&mut self, watch: WatchId) {
        self.watches.remove(&watch);
    }

    /// Remembers an event; returns whom to wake.
    pub(crate) fn deliver(&mut self, event: Event) -> Option<Waker> {
        match event {
            Event::Lock(lock, event) => {
                let notice = self.locks.get_mut(&lock)?;
                match event {
                    LockEvent::Acquired { fencing_token } => {
                        notice.fencing_token = Some(fencing_token);
                    }
                    last => notice.last = Some(last),
                }
                notice.waker.take()
            }
            Event::Watch(watch, update) => {
                let notice = self.watches.get_mut(&watch)?;
                notice.update = Some(update);
                notice.waker.take()
            }
        }
    }

    pub(crate) fn poll_acquired(&mut self, lock: LockId, context: &Context<'_>) -> Poll<Acquired> {
        let notice = self.locks.entry(lock).or_default();
        if let Some(last) = &notice.last {
            return Poll::Ready(Acquired::No(last.clone()));
        }
        match notice.fencing_token {
            Some(fencing_token) => Poll::Ready(Acquired::Yes { fencing_token }),
            None => {
                notice.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits for the last event, which is told again and again.
    pub(crate) fn poll_last(&mut self, lock: LockId, context: &Context<'_>) -> Poll<LockEvent> {
        let notice = self.locks.entry(lock).or_default();
        match &notice.last {
            Some(last) => Poll::Ready(last.clone()),
            None => {
                notice.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_update(
        &mut self,
        watch: WatchId,
        context: &Context<'_>,
    ) -> Poll<WatchUpdate> {
        let notice = self.watches.entry(watch).or_default();
        match notice.update.take() {
            Some(update) => Poll::Ready(update),
            None => {
                notice.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
