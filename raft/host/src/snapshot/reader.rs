//! Reads a snapshot file from its beginning to its end, several large reads ahead of the checks.

use std::collections::VecDeque;
use std::io;

use runtime::{Buffer, DirectFile, Fiber, FiberGroup, OpenOptions, Shard};

use super::check::{Part, SnapshotCheck, part_length};
use super::header::{SnapshotFault, SnapshotHeader};
use crate::error::{GroupError, during};
use crate::log::segment::{BLOCK, Identity};
use crate::ports::LoadFault;

/// Reads that are under way.
const READS: usize = 8;

/// A file that is being read.
pub(super) struct SnapshotReader {
    path: String,
    file: DirectFile,
    check: SnapshotCheck,
    fibers: FiberGroup,
    /// Where the next read begins.
    planned: u64,
    reads: VecDeque<Fiber<io::Result<Buffer>>>,
    /// The part that was taken last.
    part: Option<Buffer>,
    is_newer: bool,
}

impl SnapshotReader {
    pub(super) async fn open(
        shard: &Shard,
        path: &str,
        identity: Identity,
    ) -> Result<SnapshotReader, GroupError> {
        let options = OpenOptions { write: false, create: false, dsync: false };
        let file = shard.storage().open(path, options).await.map_err(during("open", path))?;
        Ok(SnapshotReader {
            path: path.to_owned(),
            file,
            check: SnapshotCheck::new(identity),
            fibers: FiberGroup::new(shard, "snapshot reads"),
            planned: 0,
            reads: VecDeque::new(),
            part: None,
            is_newer: false,
        })
    }

    /// The next bytes of the state machine's stream; `None` at the end, when all was there.
    pub(super) async fn content(&mut self) -> Result<Option<&[u8]>, GroupError> {
        loop {
            self.read_ahead();
            let Some(read) = self.reads.pop_front() else {
                let complete = self.check.is_complete();
                return if complete { Ok(None) } else { Err(self.damaged(SnapshotFault::Cut)) };
            };
            let bytes = read.await.ok_or(GroupError::Stopped)?;
            let bytes = bytes.map_err(during("read", &self.path))?;
            let part = match self.check.take(&bytes) {
                Ok(Part::Content(content)) => Some(HEAD_TO..HEAD_TO + content.len()),
                Ok(Part::Header | Part::Trailer) => None,
                Err(fault) => return Err(self.damaged(fault)),
            };
            if let Some(range) = part {
                let bytes = self.part.insert(bytes);
                return Ok(bytes.get(range));
            }
        }
    }

    /// The header; there once the first content or the end was returned.
    pub(super) fn header(&self) -> Option<&SnapshotHeader> {
        self.check.header()
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// Whether it failed because a newer version has written the file.
    pub(super) fn is_newer(&self) -> bool {
        self.is_newer
    }

    /// A fault in the content that was returned last.
    pub(super) fn malformed(&mut self, fault: &LoadFault) -> GroupError {
        self.is_newer = matches!(fault, LoadFault::Newer(_));
        let (path, offset) = (self.path.clone(), self.check.offset());
        let (LoadFault::Newer(what) | LoadFault::Malformed(what)) = fault.clone();
        GroupError::Damaged { path, offset, index: None, what }
    }

    pub(super) async fn close(mut self) -> Result<(), GroupError> {
        while let Some(read) = self.reads.pop_front() {
            // Nobody wants to know what it brought.
            let _ = read.await;
        }
        self.file.close().await.map_err(during("close", &self.path))
    }

    fn read_ahead(&mut self) {
        while self.reads.len() < READS {
            // What is behind the last whole block is nothing that was written.
            let size = self.file.len() / BLOCK as u64 * BLOCK as u64;
            let length = part_length(self.planned, size);
            if length == 0 {
                return;
            }
            let (file, offset) = (self.file.clone(), self.planned);
            self.planned += length as u64;
            let read = async move { file.read_at(offset, length).await };
            self.reads.push_back(self.fibers.spawn("read", read));
        }
    }

    fn damaged(&mut self, fault: SnapshotFault) -> GroupError {
        self.is_newer = matches!(fault, SnapshotFault::Version(_));
        let (path, offset) = (self.path.clone(), self.check.offset());
        GroupError::Damaged { path, offset, index: None, what: fault.to_string() }
    }
}

/// Where a chunk's content begins.
const HEAD_TO: usize = super::chunk::HEAD;
