//! One log write: a header, whole records, zeros up to the next block.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  checksum: CRC-32 over bytes 8 .. 96, seeded with the group's identity
//!  8  u16  version
//! 10  u16  flags: bit 0 = entries from `first index` on that came before are void
//! 12  u32  length of the records
//! 16  u64  generation of the segment
//! 24  u64  offset of the frame in its file
//! 32  u64  sequence: one more than in the frame before
//! 40  u64  durable sequence: frames up to this one were durable when this one was made
//! 48  u64  first index
//! 56  u32  number of records, their indexes follow each other
//! 60  u32  term of the first record
//! 64  u32  term of the last record
//! 68  u32  checksum field of the frame before, zero in the log's first
//! 72  u64  commit index known when the frame was made
//! 80  u64  digest of the records' checksums, in order
//! 88  u64  zero
//! 96  ..   records
//! ```
//!
//! A record's own checksum covers its bytes, the digest binds those checksums to this frame, and
//! the header's checksum binds the digest to place, generation and predecessor. So the records are
//! read once for their checksums and not a second time for the frame's; a half-written frame whose
//! gaps show old, intact records fails on the digest, and a leftover of an interrupted earlier life
//! fails on the predecessor.

use raft_core::entry::{Record, RecordFault, RecordSeed};
use raft_core::{EntryKind, Index, Term};

use super::segment::BLOCK;
use crate::bytes::{Reader, put};

/// Bytes before the records.
pub const FRAME_HEADER: usize = 96;

const MAGIC: u32 = u32::from_le_bytes(*b"DTfr");
const VERSION: u16 = 1;
const FLAG_TRUNCATES: u16 = 1;

/// Bytes on disk of a frame with this much of records.
pub const fn frame_size(records: usize) -> usize {
    (FRAME_HEADER + records).next_multiple_of(BLOCK)
}

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Whether earlier entries from `first` on are void.
    pub truncates: bool,
    /// Bytes of records.
    pub length: u32,
    /// Generation of the segment.
    pub generation: u64,
    /// Where in the file the frame starts.
    pub offset: u64,
    /// Number of the frame in the log.
    pub sequence: u64,
    /// Frames up to this one were durable when this one was made.
    pub durable_sequence: u64,
    /// Index of the first record; of the next one to come, when there is none.
    pub first: Index,
    /// Number of records.
    pub count: u32,
    /// Term of the first record.
    pub first_term: Term,
    /// Term of the last record.
    pub last_term: Term,
    /// Checksum field of the frame before.
    pub previous: u32,
    /// Commit index known when the frame was made.
    pub commit: Index,
    /// Binds the records to the frame.
    pub digest: Digest,
}

impl FrameHeader {
    /// Index of the last record; the one before `first` when there is none.
    pub fn last(&self) -> Index {
        Index(self.first.0.saturating_add(u64::from(self.count)).saturating_sub(1))
    }

    /// Bytes of the frame on disk.
    pub fn size(&self) -> usize {
        frame_size(self.length as usize)
    }

    /// Writes the header to the start of `out` and returns its checksum, which the next frame
    /// repeats.
    pub fn write(&self, seed: RecordSeed, out: &mut [u8]) -> u32 {
        let (out, _) = out.split_at_mut(FRAME_HEADER);
        put(out, 0, MAGIC.to_le_bytes());
        put(out, 8, VERSION.to_le_bytes());
        put(out, 10, (if self.truncates { FLAG_TRUNCATES } else { 0 }).to_le_bytes());
        put(out, 12, self.length.to_le_bytes());
        put(out, 16, self.generation.to_le_bytes());
        put(out, 24, self.offset.to_le_bytes());
        put(out, 32, self.sequence.to_le_bytes());
        put(out, 40, self.durable_sequence.to_le_bytes());
        put(out, 48, self.first.0.to_le_bytes());
        put(out, 56, self.count.to_le_bytes());
        put(out, 60, self.first_term.0.to_le_bytes());
        put(out, 64, self.last_term.0.to_le_bytes());
        put(out, 68, self.previous.to_le_bytes());
        put(out, 72, self.commit.0.to_le_bytes());
        put(out, 80, self.digest.0.to_le_bytes());
        put(out, 88, 0u64.to_le_bytes());
        let checksum = seed.checksum(&out[8..]);
        put(out, 4, checksum.to_le_bytes());
        checksum
    }

    /// The header at the start of `bytes` and its checksum. `place` is where they were read from:
    /// an intact header of another place or generation is [`FrameFault::Stale`].
    pub fn read(
        seed: RecordSeed,
        place: Place,
        bytes: &[u8],
    ) -> Result<(FrameHeader, u32), FrameFault> {
        let bytes = bytes.get(..FRAME_HEADER).ok_or(FrameFault::Cut)?;
        let fields = Fields::read(bytes);
        let covered = bytes.get(8..).unwrap_or_default();
        if fields.magic != MAGIC || seed.checksum(covered) != fields.checksum {
            return Err(FrameFault::Invalid);
        }
        let header = fields.header;
        if header.generation != place.generation || header.offset != place.offset {
            return Err(FrameFault::Stale);
        }
        if fields.version != VERSION || fields.flags & !FLAG_TRUNCATES != 0 {
            return Err(FrameFault::Version(fields.version));
        }
        Ok((header, fields.checksum))
    }

