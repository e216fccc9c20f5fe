//! A frame in the making, and the buffers it is made in.

use runtime::{Buffer, Shard, SharedBuffer};

use raft_core::entry::{RecordHead, RecordSeed, record_size, write_record};
use raft_core::{Index, Position, Term};

use super::frame::{Digest, FRAME_HEADER, FrameHeader};

/// Records that wait for the next write, in the memory that will be written.
pub(crate) struct Batch {
    buffer: Buffer,
    /// Bytes used, the place of the header included.
    filled: usize,
    truncates: bool,
    first: Index,
    count: u32,
    /// Records that a later truncation has left valid.
    valid: u32,
    first_term: Term,
    last_term: Term,
    digest: Digest,
}

/// Where in the log a batch is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) generation: u64,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    pub(crate) durable_sequence: u64,
    pub(crate) previous: u32,
    pub(crate) commit: Index,
}

/// A finished frame in memory.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) buffer: SharedBuffer,
    pub(crate) header: FrameHeader,
    /// Checksum of the header.
    pub(crate) checksum: u32,
}

impl Batch {
    /// An empty batch whose first record will have index `first`. With `truncates` the entries from
    /// there on that are in the log already become void.
    pub(crate) fn new(buffer: Buffer, first: Index, truncates: bool) -> Batch {
        assert!(buffer.len() >= FRAME_HEADER, "a batch has room for its header");
        Batch {
            buffer,
            filled: FRAME_HEADER,
            truncates,
            first,
            count: 0,
            valid: 0,
            first_term: Term(0),
            last_term: Term(0),
            digest: Digest::EMPTY,
        }
    }

    /// Bytes of records that still fit.
    pub(crate) fn room(&self) -> usize {
        self.buffer.len() - self.filled
    }

    /// Bytes of records in the batch.
    pub(crate) fn length(&self) -> usize {
        self.filled - FRAME_HEADER
    }

    /// Bytes the batch will take on disk.
    pub(crate) fn size(&self) -> usize {
        super::frame::frame_size(self.length())
    }

    /// Index that the next record must have.
    pub(crate) fn next(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }

    pub(crate) fn first(&self) -> Index {
        self.first
    }

    /// Index of the last record that is still valid; the one before `first` if there is none.
    pub(crate) fn last_valid(&self) -> Index {
        self.first.plus(u64::from(self.valid)).previous()
    }

    /// Voids the records from `first` on. Nothing can be appended any more.
    pub(crate) fn cut(&mut self, first: Index) {
        self.valid = self.valid.min(first.since(self.first) as u32);
    }

    pub(crate) fn records(&self) -> &[u8] {
        self.buffer.get(FRAME_HEADER..self.filled).unwrap_or_default()
    }

    /// Makes a record of `parts` behind the others; there must be room for it.
    pub(crate) fn append(&mut self, seed: RecordSeed, head: &RecordHead, parts: [&[u8]; 2]) {
        let size = record_size(parts[0].len() + parts[1].len());
        let place = &mut self.buffer[self.filled..];
        let checksum = write_record(place, seed, head, parts);
        self.count_record(head, checksum, size);
    }

    /// Copies a verified record as it came from the leader; there must be room for it.
    pub(crate) fn append_verified(&mut self, head: &RecordHead, checksum: u32, record: &[u8]) {
        self.buffer[self.filled..self.filled + record.len()].copy_from_slice(record);
        self.count_record(head, checksum, record.len());
    }

    fn count_record(&mut self, head: &RecordHead, checksum: u32, size: usize) {
        assert_eq!(head.index, self.next(), "records of a batch follow each other");
        assert_eq!(self.valid, self.count, "nothing is appended to a batch that was cut");
        if self.count == 0 {
            self.first_term = head.term;
        }
        self.last_term = head.term;
        self.digest = self.digest.with(checksum);
        self.count += 1;
        self.valid += 1;
        self.filled += size;
    }

    /// Ends the batch: header in front, zeros behind, nothing changes any more.
    pub(crate) fn seal(mut self, seed: RecordSeed, link: Link) -> Frame {
        let header = FrameHeader {
            truncates: self.truncates,
            length: self.length() as u32,
            generation: link.generation,
            offset: link.offset,
            sequence: link.sequence,
            durable_sequence: link.durable_sequence,
            first: self.first,
            count: self.count,
            first_term: self.first_term,
            last_term: self.last_term,
            previous: link.previous,
            commit: link.commit,
            digest: self.digest,
        };
        let checksum = header.write(seed, &mut self.buffer);
        let size = header.size();
        self.buffer[self.filled..size].fill(0);
        Frame { buffer: self.buffer.freeze(), header, checksum }
    }
}

impl Frame {
    /// The records, cut-off ones included.
    pub(crate) fn records(&self) -> &[u8] {
        let end = FRAME_HEADER + self.header.length as usize;
        self.buffer.get(FRAME_HEADER..end).unwrap_or_default()
    }

    pub(crate) fn size(&self) -> usize {
        self.header.size()
    }

    /// The last record; `None` when the frame has none.
    pub(crate) fn last(&self) -> Option<Position> {
        let position = Position { index: self.header.last(), term: self.header.last_term };
        (self.header.count > 0).then_some(position)
    }
}

/// Two sizes of buffers: one for commits of single entries, one for the full stream.
pub(crate) struct BatchBuffers {
    shard: Shard,
    small: usize,
    large: usize,
    free_small: Vec<Buffer>,
    free_large: Vec<Buffer>,
    /// Whether the last batches were big enough for the large size.
    prefers_large: bool,
}

/// Free buffers kept of each size: one in flight, one being filled, one being applied, one spare.
const KEPT: usize = 4;
/// Size of the small buffers; the large ones' is an option.
pub(crate) const SMALL_BATCH: usize = 64 << 10;

impl BatchBuffers {
    pub(crate) fn new(shard: &Shard, large: usize) -> BatchBuffers {
        BatchBuffers {
            shard: shard.clone(),
            small: SMALL_BATCH.min(large),
            large,
            free_small: Vec::new(),
            free_large: Vec::new(),
            prefers_large: false,
        }
    }

    /// A buffer with room for a record of this size, and for many more if that is the load.
    pub(crate) fn take(&mut self, record: usize) -> Buffer {
        let wanted = super::frame::frame_size(record);
        if wanted <= self.small && !self.prefers_large {
            return self.free_small.pop().unwrap_or_else(|| self.shard.buffer(self.small));
        }
        if wanted <= self.large {
            return self.free_large.pop().unwrap_or_else(|| self.shard.buffer(self.large));
        }
        self.shard.buffer(wanted)
    }

    /// Learns from a batch that is about to be written.
    pub(crate) fn note_batch(&mut self, length: usize, others_wait: bool) {
        self.prefers_large = others_wait || length > self.small / 2;
    }

    /// Takes a frame's memory back, unless somebody still reads it.
    pub(crate) fn give_back(&mut self, buffer: SharedBuffer) {
        let Ok(buffer) = buffer.try_reuse() else { return };
        let free = match buffer.len() {
            len if len == self.small => &mut self.free_small,
            len if len == self.large => &mut self.free_large,
            _ => return,
        };
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}
