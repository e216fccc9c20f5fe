//! Segments made ready ahead of need: full of zeros or recycled, their headers durable.
//!
//! A write into a fresh or sparse file makes the file system change its own records, which costs
//! more than the write itself; a write over blocks that were written before does not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use runtime::{Condition, DirectFile, OpenOptions, Shard, SharedBuffer};

use crate::error::{GroupError, during};

use super::segment::{BLOCK, Identity, SegmentHeader, segment_name};

/// How segments are made.
#[derive(Clone, Debug)]
pub(crate) struct SegmentPlan {
    pub(crate) dir: String,
    pub(crate) identity: Identity,
    /// Bytes of a segment file.
    pub(crate) size: u64,
    /// Segments kept ready.
    pub(crate) spares: usize,
    /// Bytes of the longest frame.
    pub(crate) frame_bytes_max: u64,
    /// Whether a write is durable when it ends.
    pub(crate) is_synced: bool,
}

/// A segment that can be written.
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: DirectFile,
}

/// The segments that are ready, shared by the fiber that makes them and the one that takes them.
pub(crate) struct Spares {
    shard: Shard,
    plan: SegmentPlan,
    ready: RefCell<VecDeque<Segment>>,
    /// Files that hold no entry any more and can be used again, oldest first: taking them in this
    /// order leaves no gap in the numbers.
    recyclable: RefCell<VecDeque<u64>>,
    /// The last attempt to rename or remove the oldest of them has failed.
    cannot_take_oldest: Cell<bool>,
    next_number: Cell<u64>,
    /// Why the last attempt to make one failed; cleared by the next success.
    problem: RefCell<Option<io::Error>>,
    changed: Condition,
    stopped: Cell<bool>,
}

const CHUNK: usize = 1 << 20;
/// Pause between two chunks for each segment that is ready: the more, the less hurry.
const PAUSE: Duration = Duration::from_millis(1);
const RETRY: Duration = Duration::from_secs(1);

impl Spares {
    pub(crate) fn new(
        shard: &Shard,
        plan: SegmentPlan,
        ready: VecDeque<Segment>,
        next_number: u64,
    ) -> Rc<Spares> {
        Rc::new(Spares {
            shard: shard.clone(),
            plan,
            ready: RefCell::new(ready),
            recyclable: RefCell::default(),
            cannot_take_oldest: Cell::new(false),
            next_number: Cell::new(next_number),
            problem: RefCell::default(),
            changed: Condition::new(),
            stopped: Cell::new(false),
        })
    }

