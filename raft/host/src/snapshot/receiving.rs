//! The other side: receives the snapshot that the leader has offered, and puts it in place.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use raft_core::{NodeId, Position, SnapshotChunk, SnapshotChunkReply, SnapshotWanted};
use runtime::{DirectFile, Moment, Signal, race};

use super::check::SnapshotCheck;
use super::header::SnapshotHeader;
use super::name::PART;
use super::transfer::{SnapshotMessage, WINDOW};
use super::writer::{create_file, discard, put_in_place};
use crate::error::{GroupError, during};
use crate::execute::Shared;
use crate::log::segment::BLOCK;
use crate::ports::StateMachine;

/// What the receiving fiber has to do.
#[derive(Default)]
pub(crate) struct Receiving {
    /// What consensus wants.
    wanted: Cell<Option<SnapshotWanted>>,
    /// Pieces that have come; no more than were asked for.
    pieces: RefCell<VecDeque<Piece>>,
    pieces_bytes: Cell<u64>,
    pub(crate) work: Signal,
    /// Bytes that are there of what is being received.
    pub(super) progress: Cell<Option<u64>>,
}

struct Piece {
    snapshot: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// A file that is growing.
struct Part {
    boundary: Position,
    generation: u64,
    check: SnapshotCheck,
    file: DirectFile,
    path: String,
}

/// How an attempt ended.
enum End {
    /// All of it is durable under its name.
    Complete(SnapshotHeader, u64),
    /// Consensus wants another one, or none any more.
    Superseded,
}

/// Without a piece for this long, it is asked for again.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause after a failure of the disk.
const RETRY: Duration = Duration::from_secs(5);

/// Receives until the group ends.
pub(crate) async fn run<M: StateMachine>(group: Rc<Shared<M>>) {
    let mut part = None;
    while !group.has_ended() {
        let receiving = &group.snapshots.receiving;
        let Some(wanted) = receiving.wanted.get() else {
            receiving.work.wait().await;
            continue;
        };
        let ended = match group.receive(&mut part, wanted).await {
            Ok(End::Complete(header, bytes)) => group.install(header, bytes, wanted.from).await,
            Ok(End::Superseded) => Ok(()),
            Err(error) => Err(error),
        };
        receiving.done(wanted);
        if let Err(error) = ended
            && !group.has_ended()
        {
            let id = group.options.identity.group.0;
            tracing::error!(group = id, %error, "cannot receive a snapshot; trying again");
            // What its check has seen is not in the file if a write has failed.
            if let Some(part) = part.take() {
                part.discard(&group.shard).await;
            }
            group.snapshots.problem.replace(Some(error.to_string()));
            group.core.borrow_mut().raft.abort_install(wanted.boundary);
            group.drain(&[]);
            group.rest(RETRY).await;
        }
    }
    if let Some(part) = part.take() {
        part.discard(&group.shard).await;
    }
}

impl Receiving {
    /// Consensus wants a snapshot.
    pub(crate) fn want(&self, wanted: SnapshotWanted) {
        self.wanted.set(Some(wanted));
        self.work.set();
    }

    /// A piece has come. What nobody has asked for is dropped.
    pub(crate) fn came(&self, from: NodeId, chunk: &SnapshotChunk<'_>) {
        let is_wanted = self
            .wanted
            .get()
            .is_some_and(|wanted| wanted.from == from && wanted.boundary == chunk.boundary);
        let bytes = self.pieces_bytes.get() + chunk.bytes.len() as u64;
        if !is_wanted || bytes > 2 * WINDOW {
            return;
        }
        self.pieces_bytes.set(bytes);
        let (snapshot, offset) = (chunk.snapshot, chunk.offset);
        let piece = Piece { snapshot, offset, bytes: chunk.bytes.to_vec() };
        self.pieces.borrow_mut().push_back(piece);
        self.work.set();
    }

    fn take(&self) -> Option<Piece> {
        let piece = self.pieces.borrow_mut().pop_front()?;
        self.pieces_bytes.set(self.pieces_bytes.get() - piece.bytes.len() as u64);
        Some(piece)
    }

    /// Forgets what was wanted, unless that is something else now.
    fn done(&self, wanted: SnapshotWanted) {
        if self.wanted.get() == Some(wanted) {
            self.wanted.set(None);
        }
        self.pieces.borrow_mut().clear();
        self.pieces_bytes.set(0);
        self.progress.set(None);
    }
}

impl Part {
    async fn discard(self, shard: &runtime::Shard) {
        discard(shard, self.file, &self.path).await;
    }
}

impl<M: StateMachine> Shared<M> {
    /// Receives until the whole file is durable, or another one is wanted. What came of it stays in
    /// `part` when the transfer breaks off.
    async fn receive(
        &self,
        part: &mut Option<Part>,
        wanted: SnapshotWanted,
    ) -> Result<End, GroupError> {
        let receiving = &self.snapshots.receiving;
        if part.as_ref().is_some_and(|part| part.boundary != wanted.boundary)
            && let Some(old) = part.take()
        {
            old.discard(&self.shard).await;
        }
        self.ask(wanted, part.as_ref(), true);
        let mut asked = self.shard.clock().now();
        loop {
            if self.has_ended() || !self.still_wants(wanted) {
                return Ok(End::Superseded);
            }
            let Some(piece) = receiving.take() else {
                let wait = self.shard.clock().sleep_until(asked + PATIENCE);
                let _ = race(receiving.work.wait(), wait).await;
                if self.shard.clock().now() >= asked + PATIENCE {
                    self.ask(wanted, part.as_ref(), true);
                    asked = self.shard.clock().now();
                }
                continue;
            };
            if self.take_piece(part, wanted, piece).await? {
                if part.as_ref().is_some_and(|part| part.check.is_complete())
                    && let Some(whole) = part.take()
                {
                    return self.complete(whole).await;
                }
                self.ask(wanted, part.as_ref(), false);
                asked = self.shard.clock().now();
            }
        }
    }

