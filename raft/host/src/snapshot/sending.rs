//! The leader's side: sends its newest snapshot to members that the log cannot help any more.
//!
//! The receiver asks: it says how far it has come, and may then be sent a window more. So what was
//! lost is sent again, a broken transfer goes on where it was, and nobody is sent more than it can
//! take.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use raft_core::{NodeId, Position, SnapshotChunk, SnapshotChunkReply};
use runtime::{DirectFile, Moment, OpenOptions, Signal, race};

use super::check::part_length;
use super::status::StoredSnapshot;
use super::transfer::{SnapshotMessage, WINDOW};
use crate::error::{GroupError, during};
use crate::execute::Shared;
use crate::ports::StateMachine;

/// What the sending fiber has to do.
#[derive(Default)]
pub(crate) struct Sending {
    /// Members that consensus wants to be helped.
    pub(super) wanted: RefCell<BTreeSet<NodeId>>,
    transfers: RefCell<BTreeMap<NodeId, Transfer>>,
    pub(crate) work: Signal,
    /// When the next piece may leave.
    next_at: Cell<Moment>,
}

/// A snapshot on its way to one member.
struct Transfer {
    position: Position,
    generation: u64,
    size: u64,
    file: Option<DirectFile>,
    /// Where the next piece begins.
    next: u64,
    /// How far the receiver has asked.
    asked_to: u64,
    /// When the receiver has said something last, or was offered the snapshot.
    heard: Moment,
    /// Consensus was told that this transfer has ended, and may want it to go on.
    is_given_up: bool,
}

/// A receiver that says nothing for this long is asked anew what it has.
const SILENCE: Duration = Duration::from_secs(3);
/// A transfer that rests for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Pause when the link takes nothing.
const LINK_PAUSE: Duration = Duration::from_millis(20);

/// Sends until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    let sending = &group.snapshots.sending;
    while !group.has_ended() {
        group.read_back_wanted().await;
        group.offer_wanted();
        group.give_up_silent();
        let wake = match group.send_next().await {
            Ok(Some(wake)) => wake,
            Ok(None) => group.shard.clock().now() + SILENCE,
            Err(error) => {
                let id = group.options.identity.group.0;
                tracing::error!(group = id, %error, "cannot send a snapshot");
                group.shard.clock().now() + SILENCE
            }
        };
        let _ = race(sending.work.wait(), group.shard.clock().sleep_until(wake)).await;
    }
    let transfers = std::mem::take(&mut *sending.transfers.borrow_mut());
    for file in transfers.into_values().filter_map(|transfer| transfer.file) {
        // Only read: an error says nothing.
        let _ = file.close().await;
    }
}

impl Sending {
    /// Consensus wants a member to be helped.
    pub(crate) fn want(&self, node: NodeId) {
        self.wanted.borrow_mut().insert(node);
        self.work.set();
    }

    /// Whether a transfer to a node has begun and goes on.
    pub(super) fn is_sending_to(&self, node: NodeId) -> bool {
        self.transfers.borrow().get(&node).is_some_and(|transfer| !transfer.is_given_up)
    }

    /// A receiver has said how far it is.
    pub(crate) fn asked(&self, from: NodeId, reply: &SnapshotChunkReply, now: Moment) {
        let mut transfers = self.transfers.borrow_mut();
        let Some(transfer) = transfers.get_mut(&from) else { return };
        if transfer.position != reply.boundary {
            return;
        }
        transfer.heard = now;
        let is_known = reply.snapshot == transfer.generation && reply.next_offset <= transfer.size;
        let has = if is_known { reply.next_offset } else { 0 };
        if reply.again || has > transfer.next {
            // Some of it was lost, or the receiver knows it from an earlier attempt.
            transfer.next = has;
        }
        transfer.asked_to = has + WINDOW;
        self.work.set();
    }
}

impl<M: StateMachine> Shared<M> {
    /// Offers the newest snapshot, or one that is half sent, to those who need one; saves one first
    /// if there is none that reaches the log.
    fn offer_wanted(&self) {
        let sending = &self.snapshots.sending;
        let wanted = std::mem::take(&mut *sending.wanted.borrow_mut());
        for to in wanted {
            let half_sent = sending.transfers.borrow().get(&to).map(|transfer| transfer.position);
            let stored = self.snapshots.store.stored();
            let known =
                |position| stored.iter().find(|stored| stored.header.boundary.position == position);
            let mut offers = half_sent.and_then(known).into_iter().chain(stored.last());
            let is_offered = offers.any(|snapshot| self.offer(to, snapshot));
            if !is_offered && self.core.borrow().raft.leads().is_some() {
                // Consensus asks again with its next round.
                drop(self.snapshots.request());
            }
        }
    }

