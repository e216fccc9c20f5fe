//! Where a snapshot would stand, and the log in front of one.

use raft_core::{ConfigEntry, Index, Position};

use super::save::Snapshots;
use super::status::SnapshotStatus;
use crate::execute::Shared;
use crate::options::SnapshotBoundary;
use crate::ports::StateMachine;

impl<M: StateMachine> Shared<M> {
    /// What a snapshot of the state machine as it is now covers. `None` while a membership that is
    /// not applied yet is in the log.
    pub(super) fn boundary(&self) -> Option<SnapshotBoundary> {
        let core = self.core.borrow();
        let status = core.raft.status();
        let index = core.tail.applied();
        let term = core.raft.term_of(index)?;
        let config = ConfigEntry { index: status.config_index, config: status.config };
        let position = Position { index, term };
        (config.index <= index).then_some(SnapshotBoundary { position, config })
    }

    /// Snapshots hold everything up to `boundary`, so that the log before it is not needed any more.
    /// Its files are used again.
    pub(super) fn compact(&self, boundary: Index) {
        let mut core = self.core.borrow_mut();
        core.raft.compacted(boundary);
        if let Some(needed) = core.tail.drop_head(boundary) {
            for number in core.oldest_segment..needed {
                self.spares.recycle(number);
            }
            core.oldest_segment = core.oldest_segment.max(needed);
        }
        drop(core);
        self.drain(&[]);
    }
}

impl Snapshots {
    pub(crate) fn status(&self) -> SnapshotStatus {
        SnapshotStatus {
            stored: self.store.stored(),
            is_saving: self.is_saving.get(),
            receiving: self.receiving.progress.get(),
            problem: self.problem.borrow().clone(),
        }
    }
}
