//! The fiber that feeds committed entries to the state machine, in slices that leave the reactor
//! its turn.

use std::rc::Rc;
use std::time::Duration;

use raft_core::entry::{Record, RecordHead};
use raft_core::{EntryKind, Index};

use crate::error::GroupError;
use crate::execute::Shared;
use crate::log::batch::Frame;
use crate::log::reader::LogReader;
use crate::log::tail::Unapplied;
use crate::ports::{Entry, StateMachine};

/// How long the state machine may work before I/O gets its turn.
const SLICE: Duration = Duration::from_micros(200);
/// Entries between two looks at the clock, for which the state machine reads ahead.
const BURST: usize = 32;

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

/// The records of a slice that are still to be read.
struct Records<'a> {
    bytes: &'a [u8],
    next: Index,
    last: Index,
}

impl<'a> Records<'a> {
    /// Reads as many as there are and fit; returns their number, or the index where there is
    /// something else.
    fn read(&mut self, burst: &mut [Option<Record<'a>>; BURST]) -> Result<usize, Index> {
        let mut count = 0;
        for place in burst {
            if self.next > self.last {
                break;
            }
            let record = Record::read_verified(self.bytes).map_err(|_| self.next)?;
            if record.head.index != self.next {
                return Err(self.next);
            }
            self.bytes = self.bytes.get(record.size()..).unwrap_or_default();
            self.next = self.next.next();
            *place = Some(record);
            count += 1;
        }
        Ok(count)
    }
}

impl<M: StateMachine> Shared<M> {
    /// Applies records until the slice or its time is over, and lets the answers go.
    fn apply(&self, slice: &Slice) -> Result<(), GroupError> {
        let until = self.shard.clock().now() + SLICE;
        let records = slice.frame.records().get(slice.position..).unwrap_or_default();
        let mut rest = Records { bytes: records, next: slice.first, last: slice.last };
        let mut machine = self.machine.borrow_mut();
        loop {
            let mut burst = [None; BURST];
            let count = rest.read(&mut burst).map_err(|index| self.lost(index))?;
            let burst = || burst[..count].iter().flatten();
            machine.read_ahead(burst().map(|record| record.payload));
            for record in burst() {
                let RecordHead { index, time_ms, kind, .. } = record.head;
                let caller = self.core.borrow_mut().proposals.take(index);
                if kind == EntryKind::Command {
                    machine.apply(Entry { index, time_ms, payload: record.payload }, caller);
                }
            }
            if rest.next > rest.last || self.shard.clock().now() >= until {
                break;
            }
        }
        machine.batch_end();
        drop(machine);
        let applied = rest.next.previous();
        let bytes = records.len() - rest.bytes.len();
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
