//! What will happen, by time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use moment::Moment;

use super::arena::Key;
use super::network::NetworkEvent;

/// Something that happens at a point of the world's time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A sleeping fiber's time has come.
    Timer(Key),
    /// A disk finished an operation.
    Disk(Key),
    /// Something arrives, or is given up.
    Network(NetworkEvent),
}

/// Events ordered by (time, order of scheduling).
pub(crate) struct EventQueue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    next_sequence: u64,
    stale: usize,
}

struct Scheduled {
    at: Moment,
    sequence: u64,
    event: Event,
}

/// Below this many dead entries the queue is not worth cleaning.
const STALE_MIN: usize = 1024;

impl EventQueue {
    pub(crate) fn new() -> EventQueue {
        EventQueue { heap: BinaryHeap::new(), next_sequence: 0, stale: 0 }
    }

    pub(crate) fn push(&mut self, at: Moment, event: Event) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.heap.push(Reverse(Scheduled { at, sequence, event }));
    }

    pub(crate) fn peek(&self) -> Option<(Moment, Event)> {
        self.heap.peek().map(|Reverse(first)| (first.at, first.event))
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, Event)> {
        self.heap.pop().map(|Reverse(first)| (first.at, first.event))
    }

    /// Says that one more event of the queue has lost its meaning.
    ///
    /// Once most of them have, those that `is_live` denies are thrown out, so that timeouts which
    /// never fire do not pile up until they are due.
    pub(crate) fn note_stale(&mut self, mut is_live: impl FnMut(&Event) -> bool) {
        self.stale += 1;
        if self.stale > STALE_MIN && self.stale > self.heap.len() / 2 {
            self.heap.retain(|Reverse(scheduled)| is_live(&scheduled.event));
            self.stale = 0;
        }
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(slot: u32) -> Event {
        Event::Timer(Key { slot, generation: 0 })
    }

    fn slot(event: Event) -> u32 {
        match event {
            Event::Timer(key) => key.slot,
            _ => u32::MAX,
        }
    }

    #[test]
    fn equal_times_keep_their_order_also_after_cleaning() {
        let mut queue = EventQueue::new();
        for number in 0..4_000 {
            queue.push(Moment::from_nanos(u64::from(number % 10)), timer(number));
        }
        for _ in 0..4_000 {
            queue.note_stale(|event| slot(*event).is_multiple_of(2));
        }
        let mut last = (Moment::ZERO, 0);
        let mut count = 0;
        while let Some((at, event)) = queue.pop() {
            assert!((at, slot(event)) >= last && slot(event).is_multiple_of(2));
            last = (at, slot(event));
            count += 1;
        }
        assert_eq!(count, 2_000);
    }
}
