//! Puts a snapshot on disk: under another name until all of it is durable.

use runtime::{Buffer, DirectFile, OpenOptions, Shard};

use super::chunk::{CHUNK, CONTENT, write_chunk};
use super::header::{ChunkSeed, SnapshotHeader};
use super::name::NEW;
use super::store::SnapshotStore;
use super::trailer::Trailer;
use crate::error::{GroupError, during};
use crate::log::segment::BLOCK;

/// A file in the making. When it is dropped without [`SnapshotWriter::finish`] or
/// [`SnapshotWriter::discard`], the next start removes it.
pub(super) struct SnapshotWriter {
    shard: Shard,
    file: DirectFile,
    /// Under its final name.
    path: String,
    unfinished: String,
    dir: String,
    header: SnapshotHeader,
    seed: ChunkSeed,
    sum: Trailer,
    offset: u64,
    /// Memory of the next chunk.
    buffer: Option<Buffer>,
}

impl SnapshotWriter {
    pub(super) async fn create(
        store: &SnapshotStore,
        header: SnapshotHeader,
    ) -> Result<SnapshotWriter, GroupError> {
        let shard = store.shard.clone();
        let path = store.path(header.boundary.position);
        let unfinished = format!("{path}{NEW}");
        let file = create_file(&shard, &unfinished).await?;
        let mut block = shard.buffer(BLOCK);
        let seed = header.write(store.identity, &mut block);
        let mut writer = SnapshotWriter {
            shard,
            file,
            path,
            unfinished,
            dir: store.dir.clone(),
            header,
            seed,
            sum: Trailer::EMPTY,
            offset: 0,
            buffer: None,
        };
        writer.write_block(block).await?;
        Ok(writer)
    }

    /// Writes a chunk: a full one, or the last.
    pub(super) async fn chunk(&mut self, content: &[u8]) -> Result<(), GroupError> {
        assert!(content.len() == CONTENT || self.sum.bytes.is_multiple_of(CONTENT as u64), "full");
        let mut buffer = self.buffer.take().unwrap_or_else(|| self.shard.buffer(CHUNK));
        let (size, checksum) = write_chunk(self.seed, self.sum.chunks, content, &mut buffer);
        self.sum = self.sum.with(content.len(), checksum);
        let chunk = buffer.freeze();
        let written = self.file.write_at(&chunk, 0..size, self.offset).await;
        written.map_err(during("write", &self.unfinished))?;
        self.offset += size as u64;
        self.buffer = chunk.try_reuse().ok();
        Ok(())
    }

    /// Bytes that were written.
    pub(super) fn bytes(&self) -> u64 {
        self.offset
    }

    /// Makes the file durable and gives it its name. Returns its header and size.
    pub(super) async fn finish(mut self) -> Result<(SnapshotHeader, u64), GroupError> {
        let mut block = self.shard.buffer(BLOCK);
        self.sum.write(self.seed, &mut block);
        self.write_block(block).await?;
        self.file.sync_all().await.map_err(during("sync", &self.unfinished))?;
        let storage = self.shard.storage().clone();
        self.file.close().await.map_err(during("close", &self.unfinished))?;
        put_in_place(&storage, &self.unfinished, &self.path, &self.dir).await?;
        Ok((self.header, self.offset))
    }

    /// Removes the file.
    pub(super) async fn discard(self) {
        discard(&self.shard, self.file, &self.unfinished).await;
    }

    async fn write_block(&mut self, block: Buffer) -> Result<(), GroupError> {
        let written = self.file.write_at(&block.freeze(), 0..BLOCK, self.offset).await;
        written.map_err(during("write", &self.unfinished))?;
        self.offset += BLOCK as u64;
        Ok(())
    }
}

/// Makes an empty file in place of what another attempt may have left.
pub(super) async fn create_file(shard: &Shard, path: &str) -> Result<DirectFile, GroupError> {
    let storage = shard.storage();
    if storage.exists(path).await.map_err(during("look for", path))? {
        storage.remove_file(path).await.map_err(during("remove", path))?;
    }
    let options = OpenOptions { write: true, create: true, dsync: false };
    storage.open(path, options).await.map_err(during("create", path))
}

/// The moment from which on a durable file counts.
pub(super) async fn put_in_place(
    storage: &runtime::Storage,
    unfinished: &str,
    path: &str,
    dir: &str,
) -> Result<(), GroupError> {
    storage.rename(unfinished, path).await.map_err(during("rename", unfinished))?;
    storage.sync_dir(dir).await.map_err(during("sync", dir))
}

/// Closes and removes a file that will not be finished. What fails here is tried again at the next
/// start.
pub(super) async fn discard(shard: &Shard, file: DirectFile, path: &str) {
    let closed = file.close().await;
    let removed = shard.storage().remove_file(path).await;
    if let Err(error) = closed.and(removed) {
        tracing::warn!(path, %error, "cannot remove an unfinished snapshot");
    }
}
