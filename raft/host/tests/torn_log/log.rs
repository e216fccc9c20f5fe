//! A log in memory, and what recovery makes of it.

use raft_core::entry::{Record, RecordHead, record_size, write_record};
use raft_core::{EntryKind, GroupId, Index, Term};
use raft_host::log::frame::{Digest, FRAME_HEADER, FrameHeader, frame_size};
use raft_host::log::recovery::{Damage, Fed, Recovered, Recovery};
use raft_host::log::segment::{BLOCK, Identity, SegmentHeader};

pub(crate) const IDENTITY: Identity = Identity { cluster: 0xC1, group: GroupId(4) };
pub(crate) const SEGMENT: usize = 5 * BLOCK;
/// The longest frame of the small log.
pub(crate) const FRAME_MAX: u64 = 2 * BLOCK as u64;

pub(crate) type Entry = (u64, u32, Vec<u8>);

/// A frame as the test knows it.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) segment: usize,
    pub(crate) offset: usize,
    pub(crate) size: usize,
    /// Bytes of header and records; what is behind them is padding.
    pub(crate) used: usize,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) struct Log {
    pub(crate) segments: Vec<Vec<u8>>,
    pub(crate) frames: Vec<Written>,
    pub(crate) sequence: u64,
    pub(crate) previous: u32,
    pub(crate) next_index: u64,
    /// How many entries before a frame are not known to be committed when it is made.
    pub(crate) uncommitted: u64,
    /// How many frames before a frame are under way when it is made.
    pub(crate) under_way: u64,
}

impl Log {
    pub(crate) fn new() -> Log {
        let mut log = Log {
            segments: vec![],
            frames: vec![],
            sequence: 0,
            previous: 0,
            next_index: 1,
            uncommitted: 0,
            under_way: 0,
        };
        log.add_segment(0);
        log
    }

    pub(crate) fn add_segment(&mut self, fill: u8) {
        let number = self.segments.len() as u64 + 1;
        let mut segment = vec![fill; SEGMENT];
        SegmentHeader { number, generation: 900 + number, size: SEGMENT as u64 }
            .write(IDENTITY, &mut segment[..BLOCK]);
        self.segments.push(segment);
    }

    /// Puts a frame into the last segment, or into a new one when it is full.
    pub(crate) fn append(&mut self, term: u32, payloads: &[&[u8]]) {
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

    pub(crate) fn append_at(
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
            durable_sequence: (self.sequence - 1).saturating_sub(self.under_way),
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

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.frames.iter().flat_map(|frame| frame.entries.clone()).collect()
    }

    pub(crate) fn recover(&self, mark: u64) -> Result<(Recovered, Vec<Entry>), Damage> {
        recover(&self.segments, mark)
    }
}

/// Feeds the segments in pieces of two blocks, so that frames lie across the pieces.
pub(crate) fn recover(segments: &[Vec<u8>], mark: u64) -> Result<(Recovered, Vec<Entry>), Damage> {
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
pub(crate) fn small_log() -> Log {
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