    fn offer(&self, to: NodeId, snapshot: &StoredSnapshot) -> bool {
        let position = snapshot.header.boundary.position;
        if !self.core.borrow_mut().raft.offer_snapshot(to, position) {
            return false;
        }
        self.drain(&[]);
        let sending = &self.snapshots.sending;
        let now = self.shard.clock().now();
        let mut transfers = sending.transfers.borrow_mut();
        match transfers.get_mut(&to).filter(|transfer| transfer.position == position) {
            Some(transfer) => {
                transfer.heard = now;
                transfer.is_given_up = false;
            }
            None => {
                let transfer = Transfer {
                    position,
                    generation: snapshot.header.generation,
                    size: snapshot.bytes,
                    file: None,
                    next: 0,
                    asked_to: 0,
                    heard: now,
                    is_given_up: false,
                };
                self.snapshots.store.pin(position);
                if let Some(old) = transfers.insert(to, transfer) {
                    self.snapshots.unpin(old.position);
                }
                let (group, node, bytes) = (self.options.identity.group.0, to.0, snapshot.bytes);
                let index = position.index.0;
                tracing::info!(group, node, index, bytes, "offers a snapshot");
            }
        }
        true
    }

    /// Lets consensus ask those anew who say nothing, and forgets transfers that rest.
    fn give_up_silent(&self) {
        let now = self.shard.clock().now();
        let sending = &self.snapshots.sending;
        let mut silent = Vec::new();
        let mut forgotten = Vec::new();
        for (to, transfer) in &mut *sending.transfers.borrow_mut() {
            let silence = now.since(transfer.heard);
            if silence >= SILENCE && !transfer.is_given_up {
                transfer.is_given_up = true;
                silent.push(*to);
            }
            if silence >= FORGOTTEN {
                forgotten.push(*to);
            }
        }
        for to in silent {
            self.core.borrow_mut().raft.snapshot_ended(to);
        }
        self.drain(&[]);
        for to in forgotten {
            let old = sending.transfers.borrow_mut().remove(&to);
            if let Some(old) = old {
                self.snapshots.unpin(old.position);
            }
        }
    }

    /// Sends the next piece of each transfer that may go on. Returns when to look again; `None` when
    /// nothing is to be sent.
    async fn send_next(&self) -> Result<Option<Moment>, GroupError> {
        let sending = &self.snapshots.sending;
        let receivers: Vec<NodeId> = sending.transfers.borrow().keys().copied().collect();
        let mut wake = None;
        for to in receivers {
            let now = self.shard.clock().now();
            let next_at = sending.next_at.get();
            let Some((position, offset, size)) = self.next_piece(to) else { continue };
            if next_at > now {
                wake = Some(next_at);
                continue;
            }
            let file = self.file_for(to, position).await?;
            let length = part_length(offset, size);
            let bytes = file.read_at(offset, length).await;
            let bytes = bytes.map_err(during("read", &self.snapshots.store.path(position)))?;
            if self.send_piece(to, position, offset, &bytes) {
                let rate = self.options.snapshots.send_bytes_per_second.max(1);
                let pause = Duration::from_nanos(length as u64 * 1_000_000_000 / rate);
                sending.next_at.set(next_at.max(now - PACE_SLACK) + pause);
                wake = Some(sending.next_at.get());
            } else {
                wake = Some(now + LINK_PAUSE);
            }
        }
        Ok(wake)
    }

    fn next_piece(&self, to: NodeId) -> Option<(Position, u64, u64)> {
        let transfers = self.snapshots.sending.transfers.borrow();
        let transfer = transfers.get(&to)?;
        let may_go_on = transfer.next < transfer.asked_to.min(transfer.size);
        may_go_on.then_some((transfer.position, transfer.next, transfer.size))
    }

    async fn file_for(&self, to: NodeId, position: Position) -> Result<DirectFile, GroupError> {
        let sending = &self.snapshots.sending;
        if let Some(file) = sending.transfers.borrow().get(&to).and_then(|t| t.file.clone()) {
            return Ok(file);
        }
        let path = self.snapshots.store.path(position);
        let options = OpenOptions { write: false, create: false, dsync: false };
        let file = self.shard.storage().open(&path, options).await;
        let file = file.map_err(during("open", &path))?;
        if let Some(transfer) = sending.transfers.borrow_mut().get_mut(&to)
            && transfer.position == position
        {
            transfer.file = Some(file.clone());
        }
        Ok(file)
    }

    /// Whether the link took it, or nobody wants it any more.
    fn send_piece(&self, to: NodeId, position: Position, offset: u64, bytes: &[u8]) -> bool {
        let Some(outbox) = self.outbox.borrow().clone() else { return false };
        let mut transfers = self.snapshots.sending.transfers.borrow_mut();
        let Some(transfer) = transfers.get_mut(&to) else { return true };
        if transfer.position != position || transfer.next != offset {
            return true;
        }
        let end = offset + bytes.len() as u64;
        let chunk = SnapshotChunk {
            snapshot: transfer.generation,
            boundary: position,
            offset,
            last: end == transfer.size,
            bytes,
        };
        let is_sent = outbox.send_snapshot(to, &SnapshotMessage::Chunk(chunk));
        if is_sent {
            transfer.next = end;
        }
        is_sent
    }
}

/// How far behind its pace sending may catch up.
const PACE_SLACK: Duration = Duration::from_millis(50);
