//! Reads the parts of a snapshot file in their order: header, chunks, trailer.

use super::chunk::{CHUNK, is_chunk, read_chunk};
use super::header::{ChunkSeed, SnapshotFault, SnapshotHeader};
use super::trailer::Trailer;
use crate::log::segment::{BLOCK, Identity};

/// How far the reading of a file has come. After an error it is of no use.
#[derive(Clone, Debug)]
pub struct SnapshotCheck {
    identity: Identity,
    begun: Option<(SnapshotHeader, ChunkSeed)>,
    sum: Trailer,
    /// Bytes of parts that were taken.
    offset: u64,
    /// Whether the last chunk was not full.
    is_short: bool,
    is_complete: bool,
}

/// A part that was found intact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// The header, which [`SnapshotCheck::header`] has now.
    Header,
    /// The next bytes of the state machine's stream.
    Content(&'a [u8]),
    /// The end: everything was there.
    Trailer,
}

impl SnapshotCheck {
    /// A check that has seen nothing.
    pub fn new(identity: Identity) -> SnapshotCheck {
        SnapshotCheck {
            identity,
            begun: None,
            sum: Trailer::EMPTY,
            offset: 0,
            is_short: false,
            is_complete: false,
        }
    }

    /// Takes the next part, as long as [`part_length`] says.
    pub fn take<'a>(&mut self, part: &'a [u8]) -> Result<Part<'a>, SnapshotFault> {
        if self.is_complete {
            return Err(SnapshotFault::Cut);
        }
        let Some((_, seed)) = &self.begun else {
            if part.len() != BLOCK {
                return Err(SnapshotFault::Cut);
            }
            self.begun = Some(SnapshotHeader::read(self.identity, part)?);
            self.offset = BLOCK as u64;
            return Ok(Part::Header);
        };
        let found = if is_chunk(part) {
            let fault = SnapshotFault::Chunk { ordinal: self.sum.chunks };
            if self.is_short {
                return Err(fault);
            }
            let (content, checksum) = read_chunk(*seed, self.sum.chunks, part)?;
            self.sum = self.sum.with(content.len(), checksum);
            self.is_short = part.len() < CHUNK;
            Part::Content(content)
        } else {
            let trailer = Trailer::read(*seed, part)?;
            if trailer != self.sum {
                return Err(SnapshotFault::Trailer);
            }
            self.is_complete = true;
            Part::Trailer
        };
        self.offset += part.len() as u64;
        Ok(found)
    }

    /// The header, once it was taken.
    pub fn header(&self) -> Option<&SnapshotHeader> {
        self.begun.as_ref().map(|(header, _)| header)
    }

    /// Bytes of the parts that were taken: where the next part begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of chunks and bytes of content so far.
    pub fn sum(&self) -> Trailer {
        self.sum
    }

    /// Whether the whole file was taken.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// Length of the part that begins at `offset` in a file of `size` bytes; zero at its end.
pub fn part_length(offset: u64, size: u64) -> usize {
    let block = BLOCK as u64;
    if offset < block {
        return size.saturating_sub(offset).min(block) as usize;
    }
    let rest = size.saturating_sub(offset);
    // The last block is the trailer.
    match rest.saturating_sub(block) {
        0 => rest as usize,
        chunks => chunks.min(CHUNK as u64) as usize,
    }
}
