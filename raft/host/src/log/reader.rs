//! Reads frames back that are not in memory any more.

use raft_core::Index;
use runtime::{DirectFile, OpenOptions, Shard};

use super::batch::Frame;
use super::frame::{FRAME_HEADER, FrameHeader, Place, frame_size, verify_records};
use super::image::FrameRef;
use super::segment::{BLOCK, Identity, SegmentHeader, segment_name};
use super::tail::position_of;
use crate::applier::Slice;
use crate::error::{GroupError, during};
use crate::options::GroupOptions;

/// Reads frames by their places; keeps the last file open.
pub(crate) struct LogReader {
    shard: Shard,
    dir: String,
    identity: Identity,
    open: Option<(SegmentHeader, DirectFile)>,
}

impl LogReader {
    pub(crate) fn new(shard: &Shard, options: &GroupOptions) -> LogReader {
        LogReader {
            shard: shard.clone(),
            dir: options.log_dir(),
            identity: options.identity,
            open: None,
        }
    }

    /// The entries from `first` on in the frame at `place`, none behind `limit`.
    pub(crate) async fn slice(
        &mut self,
        (first, place): (Index, Option<FrameRef>),
        limit: Index,
    ) -> Result<Slice, GroupError> {
        let Some(place) = place else {
            return Err(self.damaged(0, 0, Some(first), "the log has no frame for it"));
        };
        let frame = self.frame(place).await?;
        let position = position_of(frame.records(), place.first, first);
        let last = place.last().min(limit);
        Ok(Slice { frame, position, first, last, was_pending: false })
    }

    /// The frame at `place`, verified.
    pub(crate) async fn frame(&mut self, place: FrameRef) -> Result<Frame, GroupError> {
        let (segment, file) = self.segment(place.segment).await?;
        let path = self.path(place.segment);
        let size = frame_size(place.length as usize);
        let bytes = file.read_at(place.offset, size).await.map_err(during("read", &path))?;
        let at = Place { generation: segment.generation, offset: place.offset };
        let seed = self.identity.seed();
        let header = FrameHeader::read(seed, at, &bytes);
        let fault = |what: &str| self.damaged(place.segment, place.offset, Some(place.first), what);
        let Ok((header, checksum)) = header else {
            return Err(fault("frame header is damaged"));
        };
        let records = bytes.get(FRAME_HEADER..FRAME_HEADER + place.length as usize);
        if header.length != place.length || header.first != place.first {
            return Err(fault("another frame is in this place"));
        }
        match verify_records(seed, &header, records.unwrap_or_default()) {
            Ok(_) => Ok(Frame { buffer: bytes.freeze(), header, checksum }),
            Err(bad) => {
                let offset = place.offset + (FRAME_HEADER + bad.position) as u64;
                let what = bad.fault.to_string();
                Err(self.damaged(place.segment, offset, Some(bad.index), &what))
            }
        }
    }

    /// Closes the file. Nothing was written through it, so an error says nothing.
    pub(crate) async fn close(self) {
        if let Some((header, file)) = self.open
            && let Err(error) = file.close().await
        {
            tracing::warn!(segment = header.number, %error, "cannot close a segment");
        }
    }

    async fn segment(&mut self, number: u64) -> Result<(SegmentHeader, DirectFile), GroupError> {
        if let Some((header, file)) = &self.open
            && header.number == number
        {
            return Ok((*header, file.clone()));
        }
        let path = self.path(number);
        if let Some((_, file)) = self.open.take() {
            file.close().await.map_err(during("close", &path))?;
        }
        let options = OpenOptions { write: false, create: false, dsync: false };
        let file =
            self.shard.storage().open(&path, options).await.map_err(during("open", &path))?;
        let block = file.read_at(0, BLOCK).await.map_err(during("read", &path))?;
        let header = SegmentHeader::read(self.identity, &block)
            .map_err(|fault| self.damaged(number, 0, None, &fault.to_string()))?;
        self.open = Some((header, file.clone()));
        Ok((header, file))
    }

    fn path(&self, number: u64) -> String {
        format!("{}/{}", self.dir, segment_name(number))
    }

    fn damaged(&self, segment: u64, offset: u64, index: Option<Index>, what: &str) -> GroupError {
        GroupError::Damaged { path: self.path(segment), offset, index, what: what.to_owned() }
    }
}
