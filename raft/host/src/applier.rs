//! The fiber that feeds committed entries to the state machine, in slices that leave the reactor
//! its turn.

use std::rc::Rc;
use std::time::Duration;

use raft_core::entry::Record;
use raft_core::{EntryKind, Index};

use crate::error::GroupError;
use crate::execute::Shared;
use crate::log::batch::Frame;
use crate::log::reader::LogReader;
use crate::log::tail::Unapplied;
use crate::ports::{Entry, StateMachine};

/// How long the state machine may work before I/O gets its turn.
const SLICE: Duration = Duration::from_micros(200);
/// Entries between two looks at the clock.
const STRIDE: u32 = 64;

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
        let mut rest = slice.frame.records().get(slice.position..).unwrap_or_default();
        let mut index = slice.first;
        let mut stride = 0;
        let mut bytes = 0;
        let mut machine = self.machine.borrow_mut();
        while index <= slice.last && (stride < STRIDE || self.shard.clock().now() < until) {
            stride = if stride < STRIDE { stride + 1 } else { 1 };
            let record = Record::read_verified(rest)
                .ok()
                .filter(|record| record.head.index == index)
                .ok_or_else(|| self.lost(index))?;
            let size = record.size();
            let caller = self.core.borrow_mut().proposals.take(index);
            if record.head.kind == EntryKind::Command {
                let time_ms = record.head.time_ms;
                machine.apply(Entry { index, time_ms, payload: record.payload }, caller);
            }
            rest = rest.get(size..).unwrap_or_default();
            bytes += size;
            index = index.next();
        }
        machine.batch_end();
        drop(machine);
        let applied = index.previous();
        let mut core = self.core.borrow_mut();
        let pending_bytes = if slice.was_pending { bytes as u64 } else { 0 };
        core.tail.note_applied(applied, &slice.frame, slice.position + bytes, pending_bytes);
        core.raft.applied(applied);
        drop(core);
        self.drain(&[]);
        self.changed.notify_all();
        Ok(())
    }

    /// Lets go of what the cache is not for. Returns whether there is more to apply.
    fn let_go(&self) -> bool {
        let mut core = self.core.borrow_mut();
        // A leader without followers reads nothing twice; a follower may lead next.
        let keep = self.replicates.get() || core.raft.leads().is_none();
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
