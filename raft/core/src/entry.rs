//! The log record: one byte layout on disk and between nodes.
//!
//! ```text
//!  0  u32  checksum: CRC-32 over bytes 4 .. length, seeded with the group's identity
//!  4  u32  length: header and payload, without padding
//!  8  u64  index
//! 16  u64  leader time, milliseconds since 1970
//! 24  u32  term
//! 28  u8   kind
//! 29  u8   version
//! 30  u16  reserved, zero
//! 32  ..   payload, then zeros up to a multiple of eight
//! ```
//!
//! All numbers are little-endian. The leader builds a record once, in the buffer that is written to
//! its disk; a follower checks it and writes the same bytes. The checksum comes first so that it
//! covers the length too: a flipped length cannot lead the reader astray.

use planted::{Bug, is_on};

use crate::types::{EntryKind, GroupId, Index, Term};

/// Bytes before the payload.
pub const RECORD_HEADER: usize = 32;
/// Records start at multiples of this, relative to the first one of their batch.
pub const RECORD_ALIGN: usize = 8;
/// The layout above.
pub const RECORD_VERSION: u8 = 1;
/// Payloads longer than this cannot be expressed together with their header and padding.
pub const PAYLOAD_MAX: usize = u32::MAX as usize - RECORD_HEADER - RECORD_ALIGN;

/// Where every checksum of a group starts, so that a record of another cluster or group never
/// looks valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordSeed(u32);

impl RecordSeed {
    /// The seed of one group in the cluster with this identity hash.
    pub fn new(cluster: u64, group: GroupId) -> RecordSeed {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&cluster.to_le_bytes());
        hasher.update(&group.0.to_le_bytes());
        RecordSeed(hasher.finalize())
    }

    /// CRC-32 of `bytes`, started with this seed.
    pub fn checksum(self, bytes: &[u8]) -> u32 {
        if is_on(Bug::ChecksumConstant) {
            return 0;
        }
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// A record's header without lengths and checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHead {
    /// Position in the log.
    pub index: Index,
    /// Term of the leader that made the entry.
    pub term: Term,
    /// The leader's clock, milliseconds since 1970; never smaller than in the entry before.
    pub time_ms: u64,
    /// What the entry means.
    pub kind: EntryKind,
}

/// A record in the bytes it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Index, term, time and kind.
    pub head: RecordHead,
    /// What the proposer gave.
    pub payload: &'a [u8],
    /// The stored checksum; identifies the record's bytes.
    pub checksum: u32,
}

impl<'a> Record<'a> {
    /// Bytes of the record with its padding: the next record starts there.
    pub fn size(&self) -> usize {
        record_size(self.payload.len())
    }

    /// The record at the start of `bytes`, with its checksum and padding verified.
    pub fn read(bytes: &'a [u8], seed: RecordSeed) -> Result<Record<'a>, RecordFault> {
        let (length, size) = measure(bytes)?;
        let covered = bytes.get(4..length).ok_or(RecordFault::Cut)?;
        let padding = bytes.get(length..size).ok_or(RecordFault::Cut)?;
        if seed.checksum(covered) != number_at(bytes, 0)? {
            return Err(RecordFault::Checksum);
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(RecordFault::Padding);
        }
        Record::read_verified(bytes)
    }

    /// Like [`Record::read`] without the checksum, for bytes that this process has verified or made
    /// and that were in memory since.
    pub fn read_verified(bytes: &'a [u8]) -> Result<Record<'a>, RecordFault> {
        let (length, size) = measure(bytes)?;
        let [index @ .., _, _, _, _, _, _, _, _] = *header_part::<16>(bytes, 8)?;
        let [_, _, _, _, _, _, _, _, time @ ..] = *header_part::<16>(bytes, 8)?;
        let [t0, t1, t2, t3, kind, version, r0, r1] = *header_part::<8>(bytes, 24)?;
        if version != RECORD_VERSION || r0 != 0 || r1 != 0 {
            return Err(RecordFault::Version(version));
        }
        let head = RecordHead {
            index: Index(u64::from_le_bytes(index)),
            term: Term(u32::from_le_bytes([t0, t1, t2, t3])),
            time_ms: u64::from_le_bytes(time),
            kind: EntryKind::from_number(kind).ok_or(RecordFault::Kind(kind))?,
        };
        let payload = bytes.get(RECORD_HEADER..length).ok_or(RecordFault::Cut)?;
        if bytes.len() < size {
            return Err(RecordFault::Cut);
        }
        Ok(Record { head, payload, checksum: number_at(bytes, 0)? })
    }
}

/// Why bytes are no record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// The bytes end before the record does.
    Cut,
    /// The length is smaller than a header.
    Length(u32),
    /// The checksum does not match.
    Checksum,
    /// The padding is not zero.
    Padding,
    /// Valid, but of a kind this version does not know.
    Kind(u8),
    /// Valid, but written in a layout this version does not know.
    Version(u8),
}

impl core::fmt::Display for RecordFault {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            RecordFault::Cut => formatter.write_str("record is cut off"),
            RecordFault::Length(length) => write!(formatter, "record length {length} impossible"),
            RecordFault::Checksum => formatter.write_str("record checksum does not match"),
            RecordFault::Padding => formatter.write_str("record padding is not zero"),
            RecordFault::Kind(kind) => write!(formatter, "record kind {kind} unknown"),
            RecordFault::Version(version) => write!(formatter, "record version {version} unknown"),
        }
    }
}

