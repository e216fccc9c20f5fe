//! The state that a group's fibers share, and what changes it between two awaits.

use raft_core::entry::{RecordHead, record_size};
use raft_core::{
    ChangeOutcome, EntryKind, HardState, Index, OwnEntry, OwnEntryBody, ProposeRefused, Raft,
};
use raft_core::{ReadsSettled, Term};
use runtime::{Moment, WallTime};

use crate::entry_clock::EntryClock;
use crate::log::frame::frame_size;
use crate::log::segment::BLOCK;
use crate::log::tail::LogTail;
use crate::options::GroupOptions;
use crate::ports::Refusal;
use crate::proposals::Proposals;

/// Consensus, the log's end and the waiting callers of one group.
pub(crate) struct Core<C> {
    pub(crate) raft: Raft,
    pub(crate) tail: LogTail,
    pub(crate) proposals: Proposals<C>,
    pub(crate) limits: Limits,
    /// To be made durable before anything else is written.
    pub(crate) hard_state_wanted: Option<HardState>,
    /// Whether a frame is being written.
    pub(crate) is_writing: bool,
    /// Entries up to here may be applied.
    pub(crate) apply_to: Index,
    /// The time of the newest entry that was applied.
    pub(crate) applied_ms: u64,
    /// The time that entries carry.
    pub(crate) clock: EntryClock,
    /// Number of the oldest segment of the log.
    pub(crate) oldest_segment: u64,
    /// Bytes left in the segment that is being written.
    pub(crate) room: u64,
    /// How the newest change of the membership went on.
    pub(crate) change_outcome: Option<ChangeOutcome>,
    /// Reads that were answered, by token.
    pub(crate) reads: ReadsSettled,
}

/// The limits that are looked at for each proposal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    payload_bytes_max: usize,
    pending_max: u64,
    pending_bytes_max: u64,
    segment_bytes: u64,
}

/// Room in the log that proposals leave to entries that consensus itself makes.
const RESERVE: u64 = 4 * BLOCK as u64;

impl Limits {
    pub(crate) fn of(options: &GroupOptions) -> Limits {
        Limits {
            payload_bytes_max: options.payload_bytes_max,
            pending_max: options.pending_max,
            pending_bytes_max: options.pending_bytes_max,
            segment_bytes: options.segment_bytes,
        }
    }
}

impl<C> Core<C> {
    /// Puts a command into the log, or says why not. `spares` is the number of segments ready when
    /// no more can be made at present.
    #[inline]
    pub(crate) fn propose(
        &mut self,
        parts: [&[u8]; 2],
        time: impl FnOnce() -> (Moment, WallTime),
        spares: Option<usize>,
    ) -> Result<Index, Refusal> {
        let payload = parts[0].len() + parts[1].len();
        if payload > self.limits.payload_bytes_max {
            return Err(Refusal::TooLarge);
        }
        if self.tail.unapplied() >= self.limits.pending_max
            || self.tail.unapplied_bytes() >= self.limits.pending_bytes_max
        {
            return Err(Refusal::FlowControl);
        }
        if spares.is_some_and(|spares| !self.has_place(record_size(payload), spares)) {
            return Err(Refusal::DiskFull);
        }
        let proposed = self.raft.propose(1).map_err(|refused| match refused {
            ProposeRefused::NotLeader { leader } => Refusal::NotLeader { leader },
            ProposeRefused::HandingOver { to } => Refusal::HandingOver { to },
        })?;
        let size = record_size(payload);
        // One look at the clock for each batch: its entries come within the time of a write.
        if !self.tail.has_open_batch(size) {
            let (now, wall) = time();
            self.clock.advance(now, wall);
        }
        self.append(proposed.first, proposed.term, EntryKind::Command, parts);
        Ok(proposed.first)
    }

    /// Puts an entry of consensus itself into the log.
    pub(crate) fn append_own(&mut self, entry: &OwnEntry, now: Moment, wall: WallTime) {
        self.clock.advance(now, wall);
        match &entry.body {
            OwnEntryBody::Noop => {
                self.append(entry.index, entry.term, EntryKind::Noop, [&[], &[]]);
            }
            OwnEntryBody::Config(config) => {
                let mut payload = Vec::new();
                config.encode(&mut payload);
                self.append(entry.index, entry.term, EntryKind::Config, [&payload, &[]]);
            }
        }
    }

    fn append(&mut self, index: Index, term: Term, kind: EntryKind, parts: [&[u8]; 2]) {
        let head = RecordHead { index, term, time_ms: self.clock.newest_ms(), kind };
        self.tail.append(&head, parts);
    }

    /// Whether everything that waits and one more record fit into the segments that are there.
    fn has_place(&self, size: usize, spares: usize) -> bool {
        let fresh = self.limits.segment_bytes - BLOCK as u64;
        let mut room = self.room;
        let mut spares = spares;
        let own = frame_size(0) as u64 + RESERVE;
        for size in self.tail.sizes_with(size).map(|size| size as u64).chain([own]) {
            if size > room {
                if spares == 0 {
                    return false;
                }
                spares -= 1;
                room = fresh;
            }
            room = room.saturating_sub(size);
        }
        true
    }
}
