//! A part of the state machine's stream in a snapshot file.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  checksum: CRC-32 over all that follows in the chunk, seeded with that of the header
//!  8  u32  length of the content
//! 12  u32  zero
//! 16  u64  number of the chunk in the file, from zero
//! 24  ..   content, zeros up to the next block
//! ```
//!
//! Every chunk but the last one is [`CHUNK`] bytes long, so that the place of each is known.

use super::header::{ChunkSeed, SnapshotFault};
use crate::bytes::{Reader, put};
use crate::log::segment::BLOCK;

/// Bytes of a chunk: large enough for fast disks, small enough that nobody waits long behind one.
pub const CHUNK: usize = 256 << 10;
pub(super) const HEAD: usize = 24;
/// Bytes of content in a full chunk.
pub const CONTENT: usize = CHUNK - HEAD;
const MAGIC: u32 = u32::from_le_bytes(*b"DTsc");

/// Makes `content` the chunk with this number at the start of `out`. Returns its size, whole
/// blocks, and its checksum.
pub fn write_chunk(seed: ChunkSeed, ordinal: u64, content: &[u8], out: &mut [u8]) -> (usize, u32) {
    assert!(content.len() <= CONTENT, "a chunk has a limit");
    let size = (HEAD + content.len()).next_multiple_of(BLOCK);
    let chunk = &mut out[..size];
    put(chunk, 0, MAGIC.to_le_bytes());
    put(chunk, 8, (content.len() as u32).to_le_bytes());
    put(chunk, 12, 0_u32.to_le_bytes());
    put(chunk, 16, ordinal.to_le_bytes());
    chunk[HEAD..HEAD + content.len()].copy_from_slice(content);
    chunk[HEAD + content.len()..].fill(0);
    let checksum = seed.checksum(&chunk[8..]);
    put(chunk, 4, checksum.to_le_bytes());
    (size, checksum)
}

/// Whether `bytes` begin as a chunk does.
pub(super) fn is_chunk(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|magic| u32::from_le_bytes(*magic) == MAGIC)
}

/// The content of the chunk that `bytes` are, and its checksum.
pub fn read_chunk(
    seed: ChunkSeed,
    ordinal: u64,
    bytes: &[u8],
) -> Result<(&[u8], u32), SnapshotFault> {
    let mut reader = Reader::new(bytes);
    let (magic, checksum) = (reader.u32(), reader.u32());
    let length = reader.u32() as usize;
    reader.skip(4);
    let number = reader.u64();
    let fault = SnapshotFault::Chunk { ordinal };
    let covered = bytes.get(8..).ok_or(fault)?;
    let is_sized = length <= CONTENT && bytes.len() == (HEAD + length).next_multiple_of(BLOCK);
    if magic != MAGIC || !is_sized || number != ordinal || seed.checksum(covered) != checksum {
        return Err(fault);
    }
    let content = bytes.get(HEAD..HEAD + length).ok_or(fault)?;
    Ok((content, checksum))
}
