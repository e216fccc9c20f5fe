//! Reads log back that the start has left out, for members that need it and then no snapshot, and for
//! those who ask for old entries.
//!
//! A segment is read and checked as a whole before anything of it counts. One with damage is of no
//! use, like those before it: whoever needs them is sent the snapshot, which has all their entries.

use raft_core::{ConfigEntry, Index, NodeId, OlderLog, Position};

use crate::beginning::decode_configs;
use crate::execute::Shared;
use crate::log::image::{FrameRef, LogImage, UnreadSegment};
use crate::log::replay::read_back;
use crate::ports::StateMachine;

impl<M: StateMachine> Shared<M> {
    /// Reads back what helps the members that consensus wants to be sent a snapshot.
    pub(super) async fn read_back_wanted(&self) {
        let wanted: Vec<NodeId> = self.snapshots.sending.wanted.borrow().iter().copied().collect();
        for node in wanted {
            while !self.has_ended()
                && let Some(unread) = self.unread_for(node)
            {
                self.read_back(unread).await;
                if self.lacks_from(node).is_none() {
                    self.snapshots.sending.wanted.borrow_mut().remove(&node);
                }
            }
        }
    }

    /// The place of an entry that the log may have in front of what a start has read.
    pub(crate) async fn find_in_front(&self, index: Index) -> Option<FrameRef> {
        loop {
            let unread = {
                let mut core = self.core.borrow_mut();
                let place = core.tail.place_of(index);
                if place.is_some() {
                    return place;
                }
                core.tail.image().unread_before(index.next())?
            };
            if self.has_ended() {
                return None;
            }
            self.read_back(unread).await;
        }
    }

    /// The segment to be read next for a node that reading helps.
    fn unread_for(&self, node: NodeId) -> Option<UnreadSegment> {
        let lacks_from = self.lacks_from(node)?;
        self.core.borrow_mut().tail.image().unread_before(lacks_from)
    }

    /// The first entry that a node may lack, if it needs a snapshot for that and none is on its way.
    fn lacks_from(&self, node: NodeId) -> Option<Index> {
        let is_on_its_way = self.snapshots.sending.is_sending_to(node);
        let status = self.core.borrow().raft.status();
        let follower = status.followers.iter().find(|follower| follower.id == node)?;
        (follower.needs_snapshot && !is_on_its_way).then_some(follower.next)
    }

    async fn read_back(&self, unread: UnreadSegment) {
        let begun = self.shard.clock().now();
        let read = read_back(&self.shard, self.spares.plan(), unread).await;
        // Meanwhile the segment may have been dropped.
        let is_wanted = {
            let mut core = self.core.borrow_mut();
            core.tail.image().unread_before(Index(u64::MAX)) == Some(unread)
        };
        if !is_wanted || self.has_ended() {
            return;
        }
        let (group, segment) = (self.options.identity.group.0, unread.number);
        match read.map(|older| self.take_back(segment, older)) {
            Ok(true) => {
                let elapsed = self.shard.clock().now().since(begun);
                tracing::info!(group, segment, ?elapsed, "read an old log segment back");
            }
            Ok(false) => {
                self.core.borrow_mut().tail.image().give_up_unread();
                tracing::warn!(group, segment, "an old log segment does not fit to the log");
            }
            Err(error) => {
                self.core.borrow_mut().tail.image().give_up_unread();
                tracing::error!(
                    group,
                    %error,
                    "an old log segment is of no use; members that need it are sent a snapshot"
                );
            }
        }
    }

    /// Puts what was read in front of the log. Returns whether it fits there.
    fn take_back(&self, segment: u64, older: LogImage) -> bool {
        let Some(first) = older.first() else { return false };
        let boundary = match first == Index::ZERO.next() {
            true => Position::default(),
            false => Position { index: first, term: older.term_at(first).unwrap_or_default() },
        };
        let Ok(mut configs) = decode_configs(older.configs()) else { return false };
        let mut core = self.core.borrow_mut();
        let last = core.raft.status().boundary.index;
        if !core.tail.image().prepend(segment, older) {
            return false;
        }
        let mut runs = core.tail.image().runs_behind(boundary.index);
        runs.retain(|run| run.first <= last);
        configs.retain(|entry| entry.index > boundary.index && entry.index <= last);
        let founding = ConfigEntry { index: Index::ZERO, config: self.options.founding.clone() };
        let fits = core.raft.log_found(OlderLog { boundary, runs, founding, configs });
        drop(core);
        self.drain(&[]);
        fits
    }
}
