//! Every change of some keys in order: what to ask for next, and what an answer means.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use kv_api::ChangesPhase;

use crate::argument::InvalidArgument;
use crate::operation::Operation;
use crate::operations::{Change, Changes, ChangesReply};

/// Where somebody is in the changes of some keys.
///
/// It asks for nothing by itself: the clients' `follow` asks once, and takes the reply. A stream
/// whose request failed is where it was, and may go on with another client.
#[derive(Clone, Debug)]
pub struct Stream {
    keys: Vec<Box<[u8]>>,
    from_index: u64,
    skip: u32,
    /// Not empty between two parts of the state.
    cursor: Vec<u8>,
    /// A state is being told.
    is_told_state: bool,
    /// The state is complete up to here once everything up to here was told.
    state_index: Option<u64>,
}

/// What a stream tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamUpdate {
    /// A change. No other one lies between it and the one before.
    Changed(Change),
    /// Changes are missing: the log does not have them any more, or the state was asked for. What is
    /// known of the keys and of all below them does not count from here on.
    Resync,
    /// A node of the state, with the index of its last change.
    State(Change),
    /// What was told since [`StreamUpdate::Resync`] is the state as it was at this index; until here
    /// it may have been that of several moments.
    Synced {
        /// The index.
        raft_index: u64,
    },
}

impl Stream {
    /// The changes of these keys and all below them, from an index on; from 0 on the state comes
    /// first.
    ///
    /// # Errors
    /// When a key is none, or there are none or more than 1000.
    pub fn new(keys: &[&[u8]], from_index: u64) -> Result<Stream, InvalidArgument> {
        let stream = Stream {
            keys: keys.iter().map(|key| Box::from(*key)).collect(),
            from_index,
            skip: 0,
            cursor: Vec::new(),
            is_told_state: false,
            state_index: None,
        };
        stream.request(Duration::ZERO).check()?;
        Ok(stream)
    }

    /// Where a new stream would go on without telling anything twice; `None` while a state is told,
    /// which would have to begin anew.
    pub fn position(&self) -> Option<u64> {
        let is_between = !self.is_told_state && self.state_index.is_none() && self.skip == 0;
        is_between.then_some(self.from_index)
    }

    /// What to ask for next. The answer may take as long as `wait` if there is nothing to tell.
    pub fn request(&self, wait: Duration) -> Changes<'_> {
        let Stream { keys, from_index, skip, cursor, .. } = self;
        let wait = if self.state_index.is_some() { Duration::ZERO } else { wait };
        Changes { keys, from_index: *from_index, skip: *skip, wait, cursor }
    }

    /// Takes the reply to that.
    pub fn take(&mut self, reply: ChangesReply) -> Vec<StreamUpdate> {
        let mut updates = Vec::with_capacity(reply.events.len() + 2);
        let is_state = reply.phase != ChangesPhase::Changes;
        if is_state && !self.is_told_state {
            updates.push(StreamUpdate::Resync);
        }
        let kind = if is_state { StreamUpdate::State } else { StreamUpdate::Changed };
        updates.extend(reply.events.into_iter().map(kind));
        self.is_told_state = reply.phase == ChangesPhase::StatePart;
        self.cursor = if self.is_told_state { reply.cursor } else { Vec::new() };
        (self.from_index, self.skip) = (reply.next_index, reply.skip);
        if reply.phase == ChangesPhase::StateEnd {
            self.state_index = Some(reply.state_index);
        }
        if !self.is_told_state
            && let Some(raft_index) = self.state_index
            && (self.from_index > raft_index || is_state && self.from_index == raft_index)
        {
            self.state_index = None;
            let raft_index = raft_index.max(self.from_index.saturating_sub(1));
            updates.push(StreamUpdate::Synced { raft_index });
        }
        updates
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::event::KeyState;

    fn change(raft_index: u64) -> Change {
        Change { raft_index, key: b"k".to_vec(), state: KeyState::Directory }
    }

    fn reply(phase: ChangesPhase, next_index: u64, state_index: u64) -> ChangesReply {
        let (events, cursor) = (vec![change(next_index)], b"there".to_vec());
        ChangesReply { events, next_index, skip: 0, phase, cursor, state_index }
    }

    #[test]
    fn changes_follow_each_other() {
        let mut stream = Stream::new(&[b"k"], 5).unwrap();
        let updates = stream.take(reply(ChangesPhase::Changes, 9, 0));
        assert_eq!(updates, [StreamUpdate::Changed(change(9))]);
        assert_eq!(stream.position(), Some(9));
        let cut = ChangesReply { skip: 3, ..reply(ChangesPhase::Changes, 12, 0) };
        stream.take(cut);
        assert_eq!(stream.position(), None);
        let next = stream.request(Duration::ZERO);
        assert_eq!((next.from_index, next.skip, next.cursor), (12, 3, &b""[..]));
    }

    #[test]
    fn a_state_in_parts_is_whole_when_all_changes_since_were_told() {
        let mut stream = Stream::new(&[b"k"], 0).unwrap();
        let updates = stream.take(reply(ChangesPhase::StatePart, 11, 10));
        assert_eq!(updates, [StreamUpdate::Resync, StreamUpdate::State(change(11))]);
        assert_eq!(stream.position(), None);
        assert_eq!(stream.request(Duration::ZERO).cursor, b"there");
        let updates = stream.take(reply(ChangesPhase::StateEnd, 11, 14));
        assert_eq!(updates, [StreamUpdate::State(change(11))]);
        let updates = stream.take(reply(ChangesPhase::Changes, 13, 0));
        assert_eq!(updates, [StreamUpdate::Changed(change(13))]);
        let updates = stream.take(reply(ChangesPhase::Changes, 16, 0));
        assert_eq!(updates.last(), Some(&StreamUpdate::Synced { raft_index: 15 }));
        assert_eq!(stream.position(), Some(16));
    }

    #[test]
    fn a_state_in_one_part_is_whole_at_once() {
        let mut stream = Stream::new(&[b"k"], 3).unwrap();
        let updates = stream.take(reply(ChangesPhase::StateEnd, 11, 10));
        let state = StreamUpdate::State(change(11));
        let synced = StreamUpdate::Synced { raft_index: 10 };
        assert_eq!(updates, [StreamUpdate::Resync, state, synced]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Stream::new(&[], 0).is_err());
        assert!(Stream::new(&[b"a b"], 0).is_err());
        assert!(Stream::new(&[b""], 0).is_ok());
    }
}
