//! The fiber that saves snapshots, and drops the log that is not needed any more.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use raft_core::{Index, Position};
use runtime::{Moment, OneReceiver, OneSender, Signal, oneshot, race};

use super::chunk::CONTENT;
use super::header::SnapshotHeader;
use super::receiving::Receiving;
use super::sending::Sending;
use super::status::StoredSnapshot;
use super::store::SnapshotStore;
use super::writer::SnapshotWriter;
use crate::error::GroupError;
use crate::execute::{Life, Shared};
use crate::ports::{SnapshotPiece, StateMachine};

/// What the fibers of a group share about its snapshots.
pub(crate) struct Snapshots {
    pub(crate) store: SnapshotStore,
    /// There may be something to do.
    pub(crate) work: Signal,
    /// Bytes of log that were written since the newest snapshot was begun.
    pub(crate) log_bytes: Cell<u64>,
    pub(super) is_saving: Cell<bool>,
    pub(crate) sending: Sending,
    pub(crate) receiving: Receiving,
    /// A file is not pinned any more: there may be one to remove.
    is_unpinned: Cell<bool>,
    /// The state is about to be replaced: nothing is saved.
    pub(super) is_replaced: Cell<bool>,
    pub(super) problem: RefCell<Option<String>>,
    requests: RefCell<Vec<OneSender<Result<StoredSnapshot, SaveFailed>>>>,
    /// When to drop the log, and up to where; in order of both.
    drops: RefCell<VecDeque<(Moment, Index)>>,
    /// After a failure nothing is saved before this time unless somebody asks for it.
    retry_at: Cell<Moment>,
    /// When the one that time asks for is due.
    due: Cell<Moment>,
}

/// Why there is no snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SaveFailed {
    /// The disk, or what was on it. Nothing else suffers; it is tried again.
    Failed(GroupError),
    /// The state changes faster than it can be saved.
    Overrun,
    /// The group ends, or its state is being replaced by the leader's.
    Stopped,
}

impl std::fmt::Display for SaveFailed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SaveFailed::Failed(error) => error.fmt(formatter),
            SaveFailed::Overrun => formatter.write_str(
                "the state changes faster than it can be saved; raise snapshot.kept_bytes_max or \
                 snapshot.save_bytes_per_second",
            ),
            SaveFailed::Stopped => formatter.write_str("the group is stopping"),
        }
    }
}

/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(30);
/// Time is looked at again after this, whatever it is waited for.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
/// Bytes that the state machine is asked for at once: some ten microseconds of work.
const PIECE: usize = 32 << 10;

impl Snapshots {
    pub(crate) fn new(store: SnapshotStore, log_bytes: u64, due: Moment) -> Snapshots {
        Snapshots {
            store,
            work: Signal::new(),
            log_bytes: Cell::new(log_bytes),
            is_saving: Cell::new(false),
            sending: Sending::default(),
            receiving: Receiving::default(),
            is_unpinned: Cell::new(false),
            is_replaced: Cell::new(false),
            problem: RefCell::default(),
            requests: RefCell::default(),
            drops: RefCell::default(),
            retry_at: Cell::new(Moment::ZERO),
            due: Cell::new(due),
        }
    }

    /// Asks for a snapshot of all that is applied now.
    pub(crate) fn request(&self) -> OneReceiver<Result<StoredSnapshot, SaveFailed>> {
        let (sender, receiver) = oneshot();
        self.requests.borrow_mut().push(sender);
        self.work.set();
        receiver
    }

    /// A transfer does not need its file any more.
    pub(super) fn unpin(&self, position: Position) {
        self.store.unpin(position);
        self.is_unpinned.set(true);
        self.work.set();
    }

    fn answer(
        requests: Vec<OneSender<Result<StoredSnapshot, SaveFailed>>>,
        result: &Result<StoredSnapshot, SaveFailed>,
    ) {
        for request in requests {
            // Whoever has asked may not wait any more.
            let _ = request.send(result.clone());
        }
    }
}

