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
    /// Where a later truncation has left off: nothing from here on is valid, also when this lies
    /// before the first record.
    valid_end: Index,
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
            valid_end: first,
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

    /// Index of the last entry of the log up to here that is still valid: none of this batch's, when
    /// it was cut at its first record or further back.
    pub(crate) fn last_valid(&self) -> Index {
        self.valid_end.previous()
    }

    /// Voids the records from `first` on. Nothing can be appended any more.
    pub(crate) fn cut(&mut self, first: Index) {
        self.valid_end = self.valid_end.min(first);
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
        assert_eq!(self.valid_end, self.next(), "nothing is appended to a batch that was cut");
        if self.count == 0 {
            self.first_term = head.term;
        }
        self.last_term = head.term;
        self.digest = self.digest.with(checksum);
        self.count += 1;
        self.valid_end = self.next();
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

#[cfg(test)]
mod tests {
    use raft_core::{EntryKind, GroupId};
    use runtime::sim::{Ending, NodeKey, World, WorldOptions};

    use super::*;

    /// Otherwise the batch's frame, sealed when a snapshot has moved the commit ahead, says that
    /// entries are committed which the next frame voids: recovery takes that for damage.
    #[test]
    fn nothing_behind_a_cut_in_front_of_a_batch_is_valid() {
        let world = World::new(WorldOptions::new(1));
        let run = world.start(NodeKey(1), 1, |shard| async move {
            let seed = RecordSeed::new(7, GroupId(7));
            let mut batch = Batch::new(shard.buffer(SMALL_BATCH), Index(20), false);
            let (term, time_ms, kind) = (Term(1), 7, EntryKind::Command);
            for index in (20..24).map(Index) {
                batch.append(seed, &RecordHead { index, term, time_ms, kind }, [b"a", b"b"]);
            }
            assert_eq!(batch.last_valid(), Index(23));
            for (cut, last) in [(22, 21), (18, 17), (19, 17)] {
                batch.cut(Index(cut));
                assert_eq!(batch.last_valid(), Index(last));
            }
            Ok::<(), runtime::BootError>(())
        });
        let limit = std::time::Duration::from_secs(1);
        assert!(world.run_until(|_| run.has_ended(), limit).unwrap());
        assert!(matches!(run.take_ending(), Some(Ending::Good)));
    }
}
