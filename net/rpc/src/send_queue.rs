//! What waits to be sent over one connection to another node.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;

use runtime::Signal;

/// Packets of several sources for one connection: bounded in bytes, and in fair turns.
///
/// While little waits, packets leave in the order in which they came, all of them in one piece. When
/// more than `READY_BYTES` wait, each further packet joins the others of its source, and the
/// sources take turns. The order within a source is kept.
pub struct SendQueue {
    turns: RefCell<Turns>,
    bytes_max: usize,
    is_open: Cell<bool>,
    dropped: Cell<u64>,
    filled: Signal,
}

#[derive(Default)]
struct Turns {
    /// What leaves next.
    ready: Vec<u8>,
    /// What leaves after it, by source; the first one is next.
    waiting: VecDeque<(i32, Vec<u8>)>,
    /// Bytes of both.
    bytes: usize,
    /// Bytes that were taken and have not left yet.
    sending: usize,
}

/// Packets beyond this join those of their source.
const READY_BYTES: usize = 256 << 10;

impl SendQueue {
    /// A closed queue that takes packets, once open, while fewer than `bytes_max` bytes wait.
    pub fn new(bytes_max: usize) -> SendQueue {
        SendQueue {
            turns: RefCell::default(),
            bytes_max,
            is_open: Cell::new(false),
            dropped: Cell::new(0),
            filled: Signal::new(),
        }
    }

    /// Takes what `append` appends, whole packets, or drops it: `false` when there is no connection
    /// or no room.
    pub fn push(&self, source: i32, append: impl FnOnce(&mut Vec<u8>)) -> bool {
        let turns = &mut *self.turns.borrow_mut();
        if !self.is_open.get() || turns.bytes + turns.sending >= self.bytes_max {
            self.dropped.set(self.dropped.get() + 1);
            return false;
        }
        let buffer = turns.buffer_of(source);
        let before = buffer.len();
        append(buffer);
        turns.bytes += buffer.len() - before;
        self.filled.set();
        true
    }

    /// Whether packets are taken.
    pub fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Packets that were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// There is a connection: packets are taken from now on.
    pub fn open(&self) {
        self.is_open.set(true);
    }

    /// There is no connection any more: what waits is dropped, and so is what comes.
    pub fn close(&self) {
        self.is_open.set(false);
        *self.turns.borrow_mut() = Turns::default();
    }

    /// Exchanges what leaves next for an empty buffer; it counts as waiting until the next call.
    pub(crate) fn take(&self, empty: &mut Vec<u8>) {
        assert!(empty.is_empty(), "what was sent is not sent again");
        let turns = &mut *self.turns.borrow_mut();
        mem::swap(&mut turns.ready, empty);
        if let Some((_, next)) = turns.waiting.pop_front() {
            turns.ready = next;
        }
        turns.bytes -= empty.len();
        turns.sending = empty.len();
    }

    /// Waits until something was pushed.
    pub(crate) async fn filled(&self) {
        self.filled.wait().await;
    }
}

impl Turns {
    /// Where a packet of this source goes.
    fn buffer_of(&mut self, source: i32) -> &mut Vec<u8> {
        if self.waiting.is_empty() && self.ready.len() < READY_BYTES {
            return &mut self.ready;
        }
        let place = self.waiting.iter().position(|(of, _)| *of == source);
        let place = place.unwrap_or_else(|| {
            self.waiting.push_back((source, Vec::new()));
            self.waiting.len() - 1
        });
        &mut self.waiting[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &SendQueue) -> Vec<u8> {
        let mut out = Vec::new();
        queue.take(&mut out);
        out
    }

    #[test]
    fn a_short_queue_leaves_in_one_piece_and_in_order() {
        let queue = SendQueue::new(1 << 20);
        queue.open();
        for byte in 0..10 {
            assert!(queue.push(i32::from(byte % 3), |out| out.push(byte)));
        }
        assert_eq!(taken(&queue), (0..10).collect::<Vec<u8>>());
        assert_eq!(taken(&queue), []);
    }

    #[test]
    fn sources_take_turns_when_much_waits() {
        let queue = SendQueue::new(usize::MAX);
        queue.open();
        queue.push(1, |out| out.resize(READY_BYTES, 1));
        for source in [1, 2, 1, 3, 2] {
            queue.push(source, |out| out.push(source as u8));
        }
        assert_eq!(taken(&queue).len(), READY_BYTES);
        // Another packet of a source that has none waiting goes behind those that have.
        queue.push(4, |out| out.push(4));
        let rest = [taken(&queue), taken(&queue), taken(&queue), taken(&queue), taken(&queue)];
        assert_eq!(rest, [vec![1, 1], vec![2, 2], vec![3], vec![4], vec![]]);
    }

    #[test]
    fn no_more_than_the_bound_waits() {
        let queue = SendQueue::new(10);
        assert!(!queue.push(1, |_| unreachable!("it is closed")));
        queue.open();
        assert!(queue.push(1, |out| out.resize(11, 0)), "one packet always fits");
        assert!(!queue.push(1, |_| unreachable!("it is full")));
        taken(&queue);
        assert!(!queue.push(1, |_| unreachable!("what was taken has not left")));
        taken(&queue);
        assert!(queue.push(1, |out| out.push(0)));
        queue.close();
        assert_eq!(taken(&queue), []);
        assert_eq!(queue.dropped(), 3);
    }
}
