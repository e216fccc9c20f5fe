//! The end of the log in memory: what waits for the disk, what waits to be applied, and what was
//! applied and is kept for followers.

use std::collections::VecDeque;

use raft_core::entry::{Record, RecordHead, RecordSeed, record_size};
use raft_core::{Index, Position, Sendable, Term};
use runtime::Shard;

use super::batch::{Batch, BatchBuffers, Frame, Link};
use super::frame::frame_size;
use super::image::{FrameRef, LogImage};
use crate::applier::Slice;
use crate::options::GroupOptions;

/// The log as the group's fibers share it.
pub(crate) struct LogTail {
    seed: RecordSeed,
    buffers: BatchBuffers,
    /// To be written, in order; the last one is being filled.
    pending: VecDeque<Batch>,
    /// Being written or written, in order of index; those in front may be applied already.
    held: VecDeque<Held>,
    held_bytes: usize,
    image: LogImage,
    /// The last entry, pending ones included.
    last: Position,
    /// Everything up to here was applied.
    applied: Index,
    /// Where the log begins anew, once what waits for the disk is written.
    anew: Position,
    /// Where the next entry to apply is.
    cursor: Cursor,
    /// Bytes of records behind `applied`.
    unapplied_bytes: u64,
}

struct Held {
    frame: Frame,
    /// Valid records; a later truncation may have cut some off.
    count: u32,
}

impl Held {
    fn last(&self) -> Index {
        self.frame.header.first.plus(u64::from(self.count)).previous()
    }
}

/// A byte position in one of the held frames.
#[derive(Clone, Copy, Default)]
struct Cursor {
    first: Index,
    index: Index,
    position: usize,
}

/// Entries to apply.
pub(crate) enum Unapplied {
    Memory(Slice),
    /// The entry, and the frame on disk that holds it and those behind it.
    Disk((Index, Option<FrameRef>)),
    Nothing,
}

impl LogTail {
    pub(crate) fn new(
        shard: &Shard,
        options: &GroupOptions,
        image: LogImage,
        applied: Index,
    ) -> LogTail {
        LogTail {
            seed: options.identity.seed(),
            buffers: BatchBuffers::new(shard, options.batch_bytes),
            pending: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            last: Position { index: image.last().index.max(applied), ..image.last() },
            image,
            applied,
            anew: Position::default(),
            cursor: Cursor::default(),
            unapplied_bytes: 0,
        }
    }

    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    pub(crate) fn unapplied(&self) -> u64 {
        self.last.index.since(self.applied)
    }

    pub(crate) fn unapplied_bytes(&self) -> u64 {
        self.unapplied_bytes
    }

    /// Makes the record of a new entry; its index must be the next one.
    pub(crate) fn append(&mut self, head: &RecordHead, parts: [&[u8]; 2]) {
        let size = record_size(parts[0].len() + parts[1].len());
        let seed = self.seed;
        self.batch_for(size, head.index).append(seed, head, parts);
        self.note_appended(head, size);
    }

    /// Copies the records of verified `bytes` whose indexes lie in `first ..= last` as they came.
    /// Returns the time of the newest one.
    ///
    /// # Panics
    /// When they are not there: consensus accepts only what was checked.
    pub(crate) fn append_received(&mut self, bytes: &[u8], first: Index, last: Index) -> u64 {
        let mut rest = bytes;
        let mut time_ms = 0;
        while self.last.index < last
            && let Ok(record) = Record::read_verified(rest)
            && let Some((taken, behind)) = rest.split_at_checked(record.size())
        {
            rest = behind;
            if record.head.index >= first {
                let batch = self.batch_for(taken.len(), record.head.index);
                batch.append_verified(&record.head, record.checksum, taken);
                self.note_appended(&record.head, taken.len());
                time_ms = record.head.time_ms.max(time_ms);
            }
        }
        assert_eq!(self.last.index, last, "accepted entries come with their message");
        time_ms
    }

