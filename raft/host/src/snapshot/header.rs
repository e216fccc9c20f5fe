//! A snapshot file's first block.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  checksum: CRC-32 over bytes 8 .. 4096, seeded with the group's identity
//!  8  u16  version
//! 10  u16  length of the membership
//! 12  u32  term of the last entry that the snapshot covers
//! 16  u64  cluster identity hash
//! 24  i32  group id
//! 28  u32  zero
//! 32  u64  index of that entry
//! 40  u64  the leader's time in it
//! 48  u64  index of the membership's entry
//! 56  u64  generation: drawn at random for each file
//! 64  ..   membership, zeros
//! ```

use raft_core::{Config, ConfigEntry, GroupId, Index, Position, Term};

use crate::bytes::{Reader, put};
use crate::log::segment::{BLOCK, Identity};
use crate::options::SnapshotBoundary;

const MAGIC: u32 = u32::from_le_bytes(*b"DTsn");
const VERSION: u16 = 1;
const CONFIG_START: usize = 64;

/// What a snapshot is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotHeader {
    /// The last entry it covers, and the membership there.
    pub boundary: SnapshotBoundary,
    /// The time of the newest entry it covers.
    pub time_ms: u64,
    /// Tells this file from every other one, also of the same boundary.
    pub generation: u64,
}

impl SnapshotHeader {
    /// Fills `block`, which must be one block long. Returns the seed of what follows.
    pub fn write(&self, identity: Identity, block: &mut [u8]) -> ChunkSeed {
        assert_eq!(block.len(), BLOCK, "a snapshot header is one block");
        let SnapshotBoundary { position, config } = &self.boundary;
        let mut membership = Vec::new();
        config.config.encode(&mut membership);
        assert!(membership.len() <= BLOCK - CONFIG_START, "lists of members have a limit");
        block.fill(0);
        put(block, 0, MAGIC.to_le_bytes());
        put(block, 8, VERSION.to_le_bytes());
        put(block, 10, (membership.len() as u16).to_le_bytes());
        put(block, 12, position.term.0.to_le_bytes());
        put(block, 16, identity.cluster.to_le_bytes());
        put(block, 24, identity.group.0.to_le_bytes());
        put(block, 32, position.index.0.to_le_bytes());
        put(block, 40, self.time_ms.to_le_bytes());
        put(block, 48, config.index.0.to_le_bytes());
        put(block, 56, self.generation.to_le_bytes());
        block[CONFIG_START..CONFIG_START + membership.len()].copy_from_slice(&membership);
        let checksum = identity.seed().checksum(&block[8..]);
        put(block, 4, checksum.to_le_bytes());
        ChunkSeed(checksum)
    }

    /// The header in `block` and the seed of what follows, if it is intact and of this group.
    pub fn read(
        identity: Identity,
        block: &[u8],
    ) -> Result<(SnapshotHeader, ChunkSeed), SnapshotFault> {
        let block = block.get(..BLOCK).ok_or(SnapshotFault::Cut)?;
        let mut reader = Reader::new(block);
        let (magic, checksum) = (reader.u32(), reader.u32());
        let (version, length, term) = (reader.u16(), reader.u16(), reader.u32());
        let owner = Identity { cluster: reader.u64(), group: GroupId(reader.i32()) };
        reader.skip(4);
        let (index, time_ms) = (reader.u64(), reader.u64());
        let (config_index, generation) = (reader.u64(), reader.u64());
        let covered = block.get(8..).unwrap_or_default();
        if magic != MAGIC || owner.seed().checksum(covered) != checksum {
            return Err(SnapshotFault::Header);
        }
        if owner != identity {
            return Err(SnapshotFault::Foreign(owner));
        }
        if version != VERSION {
            return Err(SnapshotFault::Version(version));
        }
        let membership = block.get(CONFIG_START..CONFIG_START + usize::from(length));
        let config = membership.and_then(|bytes| Config::decode(bytes).ok());
        let config = config.ok_or(SnapshotFault::Header)?;
        let boundary = SnapshotBoundary {
            position: Position { index: Index(index), term: Term(term) },
            config: ConfigEntry { index: Index(config_index), config },
        };
        Ok((SnapshotHeader { boundary, time_ms, generation }, ChunkSeed(checksum)))
    }

    /// Whose snapshot a block begins, without checking it: for tools that do not know the group.
    pub fn owner(block: &[u8]) -> Option<Identity> {
        let mut reader = Reader::new(block.get(..BLOCK)?);
        let is_one = reader.u32() == MAGIC;
        reader.skip(12);
        let owner = Identity { cluster: reader.u64(), group: GroupId(reader.i32()) };
        is_one.then_some(owner)
    }
}

/// Where the checksums of a file's chunks and trailer start: the checksum of its header, so that
/// nothing of another file is valid in this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkSeed(pub(super) u32);

impl ChunkSeed {
    /// CRC-32 of `bytes`, started with this seed.
    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// Why a file, or a piece of one, is no snapshot of this group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotFault {
    /// It ends too early, or goes on behind its end.
    Cut,
    /// The first block is damaged, or begins something else.
    Header,
    /// A chunk is damaged, or of another file or place.
    Chunk {
        /// Its number in the file, from zero.
        ordinal: u64,
    },
    /// The last block is damaged, or does not belong to what came before.
    Trailer,
    /// Intact, but of another cluster or group.
    Foreign(Identity),
    /// Intact, but of a newer layout.
    Version(u16),
}

impl std::fmt::Display for SnapshotFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SnapshotFault::Cut => formatter.write_str("snapshot does not end where it should"),
            SnapshotFault::Header => formatter.write_str("snapshot header is damaged"),
            SnapshotFault::Chunk { ordinal } => {
                write!(formatter, "chunk {ordinal} of the snapshot is damaged or of another one")
            }
            SnapshotFault::Trailer => {
                formatter.write_str("last block of the snapshot is damaged or of another one")
            }
            SnapshotFault::Foreign(owner) => write!(
                formatter,
                "snapshot belongs to cluster {:016x}, group {}",
                owner.cluster, owner.group.0
            ),
            SnapshotFault::Version(version) => {
                write!(formatter, "snapshot version {version} is newer than this program")
            }
        }
    }
}
