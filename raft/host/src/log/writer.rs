//! Puts frames on disk, one write at a time.

use std::rc::Rc;

use super::batch::{Frame, Link};
use super::recovery::Recovered;
use super::segment::{BLOCK, segment_name};
use super::spares::{Segment, SegmentPlan, Spares};
use crate::error::{GroupError, during};

/// The only one that writes to the log.
pub(crate) struct LogWriter {
    dir: String,
    current: Segment,
    /// Where the next frame goes.
    offset: u64,
    spares: Rc<Spares>,
    next_sequence: u64,
    previous: u32,
}

impl LogWriter {
    /// Goes on behind what was recovered, in `current`, which is the segment where that ends or
    /// the first one of a new log.
    pub(crate) fn new(
        plan: &SegmentPlan,
        current: Segment,
        recovered: &Recovered,
        spares: Rc<Spares>,
    ) -> LogWriter {
        let is_new = recovered.end.0 != current.header.number;
        LogWriter {
            dir: plan.dir.clone(),
            offset: if is_new { BLOCK as u64 } else { recovered.end.1 },
            current,
            spares,
            next_sequence: recovered.next_sequence,
            previous: recovered.previous,
        }
    }

    /// Bytes left in the current segment.
    pub(crate) fn room(&self) -> u64 {
        self.current.header.size - self.offset
    }

    /// Sequence number of the last frame.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// Number of the current segment.
    pub(crate) fn segment(&self) -> u64 {
        self.current.header.number
    }

    /// Goes to the next segment; returns whether there is one. The rest of the current one stays
    /// unused.
    pub(crate) async fn roll(&mut self) -> Result<bool, GroupError> {
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
            // One write at a time: the one before has ended.
            durable_sequence: self.next_sequence - 1,
            previous: self.previous,
            commit,
        }
    }

    /// Writes a frame that was sealed with [`LogWriter::link`]; durable when it returns. After an
    /// error nothing may be written any more: what is on disk there is unknown.
    pub(crate) async fn write(&mut self, frame: &Frame) -> Result<(), GroupError> {
        assert_eq!(frame.header.offset, self.offset, "a frame goes where its header says");
        let written = self.current.file.write_at(&frame.buffer, 0..frame.size(), self.offset).await;
        written.map_err(|error| self.failed("write", self.segment(), error))?;
        self.offset += frame.size() as u64;
        self.next_sequence += 1;
        self.previous = frame.checksum;
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<(), GroupError> {
        let path = format!("{}/{}", self.dir, segment_name(self.segment()));
        self.current.file.close().await.map_err(during("close", &path))
    }

    fn failed(&self, action: &'static str, number: u64, error: std::io::Error) -> GroupError {
        let path = format!("{}/{}", self.dir, segment_name(number));
        during(action, &path)(error)
    }
}
