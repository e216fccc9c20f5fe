//! Every cut and every flipped bit of a small log: never a panic, never wrong bytes, and nothing
//! that was acknowledged is lost in silence.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use raft_core::entry::{Record, RecordHead, record_size, write_record};
use raft_core::{EntryKind, GroupId, Index, Term};
use raft_host::log::frame::{Digest, FRAME_HEADER, FrameHeader, frame_size};
use raft_host::log::recovery::{Damage, DamageKind, Fed, Recovered, Recovery};
use raft_host::log::segment::{BLOCK, Identity, SegmentHeader};

const IDENTITY: Identity = Identity { cluster: 0xC1, group: GroupId(4) };
const SEGMENT: usize = 5 * BLOCK;
const SECTOR: usize = 512;
/// The longest frame of the small log.
const FRAME_MAX: u64 = 2 * BLOCK as u64;

type Entry = (u64, u32, Vec<u8>);

/// A frame as the test knows it.
#[derive(Clone)]
struct Written {
    segment: usize,
    offset: usize,
    size: usize,
    /// Bytes of header and records; what is behind them is padding.
    used: usize,
    entries: Vec<Entry>,
}

struct Log {
    segments: Vec<Vec<u8>>,
    frames: Vec<Written>,
    sequence: u64,
    previous: u32,
    next_index: u64,
    /// How many entries before a frame are not known to be committed when it is made.
    uncommitted: u64,
}

impl Log {
    fn new() -> Log {
        let mut log = Log {
            segments: vec![],
            frames: vec![],
            sequence: 0,
            previous: 0,
            next_index: 1,
            uncommitted: 0,
        };
        log.add_segment(0);
        log
    }

    fn add_segment(&mut self, fill: u8) {
        let number = self.segments.len() as u64 + 1;
        let mut segment = vec![fill; SEGMENT];
        SegmentHeader { number, generation: 900 + number, size: SEGMENT as u64 }
            .write(IDENTITY, &mut segment[..BLOCK]);
        self.segments.push(segment);
    }

    /// Puts a frame into the last segment, or into a new one when it is full.
    fn append(&mut self, term: u32, payloads: &[&[u8]]) {
        let used = FRAME_HEADER + payloads.iter().map(|p| record_size(p.len())).sum::<usize>();
        let size = frame_size(used - FRAME_HEADER);
        let mut offset = match self.frames.last() {
            Some(last) if last.segment + 1 == self.segments.len() => last.offset + last.size,
            _ => BLOCK,
        };
        if offset + size > SEGMENT {
            self.add_segment(0);
            offset = BLOCK;
        }
        self.append_at(self.segments.len() - 1, offset, self.next_index, term, payloads, false);
    }

    fn append_at(
        &mut self,
        segment: usize,
        offset: usize,
        first: u64,
        term: u32,
        payloads: &[&[u8]],
        truncates: bool,
    ) {
        let seed = IDENTITY.seed();
        let mut records = vec![];
        let mut digest = Digest::EMPTY;
        let mut entries = vec![];
        for (index, payload) in (first..).zip(payloads) {
            let head = RecordHead {
                index: Index(index),
                term: Term(term),
                time_ms: 1000 + index,
                kind: EntryKind::Command,
            };
            let mut record = vec![0; record_size(payload.len())];
            digest = digest.with(write_record(&mut record, seed, &head, [payload, &[]]));
            records.extend(record);
            entries.push((index, term, payload.to_vec()));
        }
        self.sequence += 1;
        let header = FrameHeader {
            truncates,
            length: records.len() as u32,
            generation: 901 + segment as u64,
            offset: offset as u64,
            sequence: self.sequence,
            durable_sequence: self.sequence - 1,
            first: Index(first),
            count: payloads.len() as u32,
            first_term: Term(term),
            last_term: Term(term),
            previous: self.previous,
            commit: Index((first - 1).saturating_sub(self.uncommitted)),
            digest,
        };
        let size = header.size();
        let frame = &mut self.segments[segment][offset..offset + size];
        frame.fill(0);
        self.previous = header.write(seed, frame);
        frame[FRAME_HEADER..FRAME_HEADER + records.len()].copy_from_slice(&records);
        let used = FRAME_HEADER + records.len();
        self.frames.push(Written { segment, offset, size, used, entries });
        self.next_index = first + payloads.len() as u64;
    }

