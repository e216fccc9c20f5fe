//! Reads the log back at start, several large reads ahead of the checks.

use std::collections::VecDeque;
use std::io;

use planted::{Bug, is_on};
use raft_core::Index;
use runtime::{Buffer, Fiber, FiberGroup, OpenOptions, Shard};

use super::frame::{FRAME_HEADER, FrameHeader, Place, verify_records};
use super::image::{LogImage, UnreadSegment};
use super::recovery::{Damage, DamageKind, Fed, Recovered, Recovery};
use super::segment::{BLOCK, SegmentHeader, segment_name, segment_number};
use super::spares::{Segment, SegmentPlan};
use super::start::find_start;
use crate::error::{GroupError, during};

/// Bytes of one read, and how many of them are under way.
const READ: usize = 512 << 10;
const READS: usize = 8;
/// Room for the beginning of a frame; grows for larger ones.
const CARRY: usize = 64 << 10;

/// A log that can be written again.
pub(crate) struct Replayed {
    pub(crate) recovered: Recovered,
    /// The segment in which the next frame may begin, and those after it; none for a new log.
    pub(crate) segments: VecDeque<Segment>,
    /// Number of the oldest segment, and that of the next one to be made.
    pub(crate) numbers: (u64, u64),
}

/// Takes a frame: the state of recovery with it, its header and its records.
pub(crate) type OnFrame<'a> = &'a mut dyn FnMut(&Recovery, &FrameHeader, &[u8]);

/// Reads the segments in order, from the one that has the entry behind `covered` on, and gives every
/// intact frame to `on_frame`. Changes nothing on disk but the names of segments that were never
/// finished. What it has read is durable.
pub(crate) async fn replay(
    shard: &Shard,
    plan: &SegmentPlan,
    (durable_mark, covered): (u64, Index),
    on_frame: OnFrame<'_>,
) -> Result<Replayed, GroupError> {
    let numbers = segment_numbers(shard, plan).await?;
    let start = find_start(shard, plan, &numbers, covered).await;
    let options = OpenOptions { write: true, create: false, dsync: plan.is_synced };
    let needed = numbers.get(start.skipped..).unwrap_or_default();
    let mut replay = Replay::new(shard, plan, needed, options, durable_mark);
    replay.run(on_frame).await?;
    let Replay { recovery, mut segments, .. } = replay;
    let mut recovered = recovery.finish().map_err(|damage| damaged(plan, damage))?;
    if recovered.image.first() == start.first {
        recovered.image.note_unread(start.unread);
    }
    while let Some(segment) =
        segments.pop_front_if(|segment| segment.header.number < recovered.end.0)
    {
        close(plan, segment).await?;
    }
    if let Some(last) = segments.front()
        && !is_on(Bug::RestartNotSynced)
    {
        make_durable(plan, last, &recovered).await?;
    }
    let first = numbers.first().copied().unwrap_or(1);
    let next = numbers.last().copied().unwrap_or(0) + 1;
    Ok(Replayed { recovered, segments, numbers: (first, next) })
}

/// Reads a segment that [`replay`] has left out, and returns what is in it.
///
/// # Errors
/// When it cannot be read, or does not lead to the segment behind it without a gap.
pub(crate) async fn read_back(
    shard: &Shard,
    plan: &SegmentPlan,
    unread: UnreadSegment,
) -> Result<LogImage, GroupError> {
    let numbers = [unread.number];
    let options = OpenOptions { write: false, create: false, dsync: false };
    let mut replay = Replay::new(shard, plan, &numbers, options, 0);
    let result = replay.run(&mut |_, _, _| {}).await;
    let Replay { recovery, segments, reads, .. } = replay;
    for read in reads {
        // After an error nobody wants to know what it brought.
        let _ = read.bytes.await;
    }
    for segment in segments {
        close(plan, segment).await?;
    }
    result?;
    let recovered = recovery.finish().map_err(|damage| damaged(plan, damage))?;
    let found = (recovered.next_sequence, recovered.previous);
    if found != unread.next || recovered.image.first() != Some(unread.first) {
        let (segment, offset) = recovered.end;
        let index = Some(recovered.image.last().index.next());
        return Err(damaged(plan, Damage { segment, offset, index, kind: DamageKind::Frame }));
    }
    Ok(recovered.image)
}