    /// Voids the entries from `first` on; none of them was applied.
    pub(crate) fn truncate(&mut self, first: Index) {
        assert!(first > self.applied, "an applied entry is never cut");
        while self.held.pop_back_if(|held| held.frame.header.first >= first).is_some() {}
        if let Some(held) = self.held.back_mut()
            && held.last() >= first
        {
            held.count = first.since(held.frame.header.first) as u32;
        }
        self.held_bytes = self.held.iter().map(|held| held.frame.size()).sum();
        let term = self.term_before(first);
        // Batches that wait are written nevertheless, before the frame that voids their entries.
        self.pending.iter_mut().for_each(|batch| batch.cut(first));
        self.last = Position { index: first.previous(), term };
        self.unapplied_bytes = self.count_unapplied_bytes();
        let buffer = self.buffers.take(0);
        self.pending.push_back(Batch::new(buffer, first, true));
    }

    /// A snapshot takes the place of the log, which ends before `boundary` or contradicts it. The
    /// entries from `cut` on, none of which is committed, become void; the next entry is the one
    /// behind the boundary. Only what the snapshot covers was applied.
    pub(crate) fn begin_anew(&mut self, cut: Index, boundary: Position) {
        assert!(cut <= boundary.index && self.applied <= boundary.index, "a snapshot is ahead");
        if self.last.index >= cut {
            // Two frames: one that goes on further ahead keeps what is before the gap.
            self.applied = self.applied.min(cut.previous());
            self.truncate(cut);
        }
        self.held.clear();
        self.held_bytes = 0;
        self.unapplied_bytes = 0;
        self.last = boundary;
        self.applied = boundary.index;
        self.anew = boundary;
        self.cursor = Cursor::default();
        let buffer = self.buffers.take(0);
        self.pending.push_back(Batch::new(buffer, boundary.index.next(), true));
    }

    /// A snapshot has everything up to `index`, which the log goes on behind.
    pub(crate) fn skip_to(&mut self, index: Index) {
        assert!(index >= self.applied && index <= self.last.index, "the log has the entry");
        self.applied = index;
        self.cursor = Cursor::default();
        self.unapplied_bytes = self.count_unapplied_bytes();
    }

    /// Bytes on disk of the oldest batch that waits.
    pub(crate) fn pending_size(&self) -> Option<usize> {
        self.pending.front().map(Batch::size)
    }

    /// Sizes of all batches that wait, if a record of `size` bytes were appended.
    pub(crate) fn sizes_with(&self, size: usize) -> impl Iterator<Item = usize> {
        let fits = self.has_open_batch(size);
        let grown = if fits { size } else { 0 };
        let open = self.pending.len().saturating_sub(1);
        let sizes = self.pending.iter().enumerate().map(move |(number, batch)| {
            if number == open { frame_size(batch.length() + grown) } else { batch.size() }
        });
        sizes.chain((!fits).then(|| frame_size(size)))
    }

    /// Ends the oldest batch that waits; it is held until it is applied.
    pub(crate) fn seal(&mut self, segment: u64, link: Link) -> Option<Frame> {
        let batch = self.pending.pop_front()?;
        let valid = batch.last_valid();
        // What a snapshot alone has is not committed as far as a log that ends before it goes.
        let link = Link { commit: link.commit.min(valid), ..link };
        self.buffers.note_batch(batch.length(), !self.pending.is_empty());
        let frame = batch.seal(self.seed, link);
        let first = frame.header.first;
        if frame.header.truncates && first > self.image.last().index.next() {
            assert!(first == self.anew.index.next(), "a log has a gap only behind a snapshot");
            self.image = LogImage::behind(self.anew);
        } else if frame.header.truncates {
            self.image.truncate(first);
        }
        self.note_terms(&frame);
        self.image.note_frame(segment, &frame.header);
        let count = valid.next().since(frame.header.first) as u32;
        if count > 0 {
            self.held_bytes += frame.size();
            self.held.push_back(Held { frame: frame.clone(), count });
        }
        Some(frame)
    }