    /// Whether consensus still wants this one: the log may have caught up meanwhile.
    fn still_wants(&self, wanted: SnapshotWanted) -> bool {
        let is_same = self.snapshots.receiving.wanted.get() == Some(wanted);
        is_same && self.core.borrow().apply_to < wanted.boundary.index
    }

    /// Tells the sender how far this node is; `again` when what was asked for did not come.
    fn ask(&self, wanted: SnapshotWanted, part: Option<&Part>, again: bool) {
        let (snapshot, next_offset) = match part {
            Some(part) => (part.generation, part.check.offset()),
            None => (0, 0),
        };
        self.snapshots.receiving.progress.set(Some(next_offset));
        let boundary = wanted.boundary;
        let reply = SnapshotChunkReply { snapshot, boundary, next_offset, again };
        if let Some(outbox) = self.outbox.borrow().clone() {
            // If the link takes nothing it is asked again.
            let _ = outbox.send_snapshot(wanted.from, &SnapshotMessage::Reply(reply));
        }
    }

    /// Writes a piece if it is the next one. Returns whether it was.
    async fn take_piece(
        &self,
        part: &mut Option<Part>,
        wanted: SnapshotWanted,
        piece: Piece,
    ) -> Result<bool, GroupError> {
        let is_other = part.as_ref().is_none_or(|part| part.generation != piece.snapshot);
        if is_other {
            if piece.offset != 0 {
                return Ok(false);
            }
            if let Some(old) = part.take() {
                old.discard(&self.shard).await;
            }
            *part = Some(self.begin_part(wanted.boundary, piece.snapshot).await?);
        }
        let Some(Part { check, file, path, boundary, .. }) = part else { return Ok(false) };
        if piece.offset != check.offset() {
            return Ok(false);
        }
        let taken = check.take(&piece.bytes).map(drop);
        let is_right = check.header().is_none_or(|header| header.boundary.position == *boundary);
        if taken.is_err() || !is_right {
            let group = self.options.identity.group.0;
            tracing::warn!(
                group,
                offset = piece.offset,
                ?taken,
                "a piece of a snapshot is damaged"
            );
            if let Some(bad) = part.take() {
                bad.discard(&self.shard).await;
            }
            return Ok(false);
        }
        let blocks = piece.bytes.len() / BLOCK * BLOCK;
        let mut buffer = self.shard.buffer(blocks);
        buffer.copy_from_slice(piece.bytes.get(..blocks).unwrap_or_default());
        let written = file.write_at(&buffer.freeze(), 0..blocks, piece.offset).await;
        written.map_err(during("write", path))?;
        Ok(true)
    }

    async fn begin_part(&self, boundary: Position, generation: u64) -> Result<Part, GroupError> {
        let path = format!("{}{PART}", self.snapshots.store.path(boundary));
        let file = create_file(&self.shard, &path).await?;
        let check = SnapshotCheck::new(self.options.identity);
        Ok(Part { boundary, generation, check, file, path })
    }

    /// Makes a whole file durable and gives it its name.
    async fn complete(&self, part: Part) -> Result<End, GroupError> {
        let Part { check, file, path, boundary, .. } = part;
        let header = check.header().cloned().ok_or(GroupError::Stopped)?;
        file.sync_all().await.map_err(during("sync", &path))?;
        file.close().await.map_err(during("close", &path))?;
        let store = &self.snapshots.store;
        let storage = self.shard.storage();
        put_in_place(storage, &path, &store.path(boundary), &store.dir).await?;
        Ok(End::Complete(header, check.offset()))
    }

    /// Says to the sender that this node is busy with what it has sent.
    pub(super) fn say_busy(&self, from: NodeId, header: &SnapshotHeader, bytes: u64) {
        let (snapshot, boundary) = (header.generation, header.boundary.position);
        let reply = SnapshotChunkReply { snapshot, boundary, next_offset: bytes, again: false };
        if let Some(outbox) = self.outbox.borrow().clone() {
            // It counts only if nothing comes for a while.
            let _ = outbox.send_snapshot(from, &SnapshotMessage::Reply(reply));
        }
    }

    async fn rest(&self, pause: Duration) {
        let until: Moment = self.shard.clock().now() + pause;
        while !self.has_ended() && self.shard.clock().now() < until {
            let wait = self.shard.clock().sleep_until(until);
            let _ = race(self.changed.wait(), wait).await;
        }
    }
}
