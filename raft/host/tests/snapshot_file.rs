//! Snapshot files: every cut and every flipped bit is noticed, and nothing of another file fits.

use raft_core::{Config, ConfigEntry, GroupId, Index, NodeId, Position, Term};
use raft_host::snapshot::check::{Part, SnapshotCheck, part_length};
use raft_host::snapshot::chunk::{CHUNK, CONTENT, write_chunk};
use raft_host::snapshot::header::{SnapshotFault, SnapshotHeader};
use raft_host::snapshot::trailer::Trailer;
use raft_host::{Identity, SnapshotBoundary};

const IDENTITY: Identity = Identity { cluster: 77, group: GroupId(3) };
const BLOCK: usize = 4096;

fn header(generation: u64) -> SnapshotHeader {
    let config = Config::of([NodeId(1), NodeId(2)], [NodeId(3)]);
    SnapshotHeader {
        boundary: SnapshotBoundary {
            position: Position { index: Index(900), term: Term(4) },
            config: ConfigEntry { index: Index(17), config },
        },
        time_ms: 1_700_000_000_000,
        generation,
    }
}

/// A whole file with this content.
fn file(generation: u64, content: &[u8]) -> Vec<u8> {
    let mut file = vec![0xEE; BLOCK];
    let seed = header(generation).write(IDENTITY, &mut file);
    let mut sum = Trailer::EMPTY;
    for (ordinal, content) in content.chunks(CONTENT).enumerate() {
        let mut chunk = vec![0xEE; CHUNK];
        let (size, checksum) = write_chunk(seed, ordinal as u64, content, &mut chunk);
        file.extend_from_slice(&chunk[..size]);
        sum = sum.with(content.len(), checksum);
    }
    let mut block = vec![0xEE; BLOCK];
    sum.write(seed, &mut block);
    file.extend_from_slice(&block);
    file
}

/// The content of a file.
fn read(file: &[u8]) -> Result<Vec<u8>, SnapshotFault> {
    let mut check = SnapshotCheck::new(IDENTITY);
    let mut content = Vec::new();
    loop {
        let start = check.offset() as usize;
        let length = part_length(start as u64, file.len() as u64);
        if length == 0 {
            break;
        }
        if let Part::Content(bytes) = check.take(&file[start..start + length])? {
            content.extend_from_slice(bytes);
        }
    }
    if check.is_complete() { Ok(content) } else { Err(SnapshotFault::Cut) }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position * 31 % 251) as u8).collect()
}

#[test]
fn content_of_every_size_comes_back() {
    let sizes = [0, 1, BLOCK - 24, BLOCK - 23, CONTENT - 1, CONTENT, CONTENT + 1, 3 * CONTENT + 9];
    for size in sizes {
        let file = file(5, &content(size));
        assert_eq!(read(&file), Ok(content(size)), "{size} bytes");
        assert!(file.len().is_multiple_of(BLOCK));
        let (found, _) = SnapshotHeader::read(IDENTITY, &file).unwrap();
        assert_eq!(found, header(5));
        assert_eq!(SnapshotHeader::owner(&file), Some(IDENTITY));
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let intact = file(5, &content(5_000));
    for bit in 0..intact.len() * 8 {
        let mut damaged = intact.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let intact = file(5, &content(CONTENT + 5_000));
    for length in (0..intact.len()).step_by(61).chain(intact.len() - 5_000..intact.len()) {
        assert!(read(&intact[..length]).is_err(), "cut at {length}");
    }
    let longer = [&intact[..], &[0; BLOCK]].concat();
    assert!(read(&longer).is_err());
}

/// Pitfalls 21 and 24: chunks of two files are never mixed, nor taken in another order.
#[test]
fn pitfall_21_chunks_of_another_file_or_place_are_refused() {
    let (one, other) = (file(5, &content(2 * CONTENT)), file(6, &content(2 * CONTENT)));
    let second = BLOCK + CHUNK;
    let mixed = [&one[..second], &other[second..second + CHUNK], &one[second + CHUNK..]].concat();
    assert_eq!(read(&mixed), Err(SnapshotFault::Chunk { ordinal: 1 }));
    let first = &one[BLOCK..second];
    let doubled = [&one[..second], first, &one[second + CHUNK..]].concat();
    assert_eq!(read(&doubled), Err(SnapshotFault::Chunk { ordinal: 1 }));
    let shorter = [&one[..second], &one[second + CHUNK..]].concat();
    assert_eq!(read(&shorter), Err(SnapshotFault::Trailer));
}

#[test]
fn another_group_and_a_newer_version_are_named() {
    let mut block = file(5, &[])[..BLOCK].to_vec();
    let other = Identity { cluster: 77, group: GroupId(4) };
    let foreign = SnapshotHeader::read(other, &block);
    assert_eq!(foreign, Err(SnapshotFault::Foreign(IDENTITY)));
    block[8] = 2;
    let checksum = IDENTITY.seed().checksum(&block[8..]);
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(SnapshotHeader::read(IDENTITY, &block), Err(SnapshotFault::Version(2)));
}