    fn entries(&self) -> Vec<Entry> {
        self.frames.iter().flat_map(|frame| frame.entries.clone()).collect()
    }

    fn recover(&self, mark: u64) -> Result<(Recovered, Vec<Entry>), Damage> {
        recover(&self.segments, mark)
    }
}

/// Feeds the segments in pieces of two blocks, so that frames lie across the pieces.
fn recover(segments: &[Vec<u8>], mark: u64) -> Result<(Recovered, Vec<Entry>), Damage> {
    let mut recovery = Recovery::new(IDENTITY, mark, FRAME_MAX);
    let mut entries: Vec<Entry> = vec![];
    for (number, bytes) in (1..).zip(segments) {
        recovery.begin_segment(number, bytes.len() as u64, &bytes[..BLOCK.min(bytes.len())])?;
        let (mut start, mut end) = (BLOCK, BLOCK);
        loop {
            match recovery.feed(&bytes[start..end])? {
                Fed::Frame { header, records, size } => {
                    entries.retain(|(index, ..)| *index < header.first.0 || !header.truncates);
                    entries.extend(read_all(records));
                    start += size;
                }
                Fed::Nothing(size) => start += size,
                Fed::More(size) if start + size <= bytes.len() => {
                    end = (start + size.max(2 * BLOCK)).min(bytes.len());
                }
                Fed::More(_) | Fed::Rest => break,
            }
        }
    }
    let recovered = recovery.finish()?;
    Ok((recovered, entries))
}

fn read_all(records: &[u8]) -> Vec<Entry> {
    let (mut position, mut entries) = (0, vec![]);
    while position < records.len() {
        let record = Record::read(&records[position..], IDENTITY.seed()).unwrap();
        entries.push((record.head.index.0, record.head.term.0, record.payload.to_vec()));
        position += record.size();
    }
    entries
}

/// Five frames in two segments; several records in some, one frame of two blocks.
fn small_log() -> Log {
    let mut log = Log::new();
    log.append(1, &[b"one", b"two", b"three"]);
    log.append(1, &[&[7; 5000]]);
    log.append(2, &[b"five"]);
    log.append(2, &[b"six", &[9; 300], b""]);
    log.append(3, &[b"nine", b"ten"]);
    assert_eq!(log.segments.len(), 2);
    assert_eq!(log.frames[3].segment, 1);
    log
}

#[test]
fn an_intact_log_comes_back_whole() {
    let log = small_log();
    for mark in [0, 3, log.sequence] {
        let (recovered, entries) = log.recover(mark).unwrap();
        assert_eq!(entries, log.entries());
        assert_eq!(recovered.image.last().index, Index(10));
        assert_eq!(recovered.image.last().term, Term(3));
        assert_eq!(recovered.next_sequence, 6);
        assert_eq!(recovered.previous, log.previous);
        assert_eq!(recovered.end, (2, (3 * BLOCK) as u64));
        assert_eq!(recovered.time_ms, 1010);
        assert_eq!(recovered.commit, Index(8));
        assert_eq!(recovered.torn, None);
        let runs: Vec<_> =
            recovered.image.runs().iter().map(|run| (run.first.0, run.term.0)).collect();
        assert_eq!(runs, [(1, 1), (5, 2), (9, 3)]);
    }
}

#[test]
fn an_empty_log_is_fine_unless_something_was_acknowledged() {
    let log = Log::new();
    let (recovered, entries) = log.recover(0).unwrap();
    assert_eq!((recovered.next_sequence, recovered.end, entries.len()), (1, (1, 4096), 0));
    let damage = log.recover(1).unwrap_err();
    assert_eq!((damage.kind, damage.index), (DamageKind::Frame, Some(Index(1))));
    assert_eq!(recover(&[], 1).unwrap_err().kind, DamageKind::Missing);
    assert!(recover(&[], 0).is_ok());
}

