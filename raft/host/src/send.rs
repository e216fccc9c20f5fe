//! The fiber that sends the log to followers: from memory what is there, from the segments what is
//! not.

use std::rc::Rc;

use bytes::Bytes;
use raft_core::{Index, NodeId, Sendable};

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
        let mut copies = Copies::default();
        for follower in followers {
            if let Err(error) = group.send_to(&mut reader, &mut copies, follower).await {
                group.fail(error);
            }
        }
    }
    reader.close().await;
}

/// What was copied for one follower and can go to the next one as it is: mostly both want the same.
#[derive(Default)]
struct Copies(Vec<Copied>);

/// The records that were the answer to a wish.
struct Copied {
    wanted: Sendable,
    last: Index,
    records: Bytes,
}

impl Copies {
    fn find(&self, wanted: Sendable) -> Option<(Index, Bytes)> {
        let copy = self.0.iter().find(|copy| copy.wanted == wanted)?;
        Some((copy.last, copy.records.clone()))
    }
}

impl<M: StateMachine> Shared<M> {
    /// Sends all that a follower has room for.
    async fn send_to(
        &self,
        reader: &mut LogReader,
        copies: &mut Copies,
        to: NodeId,
    ) -> Result<(), GroupError> {
        while let Some(wanted) = self.send_from_memory(copies, to) {
            // While the disk is read the log may change.
            copies.0.clear();
            if !self.send_from_disk(reader, to, wanted).await? {
                break;
            }
        }
        Ok(())
    }

    /// Sends all that a follower has room for, as long as it is in memory. Returns what is not.
    fn send_from_memory(&self, copies: &mut Copies, to: NodeId) -> Option<Sendable> {
        loop {
            let wanted = self.core.borrow().raft.sendable(to)?;
            let (last, records) = match copies.find(wanted) {
                Some(found) => found,
                None => {
                    let Some((last, records)) = self.copy_records(wanted) else {
                        return Some(wanted);
                    };
                    copies.0.push(Copied { wanted, last, records: records.clone() });
                    (last, records)
                }
            };
            self.send(to, Sendable { last, ..wanted }, records);
        }
    }

    /// What of the wanted records is in memory; `None` when the first one is not.
    fn copy_records(&self, wanted: Sendable) -> Option<(Index, Bytes)> {
        let Sendable { first, last, bytes_max } = wanted;
        let mut records = Vec::new();
        let copied = self.core.borrow().tail.copy_records(first, last, bytes_max, &mut records);
        copied.map(|last| (last, records.into()))
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
        self.send(to, Sendable { last, ..wanted }, records.into());
        Ok(true)
    }

    fn send(&self, to: NodeId, range: Sendable, records: Bytes) {
        let Some(outbox) = self.outbox.borrow().clone() else { return };
        let bytes = records.len() as u64;
        let message = self.core.borrow_mut().raft.send_entries(to, range.first, range.last, bytes);
        if let Some(message) = message {
            outbox.send(to, message, records);
        }
        self.drain(&[]);
    }
}
