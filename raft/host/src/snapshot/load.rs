//! Loads a snapshot into the state machine: at start, and in place of a state that is too old.

use raft_core::Position;
use runtime::{OpenOptions, Shard};

use super::header::{SnapshotFault, SnapshotHeader};
use super::reader::SnapshotReader;
use super::store::{SnapshotStore, find_snapshots};
use crate::error::{GroupError, during};
use crate::log::segment::BLOCK;
use crate::ports::{LoadFault, StateMachine};

/// How a file was not loaded.
enum NotLoaded {
    /// Nothing is known of it.
    Failed(GroupError),
    /// It is of no use.
    Damaged(GroupError),
}

/// Loads the newest snapshot that is intact; those behind it are set aside. Returns its header.
///
/// # Errors
/// When the disk fails, or a newer version of the program has written the newest one.
pub(crate) async fn load_newest<M: StateMachine>(
    shard: &Shard,
    store: &SnapshotStore,
    machine: &mut M,
) -> Result<Option<SnapshotHeader>, GroupError> {
    let mut loaded = None;
    for position in find_snapshots(shard, &store.dir).await? {
        let found = match &loaded {
            None => load_at_start(shard, store, position, machine).await,
            Some(_) => look(shard, store, position).await,
        };
        match found {
            Ok((header, bytes)) => {
                store.add(header.clone(), bytes);
                loaded.get_or_insert(header);
            }
            Err(NotLoaded::Failed(error)) => return Err(error),
            Err(NotLoaded::Damaged(error)) => {
                let group = store.identity.group.0;
                tracing::error!(group, %error, "set a damaged snapshot aside");
                store.set_aside(position).await?;
            }
        }
    }
    Ok(loaded)
}

async fn load_at_start<M: StateMachine>(
    shard: &Shard,
    store: &SnapshotStore,
    position: Position,
    machine: &mut M,
) -> Result<(SnapshotHeader, u64), NotLoaded> {
    let (path, begun) = (store.path(position), shard.clock().now());
    let mut reader = open(shard, store, &path).await?;
    machine.begin_load();
    let read = read(shard, &mut reader, |content| machine.load(content)).await;
    let checked = read.and_then(|header| has_position(header, position, &path));
    let bytes = reader.bytes();
    let is_newer = reader.is_newer();
    reader.close().await.map_err(NotLoaded::Failed)?;
    let header = checked.map_err(|error| match error {
        error @ GroupError::Damaged { .. } if !is_newer => NotLoaded::Damaged(error),
        error => NotLoaded::Failed(error),
    })?;
    loop {
        match machine.prepare_load() {
            Ok(true) => break,
            Ok(false) => shard.pass().await,
            Err(LoadFault::Newer(what) | LoadFault::Malformed(what)) => {
                let error = GroupError::Damaged { path, offset: 0, index: None, what };
                return Err(NotLoaded::Damaged(error));
            }
        }
    }
    machine.finish_load();
    while machine.drop_replaced() {
        shard.pass().await;
    }
    let group = store.identity.group.0;
    let elapsed = shard.clock().now().since(begun);
    tracing::info!(group, index = position.index.0, bytes, ?elapsed, "loaded a snapshot");
    Ok((header, bytes))
}

/// Reads a whole file, and gives its content to `load`. Returns its header.
pub(super) async fn read(
    shard: &Shard,
    reader: &mut SnapshotReader,
    mut load: impl FnMut(&[u8]) -> Result<(), LoadFault>,
) -> Result<SnapshotHeader, GroupError> {
    while let Some(content) = reader.content().await? {
        if let Err(fault) = load(content) {
            return Err(reader.malformed(&fault));
        }
        shard.pass().await;
    }
    match reader.header() {
        Some(header) => Ok(header.clone()),
        None => Err(GroupError::Stopped),
    }
}

/// The header of an older file, whose content is not looked at.
async fn look(
    shard: &Shard,
    store: &SnapshotStore,
    position: Position,
) -> Result<(SnapshotHeader, u64), NotLoaded> {
    let path = store.path(position);
    let options = OpenOptions { write: false, create: false, dsync: false };
    let failed =
        |action| move |error| NotLoaded::Failed(during(action, &store.path(position))(error));
    let file = shard.storage().open(&path, options).await.map_err(failed("open"))?;
    let block = file.read_at(0, BLOCK).await.map_err(failed("read"))?;
    let bytes = file.len();
    file.close().await.map_err(failed("close"))?;
    let found = SnapshotHeader::read(store.identity, &block);
    let checked = found.map_err(|fault| damaged(&path, fault));
    let checked = checked.and_then(|(header, _)| has_position(header, position, &path));
    Ok((checked.map_err(NotLoaded::Damaged)?, bytes))
}

async fn open(
    shard: &Shard,
    store: &SnapshotStore,
    path: &str,
) -> Result<SnapshotReader, NotLoaded> {
    let opened = SnapshotReader::open(shard, path, store.identity).await;
    opened.map_err(NotLoaded::Failed)
}

/// A file is what its name says.
fn has_position(
    header: SnapshotHeader,
    position: Position,
    path: &str,
) -> Result<SnapshotHeader, GroupError> {
    match header.boundary.position == position {
        true => Ok(header),
        false => Err(damaged(path, SnapshotFault::Header)),
    }
}

fn damaged(path: &str, fault: SnapshotFault) -> GroupError {
    GroupError::Damaged { path: path.to_owned(), offset: 0, index: None, what: fault.to_string() }
}
