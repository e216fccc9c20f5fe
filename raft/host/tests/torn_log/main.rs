//! Every cut and every flipped bit of a small log: never a panic, never wrong bytes, and nothing
//! that was acknowledged is lost in silence.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod log;

use raft_core::{Index, Term};
use raft_host::log::frame::{Digest, FRAME_HEADER, FrameHeader};
use raft_host::log::recovery::{DamageKind, Fed, Recovery};
use raft_host::log::segment::BLOCK;

use log::{Entry, FRAME_MAX, IDENTITY, Log, SEGMENT, recover, small_log};

const SECTOR: usize = 512;

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

/// Of two writes under way together the first is lost and the second whole: it proves nothing, is
/// cut with the first, and is not taken for the next frame when the log goes on in that place.
#[test]
fn a_frame_behind_a_torn_one_is_cut_with_it() {
    let mut log = Log::new();
    log.append(1, &[b"a"]);
    log.append(1, &[b"b"]);
    let (sequence, previous) = (log.sequence, log.previous);
    log.append(1, &[b"lost"]);
    log.under_way = 1;
    log.append(1, &[b"stale"]);
    let lost = log.frames[2].offset;
    log.segments[0][lost..lost + BLOCK].fill(0);
    let (recovered, entries) = log.recover(2).unwrap();
    assert_eq!((entries.len(), recovered.end), (2, (1, lost as u64)));
    log.frames.truncate(2);
    (log.sequence, log.previous, log.next_index) = (sequence, previous, 3);
    log.under_way = 0;
    log.append(2, &[b"new"]);
    let (recovered, entries) = log.recover(3).unwrap();
    assert_eq!(entries.last(), Some(&(3, 2, b"new".to_vec())));
    assert_eq!(recovered.next_sequence, 4);
}

/// With two writes under way, the first frame that vouches for a lost one comes two frames later:
/// as far as the two longest ones reach, recovery has to look.
#[test]
fn a_witness_is_found_behind_the_longest_writes_under_way() {
    for lost in 0..2 {
        let mut log = Log::new();
        log.under_way = 1;
        log.append(1, &[&[1; BLOCK]]);
        log.append(1, &[&[2; BLOCK]]);
        log.append(1, &[b"three"]);
        let frame = log.frames[lost].clone();
        assert_eq!(frame.size as u64, FRAME_MAX);
        let begin = frame.offset;
        log.segments[frame.segment][begin..begin + frame.size].fill(0);
        let outcome = log.recover(0);
        if lost == 0 {
            assert_eq!(outcome.unwrap_err().index, Some(Index(1)));
        } else {
            // Under way when the last frame was made: nobody was told of it.
            assert_eq!(outcome.unwrap().1.len(), 1);
            assert_eq!(log.recover(2).unwrap_err().index, Some(Index(2)));
        }
    }
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