    /// The next entries to apply, none behind `limit`.
    pub(crate) fn unapplied_slice(&mut self, limit: Index) -> Unapplied {
        let first = self.applied.next();
        if first > limit {
            return Unapplied::Nothing;
        }
        let found = self.held.partition_point(|held| held.frame.header.first <= first);
        let Some(held) = found.checked_sub(1).and_then(|number| self.held.get(number)) else {
            return Unapplied::Disk((first, self.image.frame_of(first)));
        };
        if held.last() < first {
            return Unapplied::Disk((first, self.image.frame_of(first)));
        }
        let start = held.frame.header.first;
        let position = if self.cursor.index == first && self.cursor.first == start {
            self.cursor.position
        } else {
            position_of(held.frame.records(), start, first)
        };
        let last = held.last().min(limit);
        let frame = held.frame.clone();
        Unapplied::Memory(Slice { frame, position, first, last, was_pending: true })
    }

    /// Everything up to `index` is applied; in the frame that begins at `first` the next record
    /// begins at `position`. `bytes` of records were applied.
    pub(crate) fn note_applied(
        &mut self,
        index: Index,
        frame: &Frame,
        position: usize,
        bytes: u64,
    ) {
        self.applied = index;
        self.cursor = Cursor { first: frame.header.first, index: index.next(), position };
        self.unapplied_bytes = self.unapplied_bytes.saturating_sub(bytes);
    }

    /// Lets go of the oldest applied frames until no more than `kept_max` bytes are held.
    pub(crate) fn evict(&mut self, kept_max: usize) {
        while self.held_bytes > kept_max
            && let Some(held) = self.held.pop_front_if(|held| held.last() <= self.applied)
        {
            self.held_bytes -= held.frame.size();
            self.buffers.give_back(held.frame.buffer);
        }
    }

    /// Copies records from `first` on, none behind `last` and no more than `bytes_max` but at
    /// least one, to `out`. Returns the last index copied; `None` when the first one is not in
    /// memory.
    pub(crate) fn copy_records(
        &self,
        first: Index,
        last: Index,
        bytes_max: u64,
        out: &mut Vec<u8>,
    ) -> Option<Index> {
        let mut copied = None;
        let mut next = first;
        while next <= last
            && let Some((from, valid_to, records)) = self.records_of(next)
        {
            let position = position_of(records, from, next);
            let rest = records.get(position..).unwrap_or_default();
            let end = last.min(valid_to);
            let until = copy_range(rest, next, end, bytes_max, out);
            copied = until.or(copied);
            if until != Some(end) {
                break;
            }
            next = end.next();
        }
        copied
    }

    /// The frame on disk that holds the entry at `index`.
    pub(crate) fn place_of(&self, index: Index) -> Option<FrameRef> {
        self.image.frame_of(index)
    }

    /// The table of contents of all that is sealed.
    pub(crate) fn image(&mut self) -> &mut LogImage {
        &mut self.image
    }

    /// Forgets frames that hold nothing behind `boundary`, which was applied. Returns the number of
    /// the oldest segment still needed.
    pub(crate) fn drop_head(&mut self, boundary: Index) -> Option<u64> {
        assert!(boundary <= self.applied, "only applied entries are dropped");
        self.image.drop_head(boundary)
    }

    /// The records in memory around `index`: index of the first, last valid index, bytes.
    fn records_of(&self, index: Index) -> Option<(Index, Index, &[u8])> {
        let batch = self.pending.iter().rev().find(|batch| batch.first() <= index);
        if let Some(batch) = batch
            && index <= batch.last_valid()
        {
            return Some((batch.first(), batch.last_valid(), batch.records()));
        }
        let found = self.held.partition_point(|held| held.frame.header.first <= index);
        let held = self.held.get(found.checked_sub(1)?)?;
        let header = &held.frame.header;
        (index <= held.last()).then(|| (header.first, held.last(), held.frame.records()))
    }