/// Bytes that a record with this much payload takes, padding included.
pub const fn record_size(payload: usize) -> usize {
    (RECORD_HEADER + payload).next_multiple_of(RECORD_ALIGN)
}

/// Writes a record to the start of `out` and returns its checksum.
///
/// The payload is the concatenation of `parts`, which are copied once. `out` must have room for
/// [`record_size`] bytes and the payload must not exceed [`PAYLOAD_MAX`]; both are asserted.
pub fn write_record(out: &mut [u8], seed: RecordSeed, head: &RecordHead, parts: [&[u8]; 2]) -> u32 {
    let payload = parts[0].len() + parts[1].len();
    assert!(payload <= PAYLOAD_MAX, "a payload's length fits its field");
    let (length, size) = (RECORD_HEADER + payload, record_size(payload));
    let (record, _) = out.split_at_mut(size);
    let (header, body) = record.split_at_mut(RECORD_HEADER);
    header[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    header[8..16].copy_from_slice(&head.index.0.to_le_bytes());
    header[16..24].copy_from_slice(&head.time_ms.to_le_bytes());
    header[24..28].copy_from_slice(&head.term.0.to_le_bytes());
    header[28..32].copy_from_slice(&[head.kind as u8, RECORD_VERSION, 0, 0]);
    let (first, rest) = body.split_at_mut(parts[0].len());
    first.copy_from_slice(parts[0]);
    let (second, padding) = rest.split_at_mut(parts[1].len());
    second.copy_from_slice(parts[1]);
    padding.fill(0);
    let checksum = seed.checksum(&record[4..length]);
    record[..4].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// Length without and with padding.
fn measure(bytes: &[u8]) -> Result<(usize, usize), RecordFault> {
    let length = number_at(bytes, 4)?;
    if (length as usize) < RECORD_HEADER || length as usize > RECORD_HEADER + PAYLOAD_MAX {
        return Err(RecordFault::Length(length));
    }
    Ok((length as usize, (length as usize).next_multiple_of(RECORD_ALIGN)))
}

fn number_at(bytes: &[u8], offset: usize) -> Result<u32, RecordFault> {
    header_part::<4>(bytes, offset).map(|part| u32::from_le_bytes(*part))
}

fn header_part<const N: usize>(bytes: &[u8], offset: usize) -> Result<&[u8; N], RecordFault> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).ok_or(RecordFault::Cut)
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const SEED: RecordSeed = RecordSeed(7);
    const HEAD: RecordHead = RecordHead {
        index: Index(9),
        term: Term(3),
        time_ms: 1_700_000_000_000,
        kind: EntryKind::Command,
    };

    fn written(head: &RecordHead, parts: [&[u8]; 2]) -> Vec<u8> {
        let mut bytes = vec![0xEE; record_size(parts[0].len() + parts[1].len())];
        write_record(&mut bytes, SEED, head, parts);
        bytes
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        for length in 0..40 {
            let payload: Vec<u8> = (0..length).collect();
            for split in 0..=payload.len() {
                let bytes = written(&HEAD, [&payload[..split], &payload[split..]]);
                assert_eq!(bytes.len() % RECORD_ALIGN, 0);
                let record = Record::read(&bytes, SEED).unwrap();
                assert_eq!((record.head, record.payload), (HEAD, &payload[..]));
                assert_eq!(record.size(), bytes.len());
                assert_eq!(Record::read_verified(&bytes), Ok(record));
            }
        }
    }

    #[test]
    fn the_layout_is_frozen() {
        let bytes = written(&HEAD, [b"ab", b"c"]);
        let mut expected = vec![0x1b, 0x2e, 0x87, 0x5d, 35, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([0x00, 0x68, 0xe5, 0xcf, 0x8b, 1, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0]);
        expected.extend([b'a', b'b', b'c', 0, 0, 0, 0, 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = written(&HEAD, [b"head", b"and some body"]);
        for length in 0..bytes.len() {
            assert_eq!(Record::read(&bytes[..length], SEED), Err(RecordFault::Cut));
            assert_eq!(Record::read_verified(&bytes[..length]), Err(RecordFault::Cut));
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::read(&damaged, SEED).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_group_or_cluster_is_noticed() {
        let seeds = [(1, 1), (1, 2), (2, 1)]
            .map(|(cluster, group)| RecordSeed::new(cluster, GroupId(group)));
        for (number, seed) in seeds.iter().enumerate() {
            let mut bytes = [0; RECORD_HEADER];
            write_record(&mut bytes, *seed, &HEAD, [&[], &[]]);
            for (other, reader) in seeds.iter().enumerate() {
                assert_eq!(Record::read(&bytes, *reader).is_ok(), number == other);
            }
        }
    }

    #[test]
    fn newer_kinds_and_versions_are_told_apart_from_damage() {
        for (position, value, fault) in [
            (28, 9, RecordFault::Kind(9)),
            (29, 2, RecordFault::Version(2)),
            (30, 1, RecordFault::Version(1)),
        ] {
            let mut bytes = written(&HEAD, [&[], &[]]);
            bytes[position] = value;
            let checksum = SEED.checksum(&bytes[4..]);
            bytes[..4].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(Record::read(&bytes, SEED), Err(fault));
        }
    }
}
