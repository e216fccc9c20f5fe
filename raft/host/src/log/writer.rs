//! Puts frames on disk. Several writes may be under way; what counts is durable in order.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::rc::Rc;

use planted::{Bug, is_on};
use runtime::{Fiber, FiberGroup};

use super::batch::{Frame, Link};
use super::recovery::Recovered;
use super::segment::{BLOCK, segment_name};
use super::spares::{Segment, SegmentPlan, Spares};
use crate::error::{GroupError, during};

/// Writes under way at the same time. Recovery looks for a witness of what is missing as far behind
/// it as so many frames reach.
pub(crate) const WRITES_MAX: usize = 2;

/// The only one that writes to the log.
pub(crate) struct LogWriter {
    dir: String,
    current: Segment,
    /// Where the next frame goes.
    offset: u64,
    spares: Rc<Spares>,
    fibers: FiberGroup,
    /// Whether a write is durable when it ends; else only what a sync covered is.
    is_synced: bool,
    synced_sequence: u64,
    next_sequence: u64,
    previous: u32,
    /// The writes under way, in order; all of them go to the current segment.
    under_way: VecDeque<Write>,
    bytes_under_way: usize,
}

/// A write under way.
struct Write {
    frame: Frame,
    end: Fiber<io::Result<()>>,
}

impl LogWriter {
    /// Goes on behind what was recovered, in `current`, which is the segment where that ends or
    /// the first one of a new log.
    pub(crate) fn new(
        plan: &SegmentPlan,
        current: Segment,
        recovered: &Recovered,
        spares: Rc<Spares>,
        fibers: FiberGroup,
    ) -> LogWriter {
        let is_new = recovered.end.0 != current.header.number;
        LogWriter {
            dir: plan.dir.clone(),
            offset: if is_new { BLOCK as u64 } else { recovered.end.1 },
            current,
            spares,
            fibers,
            is_synced: plan.is_synced,
            synced_sequence: recovered.next_sequence - 1,
            next_sequence: recovered.next_sequence,
            previous: recovered.previous,
            under_way: VecDeque::new(),
            bytes_under_way: 0,
        }
    }

    /// Bytes left in the current segment.
    pub(crate) fn room(&self) -> u64 {
        self.current.header.size - self.offset
    }

    /// Sequence number of the last frame that is durable, with all before it.
    pub(crate) fn durable_sequence(&self) -> u64 {
        if self.is_synced { self.written_sequence() } else { self.synced_sequence }
    }

    /// Sequence number of the last frame that is written, with all before it.
    fn written_sequence(&self) -> u64 {
        self.next_sequence - 1 - self.under_way.len() as u64
    }

    /// Whether there are frames that are written and not durable.
    pub(crate) fn owes_sync(&self) -> bool {
        self.durable_sequence() < self.written_sequence()
    }

    /// Makes durable what is written.
    pub(crate) async fn sync(&mut self) -> Result<(), GroupError> {
        if self.owes_sync() {
            let written = self.written_sequence();
            let synced = self.current.file.sync_data().await;
            synced.map_err(|error| self.failed("sync", self.segment(), error))?;
            self.synced_sequence = written;
        }
        Ok(())
    }

    /// Number and bytes of the writes under way.
    pub(crate) fn under_way(&self) -> (usize, usize) {
        (self.under_way.len(), self.bytes_under_way)
    }

    /// Number of the current segment.
    pub(crate) fn segment(&self) -> u64 {
        self.current.header.number
    }

    /// Goes to the next segment; returns whether there is one. The rest of the current one stays
    /// unused. No write may be under way.
    pub(crate) async fn roll(&mut self) -> Result<bool, GroupError> {
        assert!(self.under_way.is_empty(), "a segment is left when it is complete");
        self.sync().await?;
        let Some(next) = self.spares.take() else { return Ok(false) };
        assert_eq!(next.header.number, self.segment() + 1, "segments follow each other");
        let full = std::mem::replace(&mut self.current, next);
        self.offset = BLOCK as u64;
        let number = full.header.number;
        full.file.close().await.map_err(|error| self.failed("close", number, error))?;
        Ok(true)
    }

    /// The place of the next frame.
    pub(crate) fn link(&self, commit: raft_core::Index) -> Link {
        Link {
            generation: self.current.header.generation,
            offset: self.offset,
            sequence: self.next_sequence,
            durable_sequence: self.durable_sequence(),
            previous: self.previous,
            commit,
        }
    }

    /// Begins to write a frame that was sealed with [`LogWriter::link`].
    pub(crate) fn begin(&mut self, frame: Frame) {
        assert_eq!(frame.header.offset, self.offset, "a frame goes where its header says");
        let (file, buffer) = (self.current.file.clone(), frame.buffer.clone());
        let (size, offset) = (frame.size(), self.offset);
        let write = async move { file.write_at(&buffer, 0..size, offset).await };
        let end = self.fibers.spawn("log write", write);
        self.offset += size as u64;
        self.next_sequence += 1;
        self.previous = frame.checksum;
        self.bytes_under_way += size;
        self.under_way.push_back(Write { frame, end });
    }

    /// Waits for the oldest write under way, and returns its frame, which is durable with all
    /// before it. Waits for ever when there is none; may be dropped and called again. After an error
    /// nothing may be written any more: what is on disk there and behind is unknown.
    pub(crate) async fn next_durable(&mut self) -> Result<Frame, GroupError> {
        let Some(oldest) = self.under_way.front_mut() else { return pending().await };
        let outcome = (&mut oldest.end).await;
        let Some(Write { frame, .. }) = self.under_way.pop_front() else { return pending().await };
        self.bytes_under_way -= frame.size();
        match outcome {
            Some(Ok(())) => Ok(frame),
            Some(Err(_)) if is_on(Bug::WriteErrorIgnored) => Ok(frame),
            Some(Err(error)) => Err(self.failed("write", self.segment(), error)),
            None => Err(GroupError::Stopped),
        }
    }

    pub(crate) async fn close(mut self) -> Result<(), GroupError> {
        self.sync().await?;
        let path = format!("{}/{}", self.dir, segment_name(self.segment()));
        self.current.file.close().await.map_err(during("close", &path))
    }

    fn failed(&self, action: &'static str, number: u64, error: std::io::Error) -> GroupError {
        let path = format!("{}/{}", self.dir, segment_name(number));
        during(action, &path)(error)
    }
}