/// Pitfall 22: damage below the durable mark is told from a torn tail.
#[test]
fn pitfall_22_every_flipped_bit_is_survived_reported_or_refused() {
    let log = small_log();
    let all = log.entries();
    let last = log.frames.len() - 1;
    for (segment, bytes) in log.segments.iter().enumerate() {
        for position in 0..bytes.len() {
            let hit = log.frames.iter().position(|frame| {
                frame.segment == segment
                    && (frame.offset..frame.offset + frame.used).contains(&position)
            });
            for bit in 0..8 {
                let mut segments = log.segments.clone();
                segments[segment][position] ^= 1 << bit;
                check_flip(&log, &all, &segments, hit, hit == Some(last), position < BLOCK);
            }
        }
    }
}

fn check_flip(
    log: &Log,
    all: &[Entry],
    segments: &[Vec<u8>],
    hit: Option<usize>,
    in_last: bool,
    in_segment_header: bool,
) {
    for mark in [0, log.sequence] {
        match recover(segments, mark) {
            Ok((recovered, entries)) if entries.len() < all.len() => {
                let torn = recovered.torn.expect("a cut is reported");
                assert!(in_last && mark == 0, "only the last frame can look torn");
                assert_eq!(entries, all[..8]);
                assert_eq!((torn.segment, torn.first), (2, Index(9)));
                assert!(torn.last.is_none_or(|index| index == Index(10)));
            }
            Ok((recovered, entries)) => {
                assert_eq!(entries, all);
                assert_eq!(recovered.torn, None);
                assert!(hit.is_none() && !in_segment_header, "used bytes are all checked");
            }
            Err(damage) if in_segment_header => {
                assert!(matches!(damage.kind, DamageKind::Segment(_)), "{damage:?}");
            }
            Err(damage) => {
                let frame = &log.frames[hit.expect("unused bytes do no harm")];
                let (first, end) = (frame.offset as u64, (frame.offset + frame.size) as u64);
                assert_eq!(damage.segment, frame.segment as u64 + 1);
                assert!((first..end).contains(&damage.offset));
                let index = damage.index.expect("the index is known").0;
                assert!(frame.entries.iter().any(|entry| entry.0 == index));
                assert!(!in_last || mark > 0, "an unacknowledged tail does not stop a group");
            }
        }
    }
}

/// Pitfall 3, 22 and 25: a power cut leaves any subset of the last write's sectors, over zeros or
/// over a recycled file's old frames.
#[test]
fn pitfall_25_every_subset_of_the_last_frames_sectors_is_cut_or_whole() {
    for stale in [false, true] {
        for last in 0..small_log().frames.len() {
            let mut log = small_log();
            log.frames.truncate(last + 1);
            let full = log.segments.clone();
            erase_behind(&mut log, last, stale);
            let frame = log.frames[last].clone();
            let before: usize = log.frames[..last].iter().map(|frame| frame.entries.len()).sum();
            let all = log.entries();
            let sectors = frame.size / SECTOR;
            for subset in 0..1u32 << sectors.min(16) {
                let mut segments = log.segments.clone();
                for sector in (0..sectors).filter(|sector| subset & (1 << sector) != 0) {
                    let range =
                        frame.offset + sector * SECTOR..frame.offset + (sector + 1) * SECTOR;
                    segments[frame.segment][range.clone()]
                        .copy_from_slice(&full[frame.segment][range]);
                }
                let (recovered, entries) = recover(&segments, last as u64).unwrap();
                let whole = segments[frame.segment][frame.offset..frame.offset + frame.used]
                    == full[frame.segment][frame.offset..frame.offset + frame.used];
                assert_eq!(entries, if whole { &all[..] } else { &all[..before] });
                assert_eq!(recovered.next_sequence, last as u64 + if whole { 2 } else { 1 });
            }
        }
    }
}

