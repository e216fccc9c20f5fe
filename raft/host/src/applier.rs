//! The fiber that feeds committed entries to the state machine, in slices that leave the reactor
//! its turn.

use std::rc::Rc;
use std::time::Duration;

use raft_core::entry::RecordHead;
use raft_core::{EntryKind, Index};

use crate::bursts::Bursts;
use crate::error::GroupError;
use crate::execute::Shared;
use crate::log::batch::Frame;
use crate::log::reader::LogReader;
use crate::log::tail::Unapplied;
use crate::ports::{Entry, StateMachine};

/// How long the state machine may work before I/O gets its turn.
const SLICE: Duration = Duration::from_micros(200);
/// Applies until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    let mut reader = LogReader::new(&group.shard, &group.options);
    while !group.has_ended() {
        let (limit, next) = {
            let mut core = group.core.borrow_mut();
            let limit = core.apply_to;
            (limit, core.tail.unapplied_slice(limit))
        };
        let slice = match next {
            Unapplied::Nothing => {
                group.apply_work.wait().await;
                continue;
            }
            Unapplied::Memory(slice) => Ok(slice),
            Unapplied::Disk(place) => reader.slice(place, limit).await,
        };
        match slice.and_then(|slice| group.apply(&slice)) {
            Ok(()) => {}
            Err(error) => {
                group.fail(error);
                break;
            }
        }
        // The slice is gone: memory that nobody else reads is free now.
        if group.let_go() {
            group.shard.pass().await;
        }
    }
    reader.close().await;
}

/// Committed records of one frame.
pub(crate) struct Slice {
    pub(crate) frame: Frame,
    /// Where the first one begins.
    pub(crate) position: usize,
    pub(crate) first: Index,
    pub(crate) last: Index,
    /// Whether the records count as pending bytes.
    pub(crate) was_pending: bool,
}

impl<M: StateMachine> Shared<M> {
    /// Applies records until the slice or its time is over, and lets the answers go.
    fn apply(&self, slice: &Slice) -> Result<(), GroupError> {
        let until = self.shard.clock().now() + SLICE;
        let mut bursts = Bursts::new(slice.frame.records().get(slice.position..));
        let mut machine = self.machine.borrow_mut();
        let mut next = slice.first;
        let mut newest_ms = 0;
        while next <= slice.last {
            let burst = bursts.read((slice.last.since(next) + 1) as usize);
            if burst.is_empty() {
                return Err(self.lost(next));
            }
            machine.read_ahead(burst.iter().map(|record| record.payload));
            for record in burst {
                let RecordHead { index, time_ms, kind, .. } = record.head;
                if index != next {
                    return Err(self.lost(next));
                }
                let caller = self.core.borrow_mut().proposals.take(index);
                if kind == EntryKind::Command {
                    machine.apply(Entry { index, time_ms, payload: record.payload }, caller);
                }
                newest_ms = time_ms;
                next = next.next();
            }
            if self.shard.clock().now() >= until {
                break;
            }
        }
        machine.batch_end();
        drop(machine);
        let (applied, bytes) = (next.previous(), bursts.consumed());
        let mut core = self.core.borrow_mut();
        let pending_bytes = if slice.was_pending { bytes as u64 } else { 0 };
        core.tail.note_applied(applied, &slice.frame, slice.position + bytes, pending_bytes);
        core.raft.applied(applied);
        core.applied_ms = core.applied_ms.max(newest_ms);
        drop(core);
        self.drain(&[]);
        self.changed.notify_all();
        Ok(())
    }

    /// Lets go of what the cache is not for. Returns whether there is more to apply.
    fn let_go(&self) -> bool {
        let mut core = self.core.borrow_mut();
        // A leader without followers reads nothing twice unless somebody else does; a follower may
        // lead next.
        let keep = self.replicates.get() || self.keeps_applied.get() || core.raft.leads().is_none();
        core.tail.evict(if keep { self.options.cache_bytes_max } else { 0 });
        core.tail.applied() < core.apply_to
    }

    /// Verified memory that does not hold what it held.
    fn lost(&self, index: Index) -> GroupError {
        GroupError::Damaged {
            path: self.options.dir.clone(),
            offset: 0,
            index: Some(index),
            what: "a record in memory is not what was verified".to_owned(),
        }
    }
}
