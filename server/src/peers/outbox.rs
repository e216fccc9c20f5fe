//! A group's messages on their way to the links of its shard.

use std::rc::Rc;

use bytes::Bytes;
use raft_core::{Body, GroupId, Message, NodeId};
use raft_host::{Outbox, SnapshotMessage};
use wire::{NodeLane, encode_node_message};

use super::links::Links;
use super::message_kind::Kind;

/// The links as one group uses them.
pub struct GroupOutbox {
    links: Rc<Links>,
    group: GroupId,
}

impl GroupOutbox {
    /// The outbox of a group.
    pub fn new(links: Rc<Links>, group: GroupId) -> GroupOutbox {
        GroupOutbox { links, group }
    }
}

impl Outbox for GroupOutbox {
    fn send(&self, to: NodeId, message: Message, records: Bytes) {
        let Some(queue) = self.links.queue(to, lane_of(&message, &records)) else { return };
        let mut head = Vec::with_capacity(HEAD_BYTES);
        message.encode(&mut head);
        let group = self.group.0;
        queue.push(group, |out| {
            encode_node_message(out, group, Kind::RAFT.0, &head, &records);
        });
    }

    fn send_snapshot(&self, to: NodeId, message: &SnapshotMessage<'_>) -> bool {
        let lane = match message {
            SnapshotMessage::Chunk(_) => NodeLane::Bulk,
            SnapshotMessage::Reply(_) => NodeLane::Control,
        };
        let Some(queue) = self.links.queue(to, lane) else { return false };
        let mut content = Vec::new();
        message.encode(&mut content);
        let group = self.group.0;
        queue.push(group, |out| {
            encode_node_message(out, group, Kind::SNAPSHOT.0, &content, &[]);
        })
    }
}

/// Entries and snapshots go by the lane on which nobody waits behind them.
fn lane_of(message: &Message, records: &[u8]) -> NodeLane {
    match message.body {
        Body::SnapshotOffer(_) => NodeLane::Bulk,
        _ if records.is_empty() => NodeLane::Control,
        _ => NodeLane::Bulk,
    }
}

/// Most messages are shorter.
const HEAD_BYTES: usize = 128;
