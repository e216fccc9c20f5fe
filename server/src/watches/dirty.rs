//! Watches of one client whose latest state it may not have, in the order of their changes.

use std::collections::VecDeque;

use super::slots::Place;

/// A watch in the queue. A watch that ended or began anew has another serial or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dirty {
    pub(super) watch: Place,
    pub(super) serial: u64,
}

/// The queue. It also holds watches that have ended, until they come to its head or are swept out.
#[derive(Default)]
pub(super) struct DirtyQueue(VecDeque<Dirty>);

/// Ended watches that are not worth a sweep.
const ENDED_FREE: usize = 16;

impl DirtyQueue {
    pub(super) fn push(&mut self, dirty: Dirty) {
        self.0.push_back(dirty);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first(&self) -> Option<Dirty> {
        self.0.front().copied()
    }

    pub(super) fn pop(&mut self) {
        self.0.pop_front();
    }

    /// Keeps the queue within twice the number of watches.
    pub(super) fn sweep(&mut self, watches: usize, lives: impl Fn(Dirty) -> bool) {
        if self.0.len() > 2 * watches + ENDED_FREE {
            self.0.retain(|dirty| lives(*dirty));
        }
    }
}
