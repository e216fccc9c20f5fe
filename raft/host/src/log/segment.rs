//! A segment file's first block, and its name.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  checksum: CRC-32 over bytes 8 .. 4096, seeded with the group's identity
//!  8  u16  version
//! 10  u16  zero
//! 12  u32  zero
//! 16  u64  cluster identity hash
//! 24  i32  group id
//! 28  u32  zero
//! 32  u64  segment number, the same as in the file's name
//! 40  u64  generation: drawn at random each time the file is made or recycled
//! 48  u64  size of the file
//! 56  ..   zeros
//! ```
//!
//! The block is durable before the file gets its name, so a damaged one under that name is always
//! damage and never an interrupted creation.

use raft_core::GroupId;
use raft_core::entry::RecordSeed;

use crate::bytes::{Reader, put};

/// Everything on disk is written and read in multiples of this.
pub const BLOCK: usize = 4096;

const MAGIC: u32 = u32::from_le_bytes(*b"DTsg");
const VERSION: u16 = 1;
const SUFFIX: &str = ".log";
const NUMBER_DIGITS: usize = 20;

/// Whose log a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Hash of the cluster's identity.
    pub cluster: u64,
    /// The raft group.
    pub group: GroupId,
}

impl Identity {
    /// Where this group's checksums start.
    pub fn seed(self) -> RecordSeed {
        RecordSeed::new(self.cluster, self.group)
    }
}

/// The contents of a segment's first block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Position of the file in the log; numbers follow each other without a gap.
    pub number: u64,
    /// Tells this use of the file from an earlier one.
    pub generation: u64,
    /// Bytes in the file, header included.
    pub size: u64,
}

impl SegmentHeader {
    /// Fills `block`, which must be one block long, with the header of this group's segment.
    pub fn write(&self, identity: Identity, block: &mut [u8]) {
        assert_eq!(block.len(), BLOCK, "a segment header is one block");
        block.fill(0);
        put(block, 0, MAGIC.to_le_bytes());
        put(block, 8, VERSION.to_le_bytes());
        put(block, 16, identity.cluster.to_le_bytes());
        put(block, 24, identity.group.0.to_le_bytes());
        put(block, 32, self.number.to_le_bytes());
        put(block, 40, self.generation.to_le_bytes());
        put(block, 48, self.size.to_le_bytes());
        let checksum = identity.seed().checksum(&block[8..]);
        put(block, 4, checksum.to_le_bytes());
    }

    /// The header in `block`, if it is intact and belongs to this group.
    pub fn read(identity: Identity, block: &[u8]) -> Result<SegmentHeader, SegmentFault> {
        let block = block.get(..BLOCK).ok_or(SegmentFault::Cut)?;
        let mut reader = Reader::new(block);
        let magic = reader.u32();
        let checksum = reader.u32();
        let version = reader.u16();
        reader.skip(6);
        let owner = Identity { cluster: reader.u64(), group: GroupId(reader.i32()) };
        reader.skip(4);
        let header =
            SegmentHeader { number: reader.u64(), generation: reader.u64(), size: reader.u64() };
        let covered = block.get(8..).unwrap_or_default();
        if magic != MAGIC {
            return Err(SegmentFault::Magic);
        }
        if owner.seed().checksum(covered) != checksum {
            return Err(SegmentFault::Checksum);
        }
        if owner != identity {
            return Err(SegmentFault::Foreign(owner));
        }
        if version != VERSION {
            return Err(SegmentFault::Version(version));
        }
        Ok(header)
    }
}

/// Why a block is no segment header of this group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentFault {
    /// The file is shorter than a block.
    Cut,
    /// The block does not begin like a segment.
    Magic,
    /// The checksum does not match.
    Checksum,
    /// Intact, but of another cluster or group.
    Foreign(Identity),
    /// Intact, but of a newer layout.
    Version(u16),
}

impl std::fmt::Display for SegmentFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SegmentFault::Cut => formatter.write_str("segment header is cut off"),
            SegmentFault::Magic => formatter.write_str("not a segment"),
            SegmentFault::Checksum => formatter.write_str("segment header checksum does not match"),
            SegmentFault::Foreign(owner) => write!(
                formatter,
                "segment belongs to cluster {:016x}, group {}",
                owner.cluster, owner.group.0
            ),
            SegmentFault::Version(version) => {
                write!(formatter, "segment version {version} is newer than this program")
            }
        }
    }
}

/// The file name of segment `number`.
pub fn segment_name(number: u64) -> String {
    format!("{number:0width$}{SUFFIX}", width = NUMBER_DIGITS)
}

/// The number in a segment's file name, `None` for any other file.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    if digits.len() != NUMBER_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { cluster: 77, group: GroupId(3) };
    const HEADER: SegmentHeader = SegmentHeader { number: 5, generation: 99, size: 1 << 20 };

    fn block() -> Vec<u8> {
        let mut block = vec![0xEE; BLOCK];
        HEADER.write(IDENTITY, &mut block);
        block
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        assert_eq!(SegmentHeader::read(IDENTITY, &block()), Ok(HEADER));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        for bit in 0..BLOCK * 8 {
            let mut damaged = block();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::read(IDENTITY, &damaged).is_err(), "bit {bit}");
        }
        for length in 0..BLOCK {
            let fault = SegmentHeader::read(IDENTITY, &block()[..length]);
            assert_eq!(fault, Err(SegmentFault::Cut));
        }
    }

    #[test]
    fn another_group_and_a_newer_version_are_named() {
        let other = Identity { cluster: 77, group: GroupId(4) };
        assert_eq!(SegmentHeader::read(other, &block()), Err(SegmentFault::Foreign(IDENTITY)));
        let mut newer = block();
        newer[8] = 2;
        let checksum = IDENTITY.seed().checksum(&newer[8..]);
        newer[4..8].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::read(IDENTITY, &newer), Err(SegmentFault::Version(2)));
    }

    #[test]
    fn only_segment_names_have_a_number() {
        assert_eq!(segment_number(&segment_name(42)), Some(42));
        assert_eq!(segment_number(&segment_name(u64::MAX)), Some(u64::MAX));
        for name in ["1.log", "spare-00000000000000000001", "+0000000000000000001.log", ".log"] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