    /// Whether a record of `size` bytes goes into a batch that others began.
    #[inline]
    pub(crate) fn has_open_batch(&self, size: usize) -> bool {
        self.pending.back().is_some_and(|batch| batch.room() >= size)
    }

    fn batch_for(&mut self, size: usize, index: Index) -> &mut Batch {
        if !self.has_open_batch(size) {
            self.buffers.note_batch(0, !self.pending.is_empty());
            let buffer = self.buffers.take(size);
            self.pending.push_back(Batch::new(buffer, index, false));
        }
        let last = self.pending.len() - 1;
        &mut self.pending[last]
    }

    fn note_appended(&mut self, head: &RecordHead, size: usize) {
        self.last = Position { index: head.index, term: head.term };
        self.unapplied_bytes += size as u64;
    }

    /// Bytes of the valid records in memory behind `applied`.
    fn count_unapplied_bytes(&self) -> u64 {
        let held = self
            .held
            .iter()
            .map(|held| (held.frame.header.first, held.last(), held.frame.records()));
        let pending =
            self.pending.iter().map(|batch| (batch.first(), batch.last_valid(), batch.records()));
        let bytes_of = |(from, last, records): (Index, Index, &[u8])| {
            let start = position_of(records, from, self.applied.next().max(from));
            position_of(records, from, last.next()).saturating_sub(start) as u64
        };
        held.chain(pending).map(bytes_of).sum()
    }

    fn note_terms(&mut self, frame: &Frame) {
        let header = &frame.header;
        if header.count == 0 {
            return;
        }
        if header.first_term == header.last_term {
            self.image.note_term(header.first, header.first_term);
            return;
        }
        let mut rest = frame.records();
        while let Ok(record) = Record::read_verified(rest) {
            self.image.note_term(record.head.index, record.head.term);
            rest = rest.get(record.size()..).unwrap_or_default();
        }
    }

    fn term_before(&self, index: Index) -> Term {
        let previous = index.previous();
        let pending = self
            .records_of(previous)
            .and_then(|(from, _, records)| record_at(records, from, previous));
        match pending {
            Some(record) => record.head.term,
            None => self.image.term_at(previous).unwrap_or_default(),
        }
    }
}

/// Copies the records `first ..= last` at the start of `records` to `out`, as long as there are no
/// more than `bytes_max` in `out`, but at least one. Returns the last index copied.
fn copy_range(
    records: &[u8],
    first: Index,
    last: Index,
    bytes_max: u64,
    out: &mut Vec<u8>,
) -> Option<Index> {
    let mut rest = records;
    let mut size = 0;
    let mut next = first;
    while next <= last
        && let Ok(record) = Record::read_verified(rest)
        && (out.is_empty() && size == 0 || (out.len() + size + record.size()) as u64 <= bytes_max)
    {
        size += record.size();
        rest = rest.get(record.size()..).unwrap_or_default();
        next = next.next();
    }
    out.extend_from_slice(records.get(..size)?);
    (next > first).then(|| next.previous())
}

impl FrameRef {
    /// Copies what is wanted of the frame's verified `records` to `out`. Returns the last index
    /// copied.
    pub(crate) fn copy_records(
        &self,
        records: &[u8],
        wanted: Sendable,
        out: &mut Vec<u8>,
    ) -> Option<Index> {
        let position = position_of(records, self.first, wanted.first);
        let last = wanted.last.min(self.last());
        copy_range(records.get(position..)?, wanted.first, last, wanted.bytes_max, out)
    }
}

/// Byte position of `index` in records of which the first one has index `from`.
pub(crate) fn position_of(records: &[u8], from: Index, index: Index) -> usize {
    let mut position = 0;
    for _ in 0..index.since(from) {
        match records.get(position..).map(Record::read_verified) {
            Some(Ok(record)) => position += record.size(),
            _ => break,
        }
    }
    position
}

fn record_at(records: &[u8], from: Index, index: Index) -> Option<Record<'_>> {
    Record::read_verified(records.get(position_of(records, from, index)..)?).ok()
}