/// Makes the log look as it was before frame `last` was written: zeros, or the frames of an
/// earlier use of the same file, at the same places and with the same indexes.
fn erase_behind(log: &mut Log, last: usize, stale: bool) {
    let frames = small_log().frames;
    for frame in &frames[last..] {
        let bytes = &mut log.segments[frame.segment][frame.offset..frame.offset + frame.size];
        if stale {
            let mut bytes_before = Log::new();
            bytes_before.add_segment(0);
            bytes_before.sequence = 40;
            let old: Vec<_> = frame.entries.iter().map(|entry| &entry.2[..]).collect();
            let first = frame.entries[0].0;
            bytes_before.append_at(frame.segment, frame.offset, first, 1, &old, false);
            let source = &bytes_before.segments[frame.segment];
            bytes.copy_from_slice(&source[frame.offset..frame.offset + frame.size]);
            // An earlier use had another generation.
            let header = FrameHeader {
                truncates: false,
                length: (frame.used - FRAME_HEADER) as u32,
                generation: 33,
                offset: frame.offset as u64,
                sequence: 41,
                durable_sequence: 40,
                first: Index(first),
                count: old.len() as u32,
                first_term: Term(1),
                last_term: Term(1),
                previous: 0,
                commit: Index(0),
                digest: Digest::EMPTY,
            };
            header.write(IDENTITY.seed(), bytes);
        } else {
            bytes.fill(0);
        }
    }
}

#[test]
fn every_cut_of_a_file_is_refused() {
    let log = small_log();
    for segment in 0..log.segments.len() {
        for length in (0..SEGMENT).step_by(SECTOR) {
            let mut segments = log.segments.clone();
            segments[segment].truncate(length);
            let damage = recover(&segments, 0).unwrap_err();
            assert_eq!(damage.segment, segment as u64 + 1);
        }
    }
}

#[test]
fn a_missing_segment_is_noticed() {
    let log = small_log();
    let mut recovery = Recovery::new(IDENTITY, 0, FRAME_MAX);
    recovery.begin_segment(1, SEGMENT as u64, &log.segments[0][..BLOCK]).unwrap();
    let damage = recovery.begin_segment(3, SEGMENT as u64, &log.segments[1][..BLOCK]).unwrap_err();
    assert_eq!((damage.kind, damage.segment), (DamageKind::Missing, 2));
    // The first one missing: what is left begins in the middle and has no predecessor to check.
    let mut recovery = Recovery::new(IDENTITY, 0, FRAME_MAX);
    assert!(recovery.begin_segment(2, SEGMENT as u64, &log.segments[1][..BLOCK]).is_ok());
}

/// Pitfall 24: a write that went to another place, or never reached the disk.
#[test]
fn pitfall_24_lost_and_misdirected_writes_are_damage() {
    for lost in 0..4 {
        let mut log = small_log();
        let frame = log.frames[lost].clone();
        log.segments[frame.segment][frame.offset..frame.offset + frame.size].fill(0);
        let damage = log.recover(0).unwrap_err();
        assert_eq!(damage.index, Some(Index(frame.entries[0].0)), "frame {lost}");
        assert_eq!(damage.kind, DamageKind::Frame);
    }
    // Frame 0 written once more over frame 2: same file, same generation, another place.
    let mut log = small_log();
    let (from, to) = (log.frames[0].offset, log.frames[2].offset);
    log.segments[0].copy_within(from..from + BLOCK, to);
    assert_eq!(log.recover(0).unwrap_err().index, Some(Index(5)));
    // And over the last one, which nobody vouches for but the hard state.
    let mut log = small_log();
    let to = log.frames[4].offset;
    let frame: Vec<u8> = log.segments[0][from..from + BLOCK].to_vec();
    log.segments[1][to..to + BLOCK].copy_from_slice(&frame);
    assert_eq!(log.recover(5).unwrap_err().index, Some(Index(9)));
}

#[test]
fn a_frame_of_an_earlier_life_does_not_link() {
    // Two frames were in flight: the first is lost, the second whole. It proves nothing.
    let mut log = Log::new();
    log.append(1, &[b"a"]);
    log.append(1, &[b"b"]);
    let (sequence, previous) = (log.sequence, log.previous);
    log.append(1, &[b"lost"]);
    log.append(1, &[b"stale"]);
    let last = log.frames[3].clone();
    let stale = log.segments[0][last.offset..last.offset + last.size].to_vec();
    let mut header = stale.clone();
    header[40..48].copy_from_slice(&2u64.to_le_bytes());
    let checksum = IDENTITY.seed().checksum(&header[8..FRAME_HEADER]);
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    log.segments[0][last.offset..last.offset + last.size].copy_from_slice(&header);
    let lost = log.frames[2].offset;
    log.segments[0][lost..lost + BLOCK].fill(0);
    let (recovered, entries) = log.recover(2).unwrap();
    assert_eq!((entries.len(), recovered.end), (2, (1, lost as u64)));
    // The log goes on in its place; the old frame behind it is not taken for the next one.
    log.frames.truncate(2);
    (log.sequence, log.previous, log.next_index) = (sequence, previous, 3);
    log.append(2, &[b"new"]);
    let (recovered, entries) = log.recover(3).unwrap();
    assert_eq!(entries.last(), Some(&(3, 2, b"new".to_vec())));
    assert_eq!(recovered.next_sequence, 4);
}

