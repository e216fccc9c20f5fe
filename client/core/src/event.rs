//! What happens without being asked for at that moment.

use alloc::vec::Vec;

use kv_api::{WatchEvent, WatchState};

use crate::error::Error;
use crate::lock::LockId;
use crate::watch::WatchId;

/// Something to tell the owner of a lock object or of a watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A lock object has come to another state.
    Lock(LockId, LockEvent),
    /// A watched key has another state, or the watch has ended.
    Watch(WatchId, WatchUpdate),
}

/// What became of a lock object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockEvent {
    /// This client holds the lock, until it is lost or released.
    Acquired {
        /// Greater than that of every earlier holder of the lock. Send it along with whatever the
        /// lock protects, so that a holder that was cut off can be refused.
        fencing_token: u64,
    },
    /// Another client holds the lock, and the time of waiting is over. This is the last event.
    NotAcquired,
    /// The lock could not be tried, or nothing was heard of it in the time of waiting. This is the
    /// last event.
    Failed(Error),
    /// This client does not hold the lock any more. This is the last event.
    Lost(LockLoss),
    /// The lock was given back, or the place in its queue. This is the last event.
    Released,
    /// Giving the lock back failed; it is free when its lease ends. This is the last event.
    NotReleased(Error),
}

/// How a lock was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockLoss {
    /// The lease was not renewed in time, by this client's own clock. The server frees the lock
    /// later, not earlier.
    LeaseOver,
    /// The server says that this client does not hold it.
    NotHolder,
}

/// What is told of a watched key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchUpdate {
    /// The latest state. States in between may be left out; indexes of one watch rise.
    State {
        /// Index of the change in the log; hand it over to resume this watch later.
        raft_index: u64,
        /// What is there.
        state: KeyState,
    },
    /// The server refuses the watch. This is the last update.
    Ended(Error),
}

/// What is at a watched key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Nothing.
    Missing,
    /// A value.
    Value(Vec<u8>),
    /// A directory or a lock; something in or below it has changed.
    Directory,
}

impl LockEvent {
    /// Whether the lock object is gone with this event.
    pub fn is_last(&self) -> bool {
        !matches!(self, LockEvent::Acquired { .. })
    }
}

impl From<WatchEvent<'_>> for KeyState {
    fn from(event: WatchEvent<'_>) -> KeyState {
        match event.state {
            WatchState::Missing => KeyState::Missing,
            WatchState::Value => KeyState::Value(event.value.to_vec()),
            WatchState::Directory => KeyState::Directory,
        }
    }
}