/// Saves until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    let snapshots = &group.snapshots;
    group.plan_drop();
    while !group.has_ended() {
        group.drop_log();
        if snapshots.is_unpinned.take()
            && let Err(error) = snapshots.store.remove_old().await
        {
            let id = group.options.identity.group.0;
            tracing::warn!(group = id, %error, "cannot remove an old snapshot");
        }
        if group.wants_snapshot() {
            let requests = std::mem::take(&mut *snapshots.requests.borrow_mut());
            let result = group.save().await;
            Snapshots::answer(requests, &result);
        } else {
            let clock = group.shard.clock();
            let wake = group.next_wake();
            let _ = race(snapshots.work.wait(), clock.sleep_until(wake)).await;
        }
    }
    let requests = std::mem::take(&mut *snapshots.requests.borrow_mut());
    Snapshots::answer(requests, &Err(SaveFailed::Stopped));
}

impl<M: StateMachine> Shared<M> {
    /// Whether one should be saved now.
    fn wants_snapshot(&self) -> bool {
        let (snapshots, now) = (&self.snapshots, self.shard.clock().now());
        if snapshots.is_replaced.get() {
            return false;
        }
        if !snapshots.requests.borrow().is_empty() {
            return true;
        }
        let is_running = *self.life.borrow() == Life::Running;
        if !is_running || now < snapshots.retry_at.get() {
            return false;
        }
        let is_due = now >= snapshots.due.get() || snapshots.log_bytes.get() >= self.log_limit();
        is_due && self.core.borrow().tail.applied() > snapshots.store.newest_index()
    }

    /// Bytes of log after which a snapshot is saved: at least as many as a snapshot has, so that
    /// saving never writes more than the log does.
    pub(crate) fn log_limit(&self) -> u64 {
        match self.options.snapshots.log_bytes {
            0 => u64::MAX,
            limit => limit.max(self.snapshots.store.newest().map_or(0, |newest| newest.bytes)),
        }
    }

    /// More log was written.
    pub(crate) fn note_log_bytes(&self, bytes: u64) {
        let (before, limit) = (self.snapshots.log_bytes.get(), self.log_limit());
        self.snapshots.log_bytes.set(before + bytes);
        if before < limit && before + bytes >= limit {
            self.snapshots.work.set();
        }
    }

    fn next_wake(&self) -> Moment {
        let snapshots = &self.snapshots;
        let drop_at = snapshots.drops.borrow().front().map(|(at, _)| *at);
        let now = self.shard.clock().now();
        // Without anything new the time for the next one is looked at again when it has come.
        let due = match snapshots.due.get() {
            due if due > now => due,
            _ => now + self.options.snapshots.interval.max(RETRY),
        };
        let due = due.max(snapshots.retry_at.get()).min(now + LONGEST_SLEEP);
        drop_at.map_or(due, |at| at.min(due))
    }

    /// Saves what is applied now, unless the newest snapshot has it already.
    async fn save(&self) -> Result<StoredSnapshot, SaveFailed> {
        let (snapshots, begun) = (&self.snapshots, self.shard.clock().now());
        snapshots.is_saving.set(true);
        let result = self.save_unless_saved(begun).await;
        snapshots.is_saving.set(false);
        let group = self.options.identity.group.0;
        match &result {
            Ok(_) => {
                snapshots.problem.take();
                snapshots.due.set(self.due_after(begun));
            }
            Err(SaveFailed::Stopped) => {}
            Err(error) => {
                tracing::error!(group, %error, "cannot save a snapshot; the group goes on");
                snapshots.problem.replace(Some(error.to_string()));
                snapshots.retry_at.set(self.shard.clock().now() + RETRY);
            }
        }
        self.changed.notify_all();
        result
    }

    /// When time asks for the next snapshot.
    pub(crate) fn due_after(&self, begun: Moment) -> Moment {
        match self.options.snapshots.interval {
            Duration::ZERO => Moment::MAX,
            interval => begun + interval,
        }
    }