/// Writes what a power failure may still take away.
///
/// The writes of the last frames may have been under way when the process before was killed, or have
/// failed: seen here, and yet not safe. A sync is not enough: after one that failed the disk may have
/// given up the data and say nothing of it to the next one. All of these frames are in this segment,
/// and perhaps its header as well.
async fn make_durable(
    plan: &SegmentPlan,
    last: &Segment,
    recovered: &Recovered,
) -> Result<(), GroupError> {
    let path = format!("{}/{}", plan.dir, segment_name(last.header.number));
    let from = match recovered.unproven_from {
        first if first == BLOCK as u64 => 0,
        first => first,
    };
    let (seed, generation) = (plan.identity.seed(), last.header.generation);
    let length = (recovered.end.1 - from) as usize;
    if length > 0 {
        let bytes = last.file.read_at(from, length).await.map_err(during("read", &path))?;
        // What was verified before is read once more: a read can go wrong.
        let mut offset = from.max(BLOCK as u64);
        while let Some(rest) = bytes.get((offset - from) as usize..).filter(|rest| !rest.is_empty())
        {
            let header = FrameHeader::read(seed, Place { generation, offset }, rest).ok();
            let intact = header.map(|(header, _)| header).filter(|header| {
                let records = FRAME_HEADER..FRAME_HEADER + header.length as usize;
                rest.get(records)
                    .is_some_and(|records| verify_records(seed, header, records).is_ok())
            });
            let Some(header) = intact else {
                let what = "a frame that was intact before is not any more".to_owned();
                return Err(GroupError::Damaged { path, offset, index: None, what });
            };
            offset += header.size() as u64;
        }
        let written = last.file.write_at(&bytes.freeze(), 0..length, from).await;
        written.map_err(during("write", &path))?;
    }
    last.file.sync_data().await.map_err(during("sync", &path))
}

struct Replay<'a> {
    shard: &'a Shard,
    plan: &'a SegmentPlan,
    fibers: FiberGroup,
    numbers: &'a [u64],
    options: OpenOptions,
    /// The segment whose bytes are being fed.
    current: Option<u64>,
    /// The next read: which of the numbers, at which offset.
    planned: (usize, u64),
    reads: VecDeque<Read>,
    segments: VecDeque<Segment>,
    recovery: Recovery,
    carry: Carry,
}

/// The beginning of a frame that the next read ends. Aligned as the reads are: a copy to an address
/// a few bytes further into its page takes several times as long.
struct Carry {
    buffer: Buffer,
    start: usize,
    end: usize,
}

struct Read {
    number: u64,
    offset: u64,
    file_size: u64,
    bytes: Fiber<io::Result<Buffer>>,
}

