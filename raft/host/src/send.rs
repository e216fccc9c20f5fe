//! The fiber that sends the log to followers: from memory what is there, from the segments what is
//! not.

use std::rc::Rc;

use bytes::Bytes;
use raft_core::{Index, NodeId, Sendable};

use crate::error::GroupError;
use crate::execute::Shared;
use crate::log::batch::Frame;
use crate::log::image::FrameRef;
use crate::log::reader::LogReader;
use crate::ports::StateMachine;

/// Sends until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    let mut disk = Disk { log: LogReader::new(&group.shard, &group.options), newest: None };
    while !group.has_ended() {
        group.send_work.wait().await;
        let mut goes_on = true;
        while goes_on && !group.has_ended() {
            goes_on = false;
            // A frame for each of those who are behind, and then the others again: whoever keeps up
            // does not wait for all that they lack.
            for (follower, wanted) in group.send_from_memory_to_all() {
                match group.send_from_disk(&mut disk, follower, wanted).await {
                    Ok(is_sent) => goes_on |= is_sent,
                    Err(error) => group.fail(error),
                }
            }
        }
        disk.newest = None;
    }
    disk.log.close().await;
}

/// The log on disk, and the frame that was read last: a follower may have room for a part of it only.
struct Disk {
    log: LogReader,
    newest: Option<(FrameRef, Frame)>,
}

impl Disk {
    async fn frame(&mut self, place: FrameRef) -> Result<Frame, GroupError> {
        if let Some((known, frame)) = &self.newest
            && *known == place
        {
            return Ok(frame.clone());
        }
        let frame = self.log.frame(place).await?;
        self.newest = Some((place, frame.clone()));
        Ok(frame)
    }
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
    /// Sends all that the followers have room for, as long as it is in memory. Returns what is not.
    fn send_from_memory_to_all(&self) -> Vec<(NodeId, Sendable)> {
        let followers: Vec<NodeId> = self.core.borrow().raft.followers().collect();
        let mut copies = Copies::default();
        let on_disk =
            |to: NodeId| self.send_from_memory(&mut copies, to).map(|wanted| (to, wanted));
        followers.into_iter().filter_map(on_disk).collect()
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
        disk: &mut Disk,
        to: NodeId,
        wanted: Sendable,
    ) -> Result<bool, GroupError> {
        let Some(place) = self.core.borrow().tail.place_of(wanted.first) else { return Ok(false) };
        let frame = disk.frame(place).await;
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
