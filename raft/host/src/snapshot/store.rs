//! The snapshots of a group on disk: which there are, which stay.

use std::cell::{Cell, RefCell};

use planted::{Bug, is_on};
use raft_core::{Index, Position};
use runtime::Shard;

use super::header::SnapshotHeader;
use super::name::{DAMAGED, is_unfinished, snapshot_name, snapshot_position};
use super::status::StoredSnapshot;
use crate::error::{GroupError, during};
use crate::log::segment::Identity;

/// The snapshots that are usable, as far as is known.
pub(crate) struct SnapshotStore {
    pub(super) shard: Shard,
    pub(super) dir: String,
    pub(super) identity: Identity,
    keep: usize,
    /// The oldest first.
    stored: RefCell<Vec<Stored>>,
}

struct Stored {
    snapshot: StoredSnapshot,
    /// Transfers to other members, during which the file stays.
    pins: Cell<u32>,
}

/// Files of snapshots that were found at start, the newest first.
pub(crate) async fn find_snapshots(shard: &Shard, dir: &str) -> Result<Vec<Position>, GroupError> {
    let storage = shard.storage();
    let names = storage.list(dir).await.map_err(during("list", dir))?;
    let mut found = Vec::new();
    for name in names {
        if let Some(position) = snapshot_position(&name) {
            found.push(position);
        } else if is_unfinished(&name) {
            let path = format!("{dir}/{name}");
            storage.remove_file(&path).await.map_err(during("remove", &path))?;
        }
    }
    found.sort_by_key(|position| core::cmp::Reverse((position.index, position.term)));
    Ok(found)
}

impl SnapshotStore {
    pub(crate) fn new(shard: &Shard, dir: String, identity: Identity, keep: usize) -> Self {
        let (shard, stored) = (shard.clone(), RefCell::default());
        SnapshotStore { shard, dir, identity, keep, stored }
    }

    pub(super) fn path(&self, position: Position) -> String {
        format!("{}/{}", self.dir, snapshot_name(position))
    }

    /// A file is whole and has its name for good.
    pub(crate) fn add(&self, header: SnapshotHeader, bytes: u64) {
        let position = header.boundary.position;
        let mut stored = self.stored.borrow_mut();
        stored.retain(|other| other.snapshot.header.boundary.position != position);
        stored.push(Stored { snapshot: StoredSnapshot { header, bytes }, pins: Cell::new(0) });
        stored.sort_by_key(|stored| stored.snapshot.header.boundary.position.index);
    }

    /// All of them, the oldest first.
    pub(crate) fn stored(&self) -> Vec<StoredSnapshot> {
        self.stored.borrow().iter().map(|stored| stored.snapshot.clone()).collect()
    }

    pub(crate) fn newest(&self) -> Option<StoredSnapshot> {
        self.stored.borrow().last().map(|stored| stored.snapshot.clone())
    }

    /// Index of the last entry in the newest one; zero when there is none.
    pub(crate) fn newest_index(&self) -> Index {
        let newest = self.newest();
        newest.map_or(Index::ZERO, |newest| newest.header.boundary.position.index)
    }

    /// How far the log is not needed: neither by those that are kept, nor to do without the newest
    /// one if it goes bad. `None` while there are fewer than are to be kept.
    pub(crate) fn log_needed_behind(&self) -> Option<Index> {
        let stored = self.stored.borrow();
        let oldest = match is_on(Bug::LogDroppedEarly) {
            true => stored.last()?,
            false => stored.first()?,
        };
        let oldest = oldest.snapshot.header.boundary.position.index;
        (stored.len() >= self.keep).then_some(oldest)
    }

    /// Keeps the file of a snapshot until it is unpinned as often.
    pub(crate) fn pin(&self, position: Position) {
        self.with_pins(position, |pins| pins + 1);
    }

    pub(crate) fn unpin(&self, position: Position) {
        self.with_pins(position, |pins| pins - 1);
    }

    fn with_pins(&self, position: Position, change: impl Fn(u32) -> u32) {
        let stored = self.stored.borrow();
        let found = stored.iter().find(|s| s.snapshot.header.boundary.position == position);
        if let Some(stored) = found {
            stored.pins.set(change(stored.pins.get()));
        }
    }

    /// A file turned out to be of no use.
    pub(super) fn forget(&self, position: Position) {
        let mut stored = self.stored.borrow_mut();
        stored.retain(|other| other.snapshot.header.boundary.position != position);
    }

    /// Removes all files of older snapshots.
    pub(super) async fn remove_before(&self, position: Position) -> Result<(), GroupError> {
        loop {
            let oldest = {
                let mut stored = self.stored.borrow_mut();
                let of = |stored: &Stored| stored.snapshot.header.boundary.position;
                match stored.first().map(of) {
                    Some(oldest) if oldest.index < position.index => {
                        stored.remove(0);
                        oldest
                    }
                    _ => return Ok(()),
                }
            };
            let path = self.path(oldest);
            self.shard.storage().remove_file(&path).await.map_err(during("remove", &path))?;
        }
    }

    /// Removes the oldest files, as many as there are more than are to be kept.
    pub(crate) async fn remove_old(&self) -> Result<(), GroupError> {
        while let Some(position) = self.take_oldest() {
            let path = self.path(position);
            self.shard.storage().remove_file(&path).await.map_err(during("remove", &path))?;
        }
        self.shard.storage().sync_dir(&self.dir).await.map_err(during("sync", &self.dir))
    }

    fn take_oldest(&self) -> Option<Position> {
        let mut stored = self.stored.borrow_mut();
        let is_free = stored.first().is_some_and(|oldest| oldest.pins.get() == 0);
        let is_old = stored.len() > self.keep.max(1);
        (is_old && is_free).then(|| stored.remove(0).snapshot.header.boundary.position)
    }

    /// Gives a damaged file another name, under which it can be looked at and is not used again.
    /// There is at most one: an older one is replaced.
    pub(crate) async fn set_aside(&self, position: Position) -> Result<(), GroupError> {
        let path = self.path(position);
        let storage = self.shard.storage();
        let names = storage.list(&self.dir).await.map_err(during("list", &self.dir))?;
        for name in names.iter().filter(|name| name.ends_with(DAMAGED)) {
            let path = format!("{}/{name}", self.dir);
            storage.remove_file(&path).await.map_err(during("remove", &path))?;
        }
        let aside = format!("{path}{DAMAGED}");
        storage.rename(&path, &aside).await.map_err(during("rename", &path))?;
        storage.sync_dir(&self.dir).await.map_err(during("sync", &self.dir))
    }
}