    /// How they are made.
    pub(crate) fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    /// Number of segments ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.borrow().len()
    }

    /// Whether the last attempt to make a segment failed.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.problem.borrow().is_some()
    }

    /// The next segment, if one is ready.
    pub(crate) fn take(&self) -> Option<Segment> {
        let segment = self.ready.borrow_mut().pop_front();
        self.changed.notify_all();
        segment
    }

    /// Waits until a segment became ready, could not be made, or was taken.
    pub(crate) async fn changed(&self) {
        self.changed.wait().await;
    }

    /// Why the last attempt to make a segment failed.
    pub(crate) fn problem(&self) -> Option<GroupError> {
        let problem = self.problem.borrow();
        problem.as_ref().map(|error| GroupError::Io {
            action: "prepare a log segment in",
            path: self.plan.dir.clone(),
            kind: error.kind(),
            message: error.to_string(),
        })
    }

    /// A segment's file may be used again.
    pub(crate) fn recycle(&self, number: u64) {
        self.recyclable.borrow_mut().push_back(number);
        self.changed.notify_all();
    }

    /// Ends [`Spares::run`] and every [`Spares::take`].
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        self.changed.notify_all();
    }

    /// Closes the segments that were not used.
    pub(crate) async fn close(&self) -> Result<(), GroupError> {
        let ready = std::mem::take(&mut *self.ready.borrow_mut());
        for segment in ready {
            segment.file.close().await.map_err(during("close a segment in", &self.plan.dir))?;
        }
        Ok(())
    }

    /// Keeps segments ready until stopped. A failure is remembered and tried again with a new file.
    pub(crate) async fn run(&self) {
        while !self.stopped.get() {
            if self.has_too_many() {
                self.remove_oldest().await;
                continue;
            }
            if self.ready() >= self.plan.spares {
                self.changed.wait().await;
                continue;
            }
            match self.make().await {
                Ok(Some(segment)) => {
                    self.ready.borrow_mut().push_back(segment);
                    self.problem.borrow_mut().take();
                    self.changed.notify_all();
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(dir = self.plan.dir, %error, "cannot prepare a log segment");
                    *self.problem.borrow_mut() = Some(error);
                    self.changed.notify_all();
                    self.shard.clock().timeout(RETRY, self.changed.wait()).await;
                }
            }
        }
    }

    /// Whether there are more files to be used again than segments in use. What was dropped at once
    /// is mostly used again until as much is dropped the next time; beyond that it is only in the way.
    fn has_too_many(&self) -> bool {
        let recyclable = self.recyclable.borrow();
        let Some(newest) = recyclable.back() else { return false };
        let behind = (self.next_number.get() - newest - 1) as usize;
        let in_use = behind.saturating_sub(self.ready());
        recyclable.len() > in_use.max(self.plan.spares) && !self.cannot_take_oldest.get()
    }

    /// Removes the oldest file that nobody needs. One that cannot be removed stays the oldest: what is
    /// behind it must not go before it.
    async fn remove_oldest(&self) {
        let Some(oldest) = self.recyclable.borrow().front().copied() else { return };
        let path = format!("{}/{}", self.plan.dir, segment_name(oldest));
        let storage = self.shard.storage();
        let removed = storage.remove_file(&path).await;
        if removed.is_ok() {
            self.recyclable.borrow_mut().pop_front();
        }
        let synced = match removed {
            // Before the next one goes: a power failure must not leave a gap.
            Ok(()) => storage.sync_dir(&self.plan.dir).await,
            Err(error) => Err(error),
        };
        if let Err(error) = synced {
            tracing::warn!(path, %error, "cannot remove an old log segment");
            self.cannot_take_oldest.set(true);
        }
    }

    /// Makes the segment with the next number; `None` when stopped meanwhile.
    async fn make(&self) -> io::Result<Option<Segment>> {
        let storage = self.shard.storage();
        let number = self.next_number.get();
        let path = format!("{}/{}", self.plan.dir, segment_name(number));
        let unfinished = format!("{path}.new");
        // After a failure once with a new file.
        let cannot_reuse = self.cannot_take_oldest.take();
        let old = self.recyclable.borrow().front().copied().filter(|_| !cannot_reuse);
        let file = match old {
            Some(old) => self.reuse(old, &unfinished).await?,
            None => match self.fill(&unfinished).await? {
                Some(file) => file,
                None => return Ok(None),
            },
        };
        let header = SegmentHeader {
            number,
            generation: self.shard.random().next_u64(),
            size: self.plan.size,
        };
        let mut block = self.shard.buffer(BLOCK);
        header.write(self.plan.identity, &mut block);
        file.write_at(&block.freeze(), 0..BLOCK, 0).await?;
        file.sync_all().await?;
        file.close().await?;
        storage.rename(&unfinished, &path).await?;
        storage.sync_dir(&self.plan.dir).await?;
        let options = OpenOptions { write: true, create: false, dsync: self.plan.is_synced };
        let file = storage.open(&path, options).await?;
        // Not before: after an error the same number is made again.
        self.next_number.set(number + 1);
        Ok(Some(Segment { header, file }))
    }

    /// Takes the name from a file that is not needed any more, before its header changes.
    async fn reuse(&self, old: u64, unfinished: &str) -> io::Result<DirectFile> {
        let storage = self.shard.storage();
        let old = format!("{}/{}", self.plan.dir, segment_name(old));
        self.cannot_take_oldest.set(true);
        storage.rename(&old, unfinished).await?;
        self.recyclable.borrow_mut().pop_front();
        storage.sync_dir(&self.plan.dir).await?;
        self.cannot_take_oldest.set(false);
        let options = OpenOptions { write: true, create: false, dsync: false };
        storage.open(unfinished, options).await
    }

    async fn fill(&self, unfinished: &str) -> io::Result<Option<DirectFile>> {
        let storage = self.shard.storage();
        if storage.exists(unfinished).await? {
            storage.remove_file(unfinished).await?;
        }
        let options = OpenOptions { write: true, create: true, dsync: false };
        let file = storage.open(unfinished, options).await?;
        let filled = self.fill_with_zeros(&file).await;
        if !matches!(filled, Ok(true)) {
            // The first error is the one to tell.
            let _ = file.close().await;
            let _ = storage.remove_file(unfinished).await;
            return filled.map(|_| None);
        }
        Ok(Some(file))
    }

    async fn fill_with_zeros(&self, file: &DirectFile) -> io::Result<bool> {
        let zeros = zeros(&self.shard, self.plan.size.min(CHUNK as u64) as usize);
        let mut offset = 0;
        while offset < self.plan.size {
            if self.stopped.get() {
                return Ok(false);
            }
            let length = (self.plan.size - offset).min(CHUNK as u64);
            file.write_at(&zeros, 0..length as usize, offset).await?;
            offset += length;
            if self.ready() > 0 {
                self.shard.clock().sleep(PAUSE * self.ready() as u32).await;
            }
        }
        Ok(true)
    }
}

fn zeros(shard: &Shard, length: usize) -> SharedBuffer {
    let mut zeros = shard.buffer(length);
    zeros.fill(0);
    zeros.freeze()
}