    async fn save_unless_saved(&self, begun: Moment) -> Result<StoredSnapshot, SaveFailed> {
        let snapshots = &self.snapshots;
        let boundary = loop {
            // What is missing may need the state that is being received.
            if self.has_ended() || snapshots.is_replaced.get() {
                return Err(SaveFailed::Stopped);
            }
            match self.boundary() {
                Some(boundary) => break boundary,
                // What is missing may need nodes that are gone: a stop does not wait for them.
                None if *self.life.borrow() != Life::Running => return Err(SaveFailed::Stopped),
                None => self.changed.wait().await,
            }
        };
        if let Some(newest) = snapshots.store.newest()
            && newest.header.boundary.position.index >= boundary.position.index
        {
            return Ok(newest);
        }
        if boundary.position.index == Index::ZERO {
            let header = SnapshotHeader { boundary, time_ms: 0, generation: 0 };
            return Ok(StoredSnapshot { header, bytes: 0 });
        }
        let generation = self.shard.random().next_u64();
        let time_ms = self.core.borrow().applied_ms;
        let header = SnapshotHeader { boundary, time_ms, generation };
        let log_bytes = snapshots.log_bytes.get();
        let mut stream = Vec::with_capacity(2 * CONTENT);
        // From here to the end of the stream whatever is applied is kept out of it.
        let kept_bytes_max = self.options.snapshots.kept_bytes_max;
        self.machine.borrow_mut().begin_snapshot(kept_bytes_max, &mut stream);
        let written = self.write_stream(header, stream, begun).await;
        self.machine.borrow_mut().end_snapshot();
        let (header, bytes) = written?;
        snapshots.store.add(header.clone(), bytes);
        snapshots.log_bytes.set(snapshots.log_bytes.get() - log_bytes);
        snapshots.store.remove_old().await.map_err(SaveFailed::Failed)?;
        self.plan_drop();
        let (group, elapsed) =
            (self.options.identity.group.0, self.shard.clock().now().since(begun));
        let index = header.boundary.position.index.0;
        tracing::info!(group, index, bytes, ?elapsed, log_bytes, "saved a snapshot");
        Ok(StoredSnapshot { header, bytes })
    }

    async fn write_stream(
        &self,
        header: SnapshotHeader,
        mut stream: Vec<u8>,
        begun: Moment,
    ) -> Result<(SnapshotHeader, u64), SaveFailed> {
        let created = SnapshotWriter::create(&self.snapshots.store, header).await;
        let mut writer = created.map_err(SaveFailed::Failed)?;
        let result = self.write_chunks(&mut writer, &mut stream, begun).await;
        match result {
            Ok(()) => writer.finish().await.map_err(SaveFailed::Failed),
            Err(error) => {
                writer.discard().await;
                Err(error)
            }
        }
    }

    async fn write_chunks(
        &self,
        writer: &mut SnapshotWriter,
        stream: &mut Vec<u8>,
        begun: Moment,
    ) -> Result<(), SaveFailed> {
        let clock = self.shard.clock();
        let rate = self.options.snapshots.save_bytes_per_second.max(1);
        loop {
            if self.has_ended() || self.snapshots.is_replaced.get() {
                return Err(SaveFailed::Stopped);
            }
            let piece = self.machine.borrow_mut().snapshot_piece(PIECE, stream);
            let mut written = 0;
            while let Some(content) = stream.get(written..written + CONTENT) {
                writer.chunk(content).await.map_err(SaveFailed::Failed)?;
                written += CONTENT;
            }
            stream.drain(..written);
            match piece {
                SnapshotPiece::Overrun => return Err(SaveFailed::Overrun),
                SnapshotPiece::Last if stream.is_empty() => return Ok(()),
                SnapshotPiece::Last => {
                    return writer.chunk(stream).await.map_err(SaveFailed::Failed);
                }
                SnapshotPiece::More => {}
            }
            let is_stopping = *self.life.borrow() != Life::Running;
            let pace = begun + Duration::from_micros(writer.bytes() * 1_000_000 / rate);
            if pace > clock.now() && !is_stopping {
                clock.sleep_until(pace).await;
            } else {
                self.shard.pass().await;
            }
        }
    }

    /// The log that only snapshots that are gone needed is dropped after the delay.
    pub(crate) fn plan_drop(&self) {
        let Some(index) = self.snapshots.store.log_needed_behind() else { return };
        let at = self.shard.clock().now() + self.options.snapshots.log_delete_delay;
        let mut drops = self.snapshots.drops.borrow_mut();
        if drops.back().is_none_or(|(_, planned)| *planned < index) {
            drops.push_back((at, index));
            self.snapshots.work.set();
        }
    }

    /// Drops the log as far as its time has come.
    fn drop_log(&self) {
        let now = self.shard.clock().now();
        let mut up_to = None;
        {
            let mut drops = self.snapshots.drops.borrow_mut();
            while let Some((_, index)) = drops.pop_front_if(|(at, _)| *at <= now) {
                up_to = Some(index);
            }
        }
        if let Some(index) = up_to {
            self.compact(index);
        }
    }
}
