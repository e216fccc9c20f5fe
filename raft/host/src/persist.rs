//! The fiber that makes things durable: the hard state first, then the log, in order.

use std::rc::Rc;
use std::time::Duration;

use planted::{Bug, is_on};
use raft_core::{HardState, Index};
use runtime::{Either, Moment, race};

use crate::error::GroupError;
use crate::execute::Shared;
use crate::hard_state::{HardStateFile, SavedState};
use crate::log::batch::Frame;
use crate::log::writer::{LogWriter, WRITES_MAX};
use crate::ports::StateMachine;

/// The files that only this fiber writes.
pub(crate) struct Persist<M: StateMachine> {
    group: Rc<Shared<M>>,
    log: LogWriter,
    hard_state: HardStateFile,
    /// Index of the last entry that counts as held.
    written_index: Index,
    /// Index of the last entry that is durable; the same unless syncs come later.
    durable_index: Index,
    /// When what is written and not durable is to be made so.
    sync_at: Moment,
}

/// How long an entry that is acknowledged before it is durable stays so.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What to do next.
enum Work {
    HardState(HardState),
    Frame(Frame),
    /// What is written has waited long enough to be durable.
    Sync,
    /// The next batch needs a new segment first.
    Roll,
    /// For a write under way.
    WaitForWrite,
    /// For a write under way, or until more is to be written.
    WaitForWriteOrMore,
    /// Nothing is under way.
    Wait,
    End,
}

impl<M: StateMachine> Persist<M> {
    pub(crate) fn new(
        group: Rc<Shared<M>>,
        log: LogWriter,
        hard_state: HardStateFile,
        durable_index: Index,
    ) -> Persist<M> {
        group.core.borrow_mut().room = log.room();
        let (written_index, sync_at) = (durable_index, Moment::ZERO);
        Persist { group, log, hard_state, written_index, durable_index, sync_at }
    }

    /// Runs until the group ends. A failure fails the group; nothing is written after it.
    pub(crate) async fn run(mut self) {
        let group = Rc::clone(&self.group);
        let result = match self.serve().await {
            Ok(()) if group.failure().is_none() => self.close().await,
            result => result,
        };
        if let Err(error) = result {
            group.fail(error);
        }
    }

    async fn serve(&mut self) -> Result<(), GroupError> {
        loop {
            self.group.drain(&[]);
            match self.next_work() {
                Work::HardState(hard_state) => {
                    if !is_on(Bug::HardStateNotWritten) {
                        self.store(hard_state).await?;
                    }
                    let now = self.group.shard.clock().now();
                    let mut core = self.group.core.borrow_mut();
                    core.raft.hard_state_persisted(hard_state, now);
                }
                Work::Frame(frame) => {
                    if is_on(Bug::AcknowledgedBeforeWritten) {
                        self.note_durable(&frame);
                        self.group.drain(&[]);
                    }
                    self.log.begin(frame);
                }
                Work::Sync => self.sync().await?,
                Work::Roll => {
                    if self.log.roll().await? {
                        self.group.core.borrow_mut().room = self.log.room();
                        self.store(self.hard_state.state().hard_state).await?;
                    }
                }
                Work::WaitForWrite => {
                    let written = self.log.next_durable().await;
                    self.end_write(written)?;
                }
                Work::WaitForWriteOrMore => {
                    let group = Rc::clone(&self.group);
                    let more = group.write_work.wait();
                    if let Either::Left(written) = race(self.log.next_durable(), more).await {
                        self.end_write(written)?;
                    }
                }
                Work::Wait => self.wait().await?,
                Work::End => return Ok(()),
            }
        }
    }

    fn end_write(&mut self, written: Result<Frame, GroupError>) -> Result<(), GroupError> {
        self.group.core.borrow_mut().is_writing = self.log.under_way().0 > 0;
        self.note_durable(&written?);
        Ok(())
    }

    /// Votes go before entries; a lack of segments stops only the entries.
    fn next_work(&mut self) -> Work {
        let mut core = self.group.core.borrow_mut();
        let (writes, bytes) = self.log.under_way();
        if self.group.failure().is_some() {
            return Work::End;
        }
        if core.hard_state_wanted.is_some() && writes > 0 {
            return Work::WaitForWrite;
        }
        if let Some(hard_state) = core.hard_state_wanted.take() {
            return Work::HardState(hard_state);
        }
        if self.log.owes_sync() && self.group.shard.clock().now() >= self.sync_at {
            return Work::Sync;
        }
        match core.tail.pending_size() {
            Some(_) if writes >= WRITES_MAX => Work::WaitForWrite,
            Some(size) if writes > 0 && size < bytes.max(self.worth_overlapping()) => {
                Work::WaitForWriteOrMore
            }
            Some(size) if size as u64 <= self.log.room() => {
                let link = self.log.link(core.apply_to);
                let Some(frame) = core.tail.seal(self.log.segment(), link) else {
                    return Work::Wait;
                };
                core.room = self.log.room() - frame.size() as u64;
                core.is_writing = true;
                Work::Frame(frame)
            }
            Some(_) if writes > 0 => Work::WaitForWrite,
            None if writes > 0 => Work::WaitForWriteOrMore,
            Some(_) if self.group.spares.ready() > 0 => Work::Roll,
            _ if self.group.has_ended() => Work::End,
            _ => Work::Wait,
        }
    }

    /// Bytes from which on a write begins beside another one. It also has to be as large as that,
    /// or a stream of proposals would be cut into ever smaller writes.
    fn worth_overlapping(&self) -> usize {
        self.group.options.batch_bytes / 16
    }

    fn note_durable(&mut self, frame: &Frame) {
        let mut core = self.group.core.borrow_mut();
        if let Some(last) = frame.last() {
            self.written_index = last.index;
            if !self.log.owes_sync() {
                self.durable_index = last.index;
            }
            core.raft.persisted(last.index, last.term);
        }
        drop(core);
        self.group.note_log_bytes(frame.size() as u64);
    }

    /// Waits for work. When the log has rested for a while, its durable mark is written, so that
    /// damage to its last frame can be told from a torn write after the next restart.
    async fn wait(&mut self) -> Result<(), GroupError> {
        let group = Rc::clone(&self.group);
        let lacks_segment = group.core.borrow().tail.pending_size().is_some();
        let work = async {
            if lacks_segment {
                let _ = race(group.write_work.wait(), group.spares.changed()).await;
            } else {
                group.write_work.wait().await;
            }
        };
        let is_marked = self.hard_state.state().durable_sequence == self.log.durable_sequence();
        if is_marked && !self.log.owes_sync() {
            work.await;
        } else if group.shard.clock().timeout(group.options.mark_delay, work).await.is_none() {
            self.store(self.hard_state.state().hard_state).await?;
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), GroupError> {
        self.log.sync().await?;
        self.durable_index = self.written_index;
        self.sync_at = self.group.shard.clock().now() + SYNC_INTERVAL;
        Ok(())
    }

    async fn store(&mut self, hard_state: HardState) -> Result<(), GroupError> {
        self.sync().await?;
        let committed = self.group.core.borrow().apply_to.min(self.durable_index);
        let state = SavedState {
            hard_state,
            durable_sequence: self.log.durable_sequence(),
            durable_index: self.durable_index,
            commit: committed.max(self.hard_state.state().commit),
            incarnation: self.group.options.incarnation,
        };
        self.hard_state.store(state).await
    }

    async fn close(mut self) -> Result<(), GroupError> {
        self.store(self.hard_state.state().hard_state).await?;
        self.log.close().await?;
        self.hard_state.close().await?;
        self.group.spares.close().await
    }
}