#[test]
fn a_truncating_frame_voids_what_it_says() {
    let mut log = Log::new();
    log.uncommitted = 2;
    log.append(1, &[b"a", b"b", b"c"]);
    log.append(1, &[b"d"]);
    let end = log.frames[1].offset + log.frames[1].size;
    log.append_at(0, end, 2, 5, &[b"B"], true);
    let (recovered, entries) = log.recover(3).unwrap();
    let payloads: Vec<_> = entries.iter().map(|entry| entry.2.clone()).collect();
    assert_eq!(payloads, [b"a", b"B"]);
    assert_eq!(recovered.image.last().index, Index(2));
    // What was committed when the cut frames were made cannot be void.
    let mut wrong = Log::new();
    wrong.append(1, &[b"a", b"b", b"c"]);
    wrong.append(1, &[b"d"]);
    wrong.append_at(0, end, 2, 5, &[b"B"], true);
    assert_eq!(wrong.recover(0).unwrap_err().kind, DamageKind::Contradiction);
    let frames: Vec<_> =
        (1..=2).filter_map(|index| recovered.image.frame_of(Index(index))).collect();
    assert_eq!((frames[0].count, frames[1].offset), (1, end as u64));
}

#[test]
fn a_log_can_begin_anew_behind_a_snapshot() {
    let mut log = Log::new();
    log.append(1, &[b"a", b"b", b"c"]);
    let end = log.frames[0].offset + log.frames[0].size;
    log.append_at(0, end, 100, 5, &[b"z"], true);
    let recovered = log.recover(2).unwrap().0;
    assert_eq!(recovered.image.first(), Some(Index(100)));
    assert_eq!(recovered.image.last().index, Index(100));
    assert_eq!(recovered.image.frame_of(Index(2)), None);
    assert_eq!(recovered.image.runs().len(), 1);
}

#[test]
fn what_a_newer_version_wrote_is_never_cut() {
    let mut log = small_log();
    let frame = log.frames[4].clone();
    let bytes = &mut log.segments[1][frame.offset..frame.offset + frame.size];
    bytes[8] = 2;
    let checksum = IDENTITY.seed().checksum(&bytes[8..FRAME_HEADER]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(log.recover(0).unwrap_err().kind, DamageKind::Newer);
}

#[test]
fn a_log_whose_head_is_gone_begins_in_the_middle() {
    let log = small_log();
    let tail = [log.segments[1].clone()];
    let mut recovery = Recovery::new(IDENTITY, 5, FRAME_MAX);
    recovery.begin_segment(2, SEGMENT as u64, &tail[0][..BLOCK]).unwrap();
    let mut start = BLOCK;
    while start < SEGMENT {
        match recovery.feed(&tail[0][start..]).unwrap() {
            Fed::Frame { size, .. } | Fed::Nothing(size) => start += size,
            Fed::More(_) | Fed::Rest => break,
        }
    }
    let recovered = recovery.finish().unwrap();
    assert_eq!(recovered.image.first(), Some(Index(6)));
    assert_eq!(recovered.image.last().index, Index(10));
    // With its first frame damaged nobody knows where it begins.
    let mut recovery = Recovery::new(IDENTITY, 0, FRAME_MAX);
    recovery.begin_segment(2, SEGMENT as u64, &tail[0][..BLOCK]).unwrap();
    let mut damaged = tail[0].clone();
    damaged[BLOCK] ^= 1;
    assert!(recovery.feed(&damaged[BLOCK..]).is_err() || recovery.finish().is_err());
}