    /// Whether bytes that are no intact header look like the damaged one of the frame `sequence`,
    /// whose predecessor's checksum is `previous`. One field may be damaged, not all of them.
    pub fn resembles(place: Place, sequence: u64, previous: u32, bytes: &[u8]) -> bool {
        let Some(bytes) = bytes.get(..FRAME_HEADER) else { return false };
        let fields = Fields::read(bytes).header;
        fields.generation == place.generation
            || (fields.sequence == sequence && fields.previous == previous)
    }
}

/// Where bytes of a log were read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Generation of the segment.
    pub generation: u64,
    /// Offset in the file.
    pub offset: u64,
}

/// Why bytes are no frame header of their place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameFault {
    /// The bytes end before the header does.
    Cut,
    /// Magic or checksum do not match: no header, or a damaged one.
    Invalid,
    /// Intact, but of an earlier use of the file or of another place.
    Stale,
    /// Intact, but of a newer layout.
    Version(u16),
}

/// A digest of record checksums in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest(pub u64);

impl Digest {
    /// The digest of no records.
    pub const EMPTY: Digest = Digest(0xD1B5_4A32_D192_ED03);

    /// The digest with one more record. Multiply and rotate: one nanosecond a record, and order,
    /// number and value of all checksums matter.
    #[must_use]
    pub fn with(self, record_checksum: u32) -> Digest {
        let mixed = self.0 ^ u64::from(record_checksum);
        Digest(mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29))
    }
}

/// What verified records have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verified {
    /// The newest time in them.
    pub time_ms: u64,
    /// Whether one is a membership.
    pub has_config: bool,
}

/// Checks that `records` are exactly what `header` says.
pub fn verify_records(
    seed: RecordSeed,
    header: &FrameHeader,
    records: &[u8],
) -> Result<Verified, BadRecord> {
    let mut digest = Digest::EMPTY;
    let mut position = 0;
    let mut term = header.first_term;
    let mut verified = Verified::default();
    for number in 0..header.count {
        let index = Index(header.first.0.saturating_add(u64::from(number)));
        let bad = |fault| BadRecord { index, position, fault };
        let bytes = records.get(position..).unwrap_or_default();
        let record =
            Record::read(bytes, seed).map_err(|fault| bad(BadRecordFault::Record(fault)))?;
        let first_as_said = number > 0 || record.head.term == header.first_term;
        if record.head.index != index || record.head.term < term || !first_as_said {
            return Err(bad(BadRecordFault::OutOfPlace));
        }
        term = record.head.term;
        verified.time_ms = verified.time_ms.max(record.head.time_ms);
        verified.has_config |= record.head.kind == EntryKind::Config;
        digest = digest.with(record.checksum);
        position += record.size();
    }
    let whole = position == header.length as usize && records.len() == position;
    if !whole || digest != header.digest || (header.count > 0 && term != header.last_term) {
        return Err(BadRecord { index: header.first, position, fault: BadRecordFault::OutOfPlace });
    }
    Ok(verified)
}

/// The first record of a frame that is not what the header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadRecord {
    /// Index that the record should have.
    pub index: Index,
    /// Offset behind the frame's header.
    pub position: usize,
    /// What is wrong.
    pub fault: BadRecordFault,
}

/// What is wrong with a record of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadRecordFault {
    /// Its own bytes.
    Record(RecordFault),
    /// Intact, but not the record that was written here with this header.
    OutOfPlace,
}

impl std::fmt::Display for BadRecordFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadRecordFault::Record(fault) => fault.fmt(formatter),
            BadRecordFault::OutOfPlace => formatter.write_str("record is not the one written here"),
        }
    }
}

struct Fields {
    magic: u32,
    checksum: u32,
    version: u16,
    flags: u16,
    header: FrameHeader,
}

impl Fields {
    fn read(bytes: &[u8]) -> Fields {
        let mut reader = Reader::new(bytes);
        let (magic, checksum) = (reader.u32(), reader.u32());
        let (version, flags) = (reader.u16(), reader.u16());
        let header = FrameHeader {
            truncates: flags & FLAG_TRUNCATES != 0,
            length: reader.u32(),
            generation: reader.u64(),
            offset: reader.u64(),
            sequence: reader.u64(),
            durable_sequence: reader.u64(),
            first: Index(reader.u64()),
            count: reader.u32(),
            first_term: Term(reader.u32()),
            last_term: Term(reader.u32()),
            previous: reader.u32(),
            commit: Index(reader.u64()),
            digest: Digest(reader.u64()),
        };
        Fields { magic, checksum, version, flags, header }
    }
}
