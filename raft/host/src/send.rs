//! The fiber that sends the log to followers: from memory what is there, from the segments what is
//! not.

use std::rc::Rc;

use raft_core::{NodeId, Sendable};

use crate::error::GroupError;
use crate::execute::Shared;
use crate::log::reader::LogReader;
use crate::ports::StateMachine;

/// Sends until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    let mut reader = LogReader::new(&group.shard, &group.options);
    while !group.has_ended() {
        group.send_work.wait().await;
        let followers: Vec<NodeId> = group.core.borrow().raft.followers().collect();
        for follower in followers {
            if let Err(error) = group.send_to(&mut reader, follower).await {
                group.fail(error);
            }
        }
    }
    reader.close().await;
}

impl<M: StateMachine> Shared<M> {
    /// Sends all that a follower has room for.
    async fn send_to(&self, reader: &mut LogReader, to: NodeId) -> Result<(), GroupError> {
        while let Some(wanted) = self.send_from_memory(to) {
            if !self.send_from_disk(reader, to, wanted).await? {
                break;
            }
        }
        Ok(())
    }

    /// Sends all that a follower has room for, as long as it is in memory. Returns what is not.
    fn send_from_memory(&self, to: NodeId) -> Option<Sendable> {
        loop {
            let sendable = self.core.borrow().raft.sendable(to)?;
            let Sendable { first, last, bytes_max } = sendable;
            let mut records = Vec::new();
            let copied = self.core.borrow().tail.copy_records(first, last, bytes_max, &mut records);
            let Some(last) = copied else { return Some(sendable) };
            self.send(to, Sendable { last, ..sendable }, records);
        }
    }

    /// Reads the frame with the first wanted entry and sends what is wanted of it. Returns whether
    /// something was sent: nothing is when the entry was dropped from the log meanwhile.
    async fn send_from_disk(
        &self,
        reader: &mut LogReader,
        to: NodeId,
        wanted: Sendable,
    ) -> Result<bool, GroupError> {
        let Some(place) = self.core.borrow().tail.place_of(wanted.first) else { return Ok(false) };
        let frame = reader.frame(place).await;
        if self.core.borrow().tail.place_of(wanted.first) != Some(place) {
            // Cut or dropped while it was read: whatever was read is of no interest.
            return Ok(true);
        }
        let mut records = Vec::new();
        let last = place.copy_records(frame?.records(), wanted, &mut records);
        let Some(last) = last else { return Ok(false) };
        self.send(to, Sendable { last, ..wanted }, records);
        Ok(true)
    }

    fn send(&self, to: NodeId, range: Sendable, records: Vec<u8>) {
        let Some(outbox) = self.outbox.borrow().clone() else { return };
        let bytes = records.len() as u64;
        let message = self.core.borrow_mut().raft.send_entries(to, range.first, range.last, bytes);
        if let Some(message) = message {
            outbox.send(to, message, records);
        }
        self.drain(&[]);
    }
}
