//! What the owner of a group tells it about its members, and has it do with them.

use std::time::Duration;

use raft_core::{NodeId, ReadAnswer, RoleName, Standing, TransferRefused};

use crate::group::Group;
use crate::ports::{Refusal, StateMachine};

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
