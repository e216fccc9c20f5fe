//! Where a restart begins to read: what the snapshot has need not be read to go on behind it.
//!
//! The log is read from the newest segment on whose first entry the snapshot covers. The first frame
//! of a segment is made when all frames before it are durable, so an intact one proves that the chain
//! leads to it, and whatever is wrong with the end of the log is behind it. The segments before it are
//! read when a member needs them (`snapshot/read_back.rs`), or at a restart that has to do with an
//! older snapshot; damage in them is found then.

use std::collections::VecDeque;

use raft_core::Index;
use runtime::{DirectFile, OpenOptions, Shard};

use super::frame::{FRAME_HEADER, FrameHeader, Place, verify_records};
use super::image::UnreadSegment;
use super::segment::{BLOCK, SegmentHeader, segment_name};
use super::spares::SegmentPlan;

/// What is left out at first.
#[derive(Default)]
pub(crate) struct Start {
    /// Segments, the oldest ones, that are not read.
    pub(crate) skipped: usize,
    /// The first entry of the first segment that is read.
    pub(crate) first: Option<Index>,
    /// Those of the skipped ones that can be read back later.
    pub(crate) unread: VecDeque<UnreadSegment>,
}

/// Finds where to begin for a state machine that has everything up to `covered`. Whatever cannot be
/// read or is not what it should be is not skipped, so that recovery comes across it.
pub(crate) async fn find_start(
    shard: &Shard,
    plan: &SegmentPlan,
    numbers: &[u64],
    covered: Index,
) -> Start {
    let is_whole = numbers.is_sorted_by(|before, after| before + 1 == *after);
    if covered == Index::ZERO || !is_whole {
        return Start::default();
    }
    let mut start = Start::default();
    for (place, number) in numbers.iter().enumerate().rev() {
        if let Some(header) = first_frame(shard, plan, *number).await
            && begins_within(&header, covered)
            && is_intact(shard, plan, *number, &header).await
        {
            start.skipped = place;
            start.first = Some(header.first);
            start.unread =
                unread(shard, plan, numbers.get(..place).unwrap_or_default(), header).await;
            break;
        }
    }
    start
}

/// The segments `numbers` in front of one whose first frame is `next`, as far back as they are usable.
async fn unread(
    shard: &Shard,
    plan: &SegmentPlan,
    numbers: &[u64],
    mut next: FrameHeader,
) -> VecDeque<UnreadSegment> {
    let mut unread = VecDeque::new();
    for number in numbers.iter().rev() {
        let header = first_frame(shard, plan, *number).await;
        let Some(header) = header.filter(|header| begins_within(header, next.first.previous()))
        else {
            let (group, path) = (plan.identity.group.0, path(plan, *number));
            tracing::warn!(group, path, "an old log segment does not begin with entries");
            break;
        };
        let (first, next_link) = (header.first, (next.sequence, next.previous));
        unread.push_front(UnreadSegment { number: *number, first, next: next_link });
        next = header;
    }
    unread
}

/// Whether the log can be read from this first frame of a segment on.
fn begins_within(header: &FrameHeader, covered: Index) -> bool {
    let is_proof = header.durable_sequence + 1 == header.sequence;
    is_proof && !header.truncates && header.count > 0 && header.first <= covered
}

/// The header of a segment's first frame, if there is one.
async fn first_frame(shard: &Shard, plan: &SegmentPlan, number: u64) -> Option<FrameHeader> {
    let file = open(shard, plan, number).await?;
    let size = file.len();
    let blocks = file.read_at(0, 2 * BLOCK).await.ok();
    // Nothing was written.
    let _ = file.close().await;
    let (block, frame) = blocks.as_deref()?.split_at_checked(BLOCK)?;
    let segment = SegmentHeader::read(plan.identity, block).ok()?;
    if segment.number != number || segment.size != size {
        return None;
    }
    let place = Place { generation: segment.generation, offset: BLOCK as u64 };
    let (header, _) = FrameHeader::read(plan.identity.seed(), place, frame).ok()?;
    Some(header)
}

async fn is_intact(shard: &Shard, plan: &SegmentPlan, number: u64, header: &FrameHeader) -> bool {
    let Some(file) = open(shard, plan, number).await else { return false };
    let frame = match BLOCK as u64 + header.size() as u64 <= file.len() {
        true => file.read_at(BLOCK as u64, header.size()).await.ok(),
        false => None,
    };
    // Nothing was written.
    let _ = file.close().await;
    let records = FRAME_HEADER..FRAME_HEADER + header.length as usize;
    let records = frame.as_deref().and_then(|frame| frame.get(records));
    records.is_some_and(|records| verify_records(plan.identity.seed(), header, records).is_ok())
}

async fn open(shard: &Shard, plan: &SegmentPlan, number: u64) -> Option<DirectFile> {
    let options = OpenOptions { write: false, create: false, dsync: false };
    shard.storage().open(&path(plan, number), options).await.ok()
}

fn path(plan: &SegmentPlan, number: u64) -> String {
    format!("{}/{}", plan.dir, segment_name(number))
}
