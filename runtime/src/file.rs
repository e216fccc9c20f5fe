//! Files: direct, positional, and durable only when a sync or an O_DSYNC write says so.

use std::io;
use std::ops::Range;

use crate::buffer::{BLOCK, Buffer, SharedBuffer};
use crate::{host, sim};

/// The node's data directory. All paths are relative to it and use `/`.
#[derive(Clone)]
pub struct Storage(StorageInner);

#[derive(Clone)]
enum StorageInner {
    Host(host::HostStorage),
    Sim(sim::SimStorage),
}

/// How to open a file; every file can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenOptions {
    /// Allow writes.
    pub write: bool,
    /// Make the file, which must not exist; otherwise it must.
    pub create: bool,
    /// Each write is durable when it returns.
    pub dsync: bool,
}

/// An open file without page cache: offsets and lengths are multiples of [`BLOCK`].
///
/// Clones are the same open file.
#[derive(Clone)]
pub struct DirectFile(FileInner);

#[derive(Clone)]
enum FileInner {
    Host(host::HostFile),
    Sim(sim::SimFile),
}

macro_rules! on_storage {
    ($self:ident, $storage:ident => $call:expr) => {
        match &$self.0 {
            StorageInner::Host($storage) => $call.await,
            StorageInner::Sim($storage) => $call.await,
        }
    };
}

impl Storage {
    pub(crate) fn from_host(storage: host::HostStorage) -> Storage {
        Storage(StorageInner::Host(storage))
    }

    pub(crate) fn from_sim(storage: sim::SimStorage) -> Storage {
        Storage(StorageInner::Sim(storage))
    }

    /// Makes a directory and those above it; fine when it exists. Not durable before
    /// [`sync_dir`](Self::sync_dir) of the directories above.
    pub async fn create_dir_all(&self, path: &str) -> io::Result<()> {
        on_storage!(self, storage => storage.create_dir_all(path))
    }

    /// Names in a directory, sorted.
    pub async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        on_storage!(self, storage => storage.list(dir))
    }

    /// Whether there is a file or directory of this name.
    pub async fn exists(&self, path: &str) -> io::Result<bool> {
        on_storage!(self, storage => storage.exists(path))
    }

    /// Gives a file another name, replacing what had it; open handles stay valid. Durable after
    /// [`sync_dir`](Self::sync_dir).
    pub async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        on_storage!(self, storage => storage.rename(from, to))
    }

    /// Removes a file. Durable after [`sync_dir`](Self::sync_dir).
    pub async fn remove_file(&self, path: &str) -> io::Result<()> {
        on_storage!(self, storage => storage.remove_file(path))
    }

    /// Removes a directory with everything in it.
    pub async fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        on_storage!(self, storage => storage.remove_dir_all(path))
    }

    /// Makes the directory's entries durable: creations, renames and removals in it.
    pub async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        on_storage!(self, storage => storage.sync_dir(dir))
    }

    /// Opens a file.
    pub async fn open(&self, path: &str, options: OpenOptions) -> io::Result<DirectFile> {
        Ok(DirectFile(match &self.0 {
            StorageInner::Host(storage) => FileInner::Host(storage.open(path, options).await?),
            StorageInner::Sim(storage) => FileInner::Sim(storage.open(path, options).await?),
        }))
    }
}

impl DirectFile {
    /// Writes `data[range]` at `offset`, all of it or an error.
    ///
    /// After an error nothing is known of the bytes there. Dropping the future does not stop the
    /// write, so nothing may be written to the same place before it is known to have ended.
    ///
    /// # Panics
    /// When the range lies outside of the data, or it or the offset is not in whole blocks.
    pub async fn write_at(
        &self,
        data: &SharedBuffer,
        range: Range<usize>,
        offset: u64,
    ) -> io::Result<()> {
        assert!(range.start <= range.end && range.end <= data.len(), "write range outside of data");
        assert!(is_blocks(range.start as u64), "a write starts on a block of its buffer");
        assert!(is_blocks(range.len() as u64), "a write has whole blocks");
        assert!(is_blocks(offset), "a write goes to a whole block");
        if range.is_empty() {
            return Ok(());
        }
        match &self.0 {
            FileInner::Host(file) => file.write_at(data, range, offset).await,
            FileInner::Sim(file) => file.write_at(&data[range], offset).await,
        }
    }

    /// Reads `len` bytes at `offset`; fewer only at the end of the file, none behind it.
    ///
    /// # Panics
    /// When length or offset are not in whole blocks.
    pub async fn read_at(&self, offset: u64, len: usize) -> io::Result<Buffer> {
        assert!(is_blocks(offset) && is_blocks(len as u64), "a read has whole blocks");
        match &self.0 {
            FileInner::Host(file) => file.read_at(offset, len).await,
            FileInner::Sim(file) => file.read_at(offset, len).await,
        }
    }

    /// Makes the written data durable, and the length where it grew.
    ///
    /// After an error no write since the last success may be taken as durable, ever.
    pub async fn sync_data(&self) -> io::Result<()> {
        match &self.0 {
            FileInner::Host(file) => file.sync_data().await,
            FileInner::Sim(file) => file.sync_data().await,
        }
    }

    /// [`sync_data`](Self::sync_data), and everything else the file system knows of the file.
    pub async fn sync_all(&self) -> io::Result<()> {
        match &self.0 {
            FileInner::Host(file) => file.sync_all().await,
            FileInner::Sim(file) => file.sync_all().await,
        }
    }

    /// Length in bytes: that at opening, grown by the writes of this handle and its clones.
    #[expect(clippy::len_without_is_empty, reason = "a file is no collection")]
    pub fn len(&self) -> u64 {
        match &self.0 {
            FileInner::Host(file) => file.len(),
            FileInner::Sim(file) => file.len(),
        }
    }

    /// Closes the file when this is its last handle.
    pub async fn close(self) -> io::Result<()> {
        match self.0 {
            FileInner::Host(file) => file.close().await,
            FileInner::Sim(file) => file.close().await,
        }
    }
}

fn is_blocks(count: u64) -> bool {
    count.is_multiple_of(BLOCK as u64)
}
