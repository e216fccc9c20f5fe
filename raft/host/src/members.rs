//! What the owner of a group tells it about its members, and has it do with them.

use std::time::Duration;

use raft_core::{
    Change, ChangeOutcome, ChangeRefused, Index, NodeId, ReadAnswer, RoleName, Standing,
    TransferRefused,
};

use crate::group::Group;
use crate::ports::{Refusal, StateMachine};

/// Why a change of the membership has no index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeFailed {
    /// It cannot be made now, or at all.
    Refused(ChangeRefused),
    /// Its newcomers did not catch up in time, or leadership was lost: nothing was changed.
    GivenUp,
    /// Its entry may be committed now, later or never.
    OutcomeUnknown,
}

impl<M: StateMachine> Group<M> {
    /// A member is back with a newer incarnation. No message of the older one is to be stepped any
    /// more, and none has left for the newer one yet.
    pub fn peer_restarted(&self, node: NodeId) {
        let now = self.0.shard.clock().now();
        self.0.core.borrow_mut().raft.peer_restarted(node, now);
        self.0.drain(&[]);
    }

    /// Gives this node its vote in the group, or takes it away.
    pub fn set_standing(&self, standing: Standing) {
        let now = self.0.shard.clock().now();
        self.0.core.borrow_mut().raft.set_standing(standing, now);
        self.0.drain(&[]);
    }

    /// Sets how much this node wants to lead the group; 0: only if nobody else can.
    pub fn set_priority(&self, priority: u8) {
        let now = self.0.shard.clock().now();
        self.0.core.borrow_mut().raft.set_priority(priority, now);
        self.0.drain(&[]);
    }

    /// Waits until this node has applied everything that was committed when this was called, as a
    /// leader has confirmed meanwhile.
    ///
    /// # Errors
    /// When the group ends before.
    pub async fn caught_up(&self) -> Result<(), Refusal> {
        loop {
            let now = self.0.shard.clock().now();
            let answer = self.0.core.borrow_mut().raft.read_here(now);
            self.0.drain(&[]);
            match answer {
                ReadAnswer::Now => return Ok(()),
                ReadAnswer::Wait(token) => match self.ready(token).await {
                    Err(Refusal::NotLeader { .. }) => {}
                    settled => return settled,
                },
                ReadAnswer::NotLeader { .. } => {}
            }
            if self.0.has_ended() {
                return Err(Refusal::Stopping);
            }
            // Whoever leads then may say more.
            self.0.shard.clock().sleep(self.0.options.raft.heartbeat_interval).await;
        }
    }

    /// Changes the membership, and waits until the entry that does so is applied here. Returns its
    /// index. Newcomers of a change to prepare have `limit` to catch up.
    ///
    /// # Errors
    /// When nothing was changed, or when that is not known.
    pub async fn change(&self, change: Change, limit: Duration) -> Result<Index, ChangeFailed> {
        let now = self.0.shard.clock().now();
        {
            let mut core = self.0.core.borrow_mut();
            core.raft.change(change, limit, now).map_err(ChangeFailed::Refused)?;
            core.change_outcome = None;
        }
        self.0.drain(&[]);
        self.0.tick_work.set();
        let index = loop {
            let outcome = self.0.core.borrow_mut().change_outcome.take();
            match outcome {
                Some(ChangeOutcome::Appended(index)) => break index,
                Some(ChangeOutcome::GivenUp) => return Err(ChangeFailed::GivenUp),
                None if self.0.has_ended() => return Err(ChangeFailed::GivenUp),
                None => self.0.changed.wait().await,
            }
        };
        loop {
            let status = self.0.core.borrow().raft.status();
            if status.applied >= index {
                let is_there = status.config_index == index;
                return if is_there { Ok(index) } else { Err(ChangeFailed::OutcomeUnknown) };
            }
            if self.0.has_ended() {
                return Err(ChangeFailed::OutcomeUnknown);
            }
            self.0.changed.wait().await;
        }
    }

    /// Waits until no hand-over is under way and it is known who leads, and says who. `None` when the
    /// group ends before.
    pub async fn settled(&self) -> Option<NodeId> {
        loop {
            if self.0.has_ended() {
                return None;
            }
            let status = self.0.core.borrow().raft.status();
            match status.leader {
                Some(leader) if status.transfer_to.is_none() => return Some(leader),
                _ => self.0.changed.wait().await,
            }
        }
    }

    /// Hands leadership over to a voter, and waits until this node leads no more or `limit` is over.
    /// Says whether it has succeeded; proposals are taken again when it has not.
    ///
    /// # Errors
    /// When nothing was begun.
    pub async fn transfer(&self, to: NodeId, limit: Duration) -> Result<bool, TransferRefused> {
        let now = self.0.shard.clock().now();
        self.0.core.borrow_mut().raft.transfer(to, limit, now)?;
        self.0.drain(&[]);
        self.0.tick_work.set();
        loop {
            let status = self.0.core.borrow().raft.status();
            if status.role != RoleName::Leader {
                return Ok(true);
            }
            if status.transfer_to.is_none() || self.0.has_ended() {
                return Ok(false);
            }
            self.0.changed.wait().await;
        }
    }
}
