//! A leader's view of one other node.

use alloc::collections::VecDeque;
use core::time::Duration;

use moment::Moment;

use crate::types::{Index, NodeId, Position, Round};

/// What a leader knows of a node it replicates to, and how it sends to it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) id: NodeId,
    /// Durable on the node and the same as here. `matched < next`.
    pub(crate) matched: Index,
    /// The first entry that was not sent yet.
    pub(crate) next: Index,
    pub(crate) flow: Flow,
    /// The newest round the node has answered, and when it was begun.
    pub(crate) acked: Round,
    pub(crate) heard: Option<Moment>,
    /// For how long after `heard` the node grants no vote; zero until it has said so.
    pub(crate) loyalty: Duration,
    pub(crate) priority: u8,
    /// The commit index last told to the node.
    pub(crate) told_commit: Index,
    /// What the newest reads on the node that were proven wait for.
    pub(crate) read_index: Index,
    /// What the node had acknowledged before it restarted.
    pub(crate) before_restart: Index,
    /// The node is in no list any more; forgotten when it knows that, or at this time.
    pub(crate) leaves_at: Option<Moment>,
}

/// How entries go to a node.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    /// Where its log agrees is not known: one question at a time.
    Probe,
    /// It agrees up to `next - 1`: everything new is sent at once, within the window.
    Pipeline(Window),
    /// It needs entries that were dropped. The boundary is that of the snapshot offered.
    Snapshot(Option<Position>),
}

/// Sent and not acknowledged yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    /// Last entry and size of each message.
    messages: VecDeque<(Index, u64)>,
    bytes: u64,
}

impl Progress {
    pub(crate) fn new(id: NodeId, next: Index) -> Progress {
        assert!(next > Index::ZERO, "the first entry of a log is 1");
        Progress {
            id,
            matched: Index::ZERO,
            next,
            flow: Flow::Probe,
            acked: Round(0),
            heard: None,
            loyalty: Duration::ZERO,
            priority: 0,
            told_commit: Index::ZERO,
            read_index: Index::ZERO,
            before_restart: Index::ZERO,
            leaves_at: None,
        }
    }

    /// The node answered a round that was begun at `begun`. Answers may come in any order.
    pub(crate) fn answered(&mut self, round: Round, begun: Option<Moment>) {
        if round > self.acked {
            self.acked = round;
            self.heard = begun.max(self.heard);
        }
    }

    /// The node holds everything up to `index` durably. Old news change nothing.
    pub(crate) fn holds(&mut self, index: Index) {
        self.matched = self.matched.max(index);
        match &mut self.flow {
            Flow::Pipeline(window) => window.release(index),
            Flow::Probe if index.next() >= self.next => {
                self.flow = Flow::Pipeline(Window::default());
                self.next = self.matched.next();
            }
            Flow::Snapshot(Some(boundary)) if index >= boundary.index => {
                self.probe_from(self.matched.next());
            }
            Flow::Probe | Flow::Snapshot(_) => {}
        }
        self.next = self.next.max(self.matched.next());
        assert!(self.matched < self.next, "what is acknowledged has been sent");
    }

    /// Begins to look for the place of agreement, at the entry before `next`.
    pub(crate) fn probe_from(&mut self, next: Index) {
        self.next = next.max(self.matched.next());
        self.flow = Flow::Probe;
    }

    /// What was sent may be lost.
    pub(crate) fn lost_contact(&mut self) {
        if let Flow::Pipeline(_) = self.flow {
            self.probe_from(self.matched.next());
        }
    }

    /// Everything the node has acknowledged is to be proven again.
    pub(crate) fn restarted(&mut self) {
        self.before_restart = self.before_restart.max(self.matched);
        let next = self.matched.next();
        self.matched = Index::ZERO;
        self.loyalty = Duration::ZERO;
        self.probe_from(next);
    }

    /// Entries `self.next ..= last` were sent.
    pub(crate) fn sent(&mut self, last: Index, bytes: u64) {
        assert!(last >= self.next, "at least one entry was sent");
        if let Flow::Pipeline(window) = &mut self.flow {
            window.messages.push_back((last, bytes));
            window.bytes += bytes;
        }
        self.next = last.next();
    }

    /// How many more entries and bytes may be on their way; `None` unless entries flow freely.
    pub(crate) fn room(&self, items_max: u64, bytes_max: u64) -> Option<(u64, u64)> {
        let Flow::Pipeline(window) = &self.flow else { return None };
        let items = items_max.saturating_sub(self.next.previous().since(self.matched));
        let bytes = bytes_max.saturating_sub(window.bytes);
        (items > 0 && bytes > 0).then_some((items, bytes))
    }

    pub(crate) fn is_pipelining(&self) -> bool {
        matches!(self.flow, Flow::Pipeline(_))
    }

    pub(crate) fn needs_snapshot(&self) -> bool {
        matches!(self.flow, Flow::Snapshot(_))
    }
}

impl Window {
    fn release(&mut self, matched: Index) {
        while let Some(&(last, bytes)) = self.messages.front().filter(|(last, _)| *last <= matched)
        {
            assert!(last <= matched && bytes <= self.bytes, "a message is counted once");
            self.messages.pop_front();
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_counts_entries_and_bytes() {
        let mut progress = Progress::new(NodeId(2), Index(1));
        assert_eq!(progress.room(10, 100), None, "a probe sends no entries");
        progress.holds(Index(0));
        assert_eq!(progress.room(10, 100), Some((10, 100)));
        progress.sent(Index(4), 60);
        assert_eq!(progress.room(10, 100), Some((6, 40)));
        progress.sent(Index(5), 40);
        assert_eq!(progress.room(10, 100), None, "no bytes are left");
        progress.holds(Index(4));
        assert_eq!(progress.room(10, 100), Some((9, 60)));
        progress.holds(Index(5));
        progress.sent(Index(15), 10);
        assert_eq!(progress.room(10, 100), None, "no entries are left");
    }

    #[test]
    fn an_old_acknowledgement_changes_nothing() {
        let mut progress = Progress::new(NodeId(2), Index(8));
        progress.holds(Index(7));
        progress.sent(Index(9), 1);
        progress.holds(Index(3));
        assert_eq!((progress.matched, progress.next), (Index(7), Index(10)));
    }

    #[test]
    fn a_break_of_the_link_sends_again_what_is_not_acknowledged() {
        let mut progress = Progress::new(NodeId(2), Index(8));
        progress.holds(Index(7));
        progress.sent(Index(9), 1);
        progress.lost_contact();
        assert_eq!((progress.matched, progress.next), (Index(7), Index(8)));
        assert!(!progress.is_pipelining());
    }
}
