//! Disk operations in flight: they go on when nobody waits for them any more.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::device::{Disk, PendingWrite};
use super::faults::{DiskEffect, DiskOperation};
use super::image::Durability;
use super::options::DiskOptions;
use super::page::Page;
use super::tree::FileId;
use crate::BLOCK;
use crate::buffer::{Buffer, PlainMemory};
use crate::sim::arena::{Arena, Key};
use crate::sim::events::Event;
use crate::sim::kernel::Kernel;
use crate::sim::node::{CrashKind, NodeKey};
use crate::sim::trace::TraceKind;

/// All disks, and what they are doing.
pub(crate) struct Disks {
    disks: BTreeMap<NodeKey, Disk>,
    operations: Arena<Operation>,
}

struct Operation {
    node: NodeKey,
    state: State,
    waker: Option<Waker>,
    /// The future is gone; the result is for nobody.
    is_abandoned: bool,
}

enum State {
    InFlight(Work),
    Done(io::Result<Option<Buffer>>),
}

enum Work {
    /// Time passes; the fiber does the rest.
    Wait,
    Read {
        file: FileId,
        offset: u64,
        len: usize,
        effect: Option<DiskEffect>,
    },
    Write(PendingWrite),
    Sync {
        file: FileId,
        mark: u64,
        effect: Option<DiskEffect>,
    },
}

impl Work {
    /// Whether its end changes what a death could leave.
    fn is_change(&self) -> bool {
        matches!(self, Work::Write(_) | Work::Sync { .. })
    }
}

impl Disks {
    pub(crate) fn new() -> Disks {
        Disks { disks: BTreeMap::new(), operations: Arena::new() }
    }

    pub(crate) fn add(&mut self, node: NodeKey, options: DiskOptions) {
        self.disks.entry(node).or_insert_with(|| Disk::new(options));
    }

    pub(crate) fn disk(&mut self, node: NodeKey) -> &mut Disk {
        self.disks.entry(node).or_insert_with(|| Disk::new(DiskOptions::default()))
    }

    pub(crate) fn writes_in_flight(&self, node: NodeKey) -> usize {
        let is_write = |operation: &Operation| {
            operation.node == node && matches!(operation.state, State::InFlight(Work::Write(_)))
        };
        self.operations.iter().filter(|(_, operation)| is_write(operation)).count()
    }

    /// A node's writes that have started and not completed, in order of their start.
    pub(crate) fn pending_writes(&self, node: NodeKey) -> Vec<PendingWrite> {
        let write = |operation: &Operation| match &operation.state {
            State::InFlight(Work::Write(write)) if operation.node == node => Some(write.clone()),
            _ => None,
        };
        self.operations.iter().filter_map(|(_, operation)| write(operation)).collect()
    }

    pub(crate) fn node_of(&self, key: Key) -> Option<NodeKey> {
        Some(self.operations.get(key)?.node)
    }

    /// An operation's time has come.
    pub(crate) fn complete(&mut self, kernel: &Kernel, key: Key) {
        let Some(operation) = self.operations.get_mut(key) else { return };
        let disk = self.disks.entry(operation.node);
        let disk = disk.or_insert_with(|| Disk::new(DiskOptions::default()));
        let done = State::Done(Ok(None));
        let State::InFlight(work) = std::mem::replace(&mut operation.state, done) else { return };
        disk.count_step(work.is_change());
        let result = kernel.with_tape(|tape| match work {
            Work::Wait => Ok(None),
            Work::Read { file, offset, len, effect } => {
                let mut memory = PlainMemory::filled(len, 0);
                let read = disk.read(tape, file, offset, effect, memory.bytes_mut())?;
                let mut buffer = Buffer::from_plain(memory);
                buffer.truncate(read);
                Ok(Some(buffer))
            }
            Work::Write(write) => disk.write(tape, write).map(|()| None),
            Work::Sync { file, mark, effect } => disk.sync(tape, file, mark, effect).map(|()| None),
        });
        if operation.is_abandoned {
            self.operations.remove(key);
            return;
        }
        operation.state = State::Done(result);
        if let Some(waker) = operation.waker.take() {
            waker.wake();
        }
    }

    /// Ends what a dead process had in flight, then damages the disk as the kind of death asks.
    pub(crate) fn crash(&mut self, kernel: &Kernel, node: NodeKey, kind: CrashKind) {
        for key in self.operations.keys_where(|operation| operation.node == node) {
            let operation = self.operations.remove(key);
            if let Some(Operation { state: State::InFlight(Work::Write(write)), .. }) = operation {
                kernel.with_tape(|tape| self.disk(node).cut_write(tape, &write));
            }
        }
        kernel.with_tape(|tape| self.disk(node).crash(tape, kind));
    }

