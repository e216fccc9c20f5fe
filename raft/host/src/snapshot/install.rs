//! Puts a received snapshot in place of the state and of the log that does not reach it.
//!
//! The switch is the moment in which the file got its name durably: a node that dies before it
//! restarts with the old state, one that dies after it loads the snapshot and voids its log
//! (`beginning.rs`). What follows here does the same to a node that lives.

use raft_core::{LogAfterInstall, NodeId};

use super::header::SnapshotHeader;
use super::load::read;
use super::reader::SnapshotReader;
use crate::error::GroupError;
use crate::execute::Shared;
use crate::ports::{LoadFault, StateMachine};

impl<M: StateMachine> Shared<M> {
    /// Replaces the state by that of a snapshot whose file is durable and complete.
    pub(super) async fn install(
        &self,
        header: SnapshotHeader,
        bytes: u64,
        from: NodeId,
    ) -> Result<(), GroupError> {
        let position = header.boundary.position;
        let begun = self.core.borrow_mut().raft.begin_install(position);
        self.snapshots.store.add(header.clone(), bytes);
        let Some(after) = begun else {
            // The log has caught up: this is one snapshot more.
            self.drain(&[]);
            return self.snapshots.store.remove_old().await;
        };
        let started = self.shard.clock().now();
        self.snapshots.is_replaced.set(true);
        self.snapshots.work.set();
        self.changed.notify_all();
        let loaded = self.load_beside(&header, bytes, from).await;
        match &loaded {
            Ok(()) => self.switch(&header, after),
            Err(_) => self.snapshots.store.forget(position),
        }
        self.snapshots.is_replaced.set(false);
        self.snapshots.work.set();
        if let Err(error) = loaded {
            if let GroupError::Damaged { .. } = error {
                self.snapshots.store.set_aside(position).await?;
            }
            return Err(error);
        }
        while self.machine.borrow_mut().drop_replaced() {
            self.shard.pass().await;
        }
        self.snapshots.problem.take();
        if after == LogAfterInstall::Reset {
            // There is no log between them and this one.
            self.snapshots.store.remove_before(position).await?;
        }
        self.snapshots.store.remove_old().await?;
        self.plan_drop();
        let (group, index) = (self.options.identity.group.0, position.index.0);
        let elapsed = self.shard.clock().now().since(started);
        tracing::info!(group, index, bytes, ?elapsed, ?after, "installed a snapshot");
        Ok(())
    }

    /// Loads the snapshot while the old state is still there, and waits until nothing is saved or
    /// applied any more.
    async fn load_beside(
        &self,
        header: &SnapshotHeader,
        bytes: u64,
        from: NodeId,
    ) -> Result<(), GroupError> {
        let path = self.snapshots.store.path(header.boundary.position);
        let mut reader = SnapshotReader::open(&self.shard, &path, self.options.identity).await?;
        self.machine.borrow_mut().begin_load();
        let mut said = self.shard.clock().now();
        let mut say_busy = || {
            let now = self.shard.clock().now();
            if now.since(said) >= BUSY_INTERVAL {
                said = now;
                self.say_busy(from, header, bytes);
            }
        };
        let load = |content: &[u8]| {
            say_busy();
            self.machine.borrow_mut().load(content)
        };
        let loaded = read(&self.shard, &mut reader, load).await;
        reader.close().await?;
        loaded?;
        loop {
            let prepared = self.machine.borrow_mut().prepare_load();
            match prepared {
                Ok(true) => break,
                Ok(false) => say_busy(),
                Err(LoadFault::Newer(what) | LoadFault::Malformed(what)) => {
                    return Err(GroupError::Damaged { path, offset: 0, index: None, what });
                }
            }
            self.shard.pass().await;
        }
        while self.snapshots.is_saving.get() || self.is_applying() {
            if self.has_ended() {
                return Err(GroupError::Stopped);
            }
            self.changed.wait().await;
        }
        Ok(())
    }

    fn is_applying(&self) -> bool {
        let core = self.core.borrow();
        core.tail.applied() < core.apply_to
    }

    /// The new state, the log behind it and consensus, in one go.
    fn switch(&self, header: &SnapshotHeader, after: LogAfterInstall) {
        let position = header.boundary.position;
        self.machine.borrow_mut().finish_load();
        let mut core = self.core.borrow_mut();
        match after {
            LogAfterInstall::Reset => {
                // Not `apply_to`: what is committed and not durable yet counts too.
                let cut = core.raft.status().commit.next();
                core.tail.begin_anew(cut, position);
            }
            LogAfterInstall::KeepTail => core.tail.skip_to(position.index),
        }
        core.apply_to = core.apply_to.max(position.index);
        core.applied_ms = core.applied_ms.max(header.time_ms);
        core.clock.received(header.time_ms);
        core.raft.finish_install(position, header.boundary.config.clone());
        drop(core);
        self.snapshots.log_bytes.set(0);
        self.write_work.set();
        self.apply_work.set();
        self.drain(&[]);
        self.changed.notify_all();
    }
}

/// How often the sender is told that the snapshot is being put in place.
const BUSY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);
