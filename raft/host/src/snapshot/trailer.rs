//! A snapshot file's last block: that it is complete, and what it must have held.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  checksum: CRC-32 over bytes 8 .. 4096, seeded with that of the header
//!  8  u64  number of chunks
//! 16  u64  bytes of content
//! 24  u64  digest of the chunks' checksums, as of a frame's records
//! 32  ..   zeros
//! ```

use super::header::{ChunkSeed, SnapshotFault};
use crate::bytes::{Reader, put};
use crate::log::frame::Digest;
use crate::log::segment::BLOCK;

const MAGIC: u32 = u32::from_le_bytes(*b"DTse");

/// The sum of a file's chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// How many there are.
    pub chunks: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Digest of their checksums.
    pub digest: Digest,
}

impl Trailer {
    /// The sum of no chunks.
    pub const EMPTY: Trailer = Trailer { chunks: 0, bytes: 0, digest: Digest::EMPTY };

    /// The sum with one more chunk.
    #[must_use]
    pub fn with(self, length: usize, checksum: u32) -> Trailer {
        Trailer {
            chunks: self.chunks + 1,
            bytes: self.bytes + length as u64,
            digest: self.digest.with(checksum),
        }
    }

    /// Fills `block`, which must be one block long.
    pub fn write(&self, seed: ChunkSeed, block: &mut [u8]) {
        assert_eq!(block.len(), BLOCK, "a snapshot's trailer is one block");
        block.fill(0);
        put(block, 0, MAGIC.to_le_bytes());
        put(block, 8, self.chunks.to_le_bytes());
        put(block, 16, self.bytes.to_le_bytes());
        put(block, 24, self.digest.0.to_le_bytes());
        let checksum = seed.checksum(&block[8..]);
        put(block, 4, checksum.to_le_bytes());
    }

    /// The trailer that `block` is.
    pub fn read(seed: ChunkSeed, block: &[u8]) -> Result<Trailer, SnapshotFault> {
        if block.len() != BLOCK {
            return Err(SnapshotFault::Cut);
        }
        let mut reader = Reader::new(block);
        let (magic, checksum) = (reader.u32(), reader.u32());
        let covered = block.get(8..).unwrap_or_default();
        if magic != MAGIC || seed.checksum(covered) != checksum {
            return Err(SnapshotFault::Trailer);
        }
        Ok(Trailer { chunks: reader.u64(), bytes: reader.u64(), digest: Digest(reader.u64()) })
    }
}