    fn start(&mut self, kernel: &Kernel, node: NodeKey, work: Work, delay: Duration) -> Key {
        self.disk(node).count_step(matches!(work, Work::Write(_)));
        let state = State::InFlight(work);
        let key =
            self.operations.insert(Operation { node, state, waker: None, is_abandoned: false });
        kernel.schedule(delay, Event::Disk(key));
        key
    }
}

/// Starting operations on a node's disk.
impl Kernel {
    /// Waits as long as an operation on names takes.
    pub(crate) fn disk_wait(&self, node: NodeKey, delay: Duration) -> Completion<'_> {
        let key = self.disks.borrow_mut().start(self, node, Work::Wait, delay);
        Completion { kernel: self, key }
    }

    pub(crate) fn disk_read(
        &self,
        node: NodeKey,
        file: FileId,
        offset: u64,
        len: usize,
    ) -> Completion<'_> {
        let mut disks = self.disks.borrow_mut();
        let (delay, effect) = self.with_tape(|tape| {
            let disk = disks.disk(node);
            let range = offset..offset.saturating_add(len as u64);
            let delay = disk.latency(tape, DiskOperation::Read);
            (delay, disk.strike(tape, DiskOperation::Read, file, range))
        });
        let work = Work::Read { file, offset, len, effect };
        let key = disks.start(self, node, work, delay + extra_delay(effect));
        Completion { kernel: self, key }
    }

    pub(crate) fn disk_write(
        &self,
        node: NodeKey,
        file: FileId,
        offset: u64,
        pages: Vec<Page>,
        durability: Durability,
    ) -> Completion<'_> {
        let mut disks = self.disks.borrow_mut();
        let len = (pages.len() * BLOCK) as u64;
        let (delay, effect) = self.with_tape(|tape| {
            let disk = disks.disk(node);
            let mut delay = disk.latency(tape, DiskOperation::Write);
            if durability == Durability::Durable {
                delay += disk.latency(tape, DiskOperation::Sync);
            }
            let range = offset..offset.saturating_add(len);
            (delay, disk.strike(tape, DiskOperation::Write, file, range))
        });
        let first_block = offset / BLOCK as u64;
        let write = PendingWrite { file, first_block, pages, durability, effect };
        let key = disks.start(self, node, Work::Write(write), delay + extra_delay(effect));
        Completion { kernel: self, key }
    }

    pub(crate) fn disk_sync(&self, node: NodeKey, file: FileId) -> Completion<'_> {
        let mut disks = self.disks.borrow_mut();
        let (delay, effect, mark) = self.with_tape(|tape| {
            let disk = disks.disk(node);
            let delay = disk.latency(tape, DiskOperation::Sync);
            let effect = disk.strike(tape, DiskOperation::Sync, file, 0..0);
            (delay, effect, disk.image(file).map_or(0, |image| image.sync_mark()))
        });
        let work = Work::Sync { file, mark, effect };
        let key = disks.start(self, node, work, delay + extra_delay(effect));
        Completion { kernel: self, key }
    }

    /// Adds written bytes to the trace.
    pub(crate) fn trace_write(&self, bytes: &[u8]) {
        self.trace.add_bytes(TraceKind::Write, bytes);
    }
}

pub(crate) fn extra_delay(effect: Option<DiskEffect>) -> Duration {
    match effect {
        Some(DiskEffect::Delay(delay)) => delay,
        _ => Duration::ZERO,
    }
}

/// Waits for an operation; dropping it does not stop the operation.
pub(crate) struct Completion<'a> {
    kernel: &'a Kernel,
    key: Key,
}

impl Future for Completion<'_> {
    /// The bytes, when it was a read.
    type Output = io::Result<Option<Buffer>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut disks = self.kernel.disks.borrow_mut();
        let Some(operation) = disks.operations.get_mut(self.key) else {
            return Poll::Ready(Err(io::Error::other("the operation's process is dead")));
        };
        if matches!(operation.state, State::InFlight(_)) {
            operation.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        match disks.operations.remove(self.key).map(|operation| operation.state) {
            Some(State::Done(result)) => Poll::Ready(result),
            _ => Poll::Ready(Err(io::Error::other("the operation was not done"))),
        }
    }
}

impl Drop for Completion<'_> {
    fn drop(&mut self) {
        let mut disks = self.kernel.disks.borrow_mut();
        let Some(operation) = disks.operations.get_mut(self.key) else { return };
        match operation.state {
            State::InFlight(Work::Write(_) | Work::Sync { .. }) => operation.is_abandoned = true,
            _ => drop(disks.operations.remove(self.key)),
        }
    }
}