impl<'a> Replay<'a> {
    fn new(
        shard: &'a Shard,
        plan: &'a SegmentPlan,
        numbers: &'a [u64],
        options: OpenOptions,
        durable_mark: u64,
    ) -> Replay<'a> {
        Replay {
            shard,
            plan,
            fibers: FiberGroup::new(shard, "replay"),
            numbers,
            options,
            current: None,
            planned: (0, 0),
            reads: VecDeque::new(),
            segments: VecDeque::new(),
            recovery: Recovery::new(plan.identity, durable_mark, plan.frame_bytes_max),
            carry: Carry { buffer: shard.buffer(CARRY), start: 0, end: 0 },
        }
    }

    async fn run(&mut self, on_frame: OnFrame<'_>) -> Result<(), GroupError> {
        loop {
            self.read_ahead().await?;
            let Some(read) = self.reads.pop_front() else { return Ok(()) };
            let path = self.path(read.number);
            let bytes = read.bytes.await.ok_or(GroupError::Stopped)?;
            let bytes = bytes.map_err(during("read", &path))?;
            let behind_header = if read.offset == 0 {
                self.carry.clear();
                self.current = Some(read.number);
                self.begin_segment(read.number, read.file_size, &bytes)?;
                bytes.get(BLOCK..).unwrap_or_default()
            } else {
                &bytes[..]
            };
            self.feed(behind_header, on_frame)?;
            self.shard.pass().await;
        }
    }

    /// Keeps the reads going, over the ends of the files.
    async fn read_ahead(&mut self) -> Result<(), GroupError> {
        while self.reads.len() < READS
            && let Some(&number) = self.numbers.get(self.planned.0)
        {
            let path = self.path(number);
            if self.planned.1 == 0 {
                let file = self.shard.storage().open(&path, self.options).await;
                let file = file.map_err(during("open", &path))?;
                // Replaced by what the file says as soon as it is read.
                let header = SegmentHeader { number, generation: 0, size: file.len() };
                self.segments.push_back(Segment { header, file });
            }
            let Some(segment) = self.segments.back() else { return Ok(()) };
            let (file, offset) = (segment.file.clone(), self.planned.1);
            let file_size = file.len();
            self.planned.1 += READ as u64;
            if self.planned.1 >= file_size {
                self.planned = (self.planned.0 + 1, 0);
            }
            let bytes = self.fibers.spawn("read", async move { file.read_at(offset, READ).await });
            self.reads.push_back(Read { number, offset, file_size, bytes });
        }
        Ok(())
    }

    fn begin_segment(&mut self, number: u64, size: u64, bytes: &[u8]) -> Result<(), GroupError> {
        let block = bytes.get(..BLOCK).unwrap_or(bytes);
        let header = self
            .recovery
            .begin_segment(number, size, block)
            .map_err(|damage| damaged(self.plan, damage))?;
        if let Some(segment) =
            self.segments.iter_mut().find(|segment| segment.header.number == number)
        {
            segment.header = header;
        }
        Ok(())
    }

    /// Takes what one read brought. Only a frame that lies across two reads is copied.
    fn feed(&mut self, bytes: &[u8], on_frame: OnFrame<'_>) -> Result<(), GroupError> {
        let mut rest = bytes;
        loop {
            let carried = self.carry.bytes();
            let from_carry = !carried.is_empty();
            let source = if from_carry { carried } else { rest };
            let fed = self.recovery.feed(source).map_err(|damage| damaged(self.plan, damage))?;
            let consumed = match fed {
                Fed::Frame { header, records, size } => {
                    on_frame(&self.recovery, &header, records);
                    size
                }
                Fed::Nothing(size) => size,
                Fed::Rest => {
                    self.skip_segment();
                    return Ok(());
                }
                Fed::More(wanted) => {
                    rest = self.carry.fill(self.shard, wanted, rest);
                    if self.carry.bytes().len() < wanted {
                        return Ok(());
                    }
                    continue;
                }
            };
            if from_carry {
                self.carry.consume(consumed);
            } else {
                rest = rest.get(consumed..).unwrap_or_default();
            }
        }
    }

    /// Forgets the reads of the current segment.
    fn skip_segment(&mut self) {
        let Some(current) = self.current else { return };
        self.carry.clear();
        self.reads.retain(|read| read.number != current);
        if self.numbers.get(self.planned.0) == Some(&current) {
            self.planned = (self.planned.0 + 1, 0);
        }
    }

    fn path(&self, number: u64) -> String {
        format!("{}/{}", self.plan.dir, segment_name(number))
    }
}

impl Carry {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn consume(&mut self, length: usize) {
        self.start += length;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Takes bytes from `more` until there are `wanted`; returns the rest.
    fn fill<'a>(&mut self, shard: &Shard, wanted: usize, more: &'a [u8]) -> &'a [u8] {
        if self.start + wanted > self.buffer.len() {
            let mut larger = shard.buffer(wanted.max(CARRY).next_multiple_of(BLOCK));
            let carried = self.bytes();
            larger[..carried.len()].copy_from_slice(carried);
            (self.start, self.end) = (0, carried.len());
            self.buffer = larger;
        }
        let missing = wanted.saturating_sub(self.end - self.start).min(more.len());
        let (taken, rest) = more.split_at(missing);
        self.buffer[self.end..self.end + taken.len()].copy_from_slice(taken);
        self.end += taken.len();
        rest
    }
}

/// Numbers of the segments, rising. Files that never got their names are removed.
async fn segment_numbers(shard: &Shard, plan: &SegmentPlan) -> Result<Vec<u64>, GroupError> {
    let storage = shard.storage();
    let names = storage.list(&plan.dir).await.map_err(during("list", &plan.dir))?;
    let mut numbers = Vec::new();
    for name in names {
        if let Some(number) = segment_number(&name) {
            numbers.push(number);
        } else if name.strip_suffix(".new").and_then(segment_number).is_some() {
            let path = format!("{}/{name}", plan.dir);
            storage.remove_file(&path).await.map_err(during("remove", &path))?;
        }
    }
    Ok(numbers)
}

async fn close(plan: &SegmentPlan, segment: Segment) -> Result<(), GroupError> {
    let path = format!("{}/{}", plan.dir, segment_name(segment.header.number));
    segment.file.close().await.map_err(during("close", &path))
}

fn damaged(plan: &SegmentPlan, damage: Damage) -> GroupError {
    GroupError::Damaged {
        path: format!("{}/{}", plan.dir, segment_name(damage.segment)),
        offset: damage.offset,
        index: damage.index,
        what: damage.kind.to_string(),
    }
}
