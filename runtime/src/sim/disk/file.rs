//! Files and directories as a node's fibers use them.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::device::Disk;
use super::faults::{DiskEffect, DiskOperation};
use super::image::{Durability, Version};
use super::operation::extra_delay;
use super::page::pages_of;
use super::tree::FileId;
use crate::OpenOptions;
use crate::buffer::Buffer;
use crate::sim::kernel::Kernel;
use crate::sim::node::NodeKey;

/// A node's data directory: the root of its disk.
#[derive(Clone)]
pub(crate) struct SimStorage {
    kernel: Rc<Kernel>,
    node: NodeKey,
}

impl SimStorage {
    pub(crate) fn new(kernel: Rc<Kernel>, node: NodeKey) -> SimStorage {
        SimStorage { kernel, node }
    }

    pub(crate) async fn create_dir_all(&self, path: &str) -> io::Result<()> {
        self.change(path, |disk| disk.tree.create_directories(path)).await
    }

    pub(crate) async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.change(dir, |disk| disk.tree.list(dir)).await
    }

    pub(crate) async fn exists(&self, path: &str) -> io::Result<bool> {
        let found = self.change(path, |disk| disk.tree.find(path)).await;
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(from, |disk| disk.tree.rename(from, to)).await
    }

    pub(crate) async fn remove_file(&self, path: &str) -> io::Result<()> {
        self.change(path, |disk| disk.tree.remove_file(path)).await
    }

    pub(crate) async fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.change(path, |disk| disk.tree.remove_directory(path)).await
    }

    pub(crate) async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.change_at(dir, Effects::AtTheEnd, |disk| {
            disk.tree.sync(dir)?;
            disk.collect_garbage();
            Ok(())
        })
        .await
    }

    pub(crate) async fn open(&self, path: &str, options: OpenOptions) -> io::Result<SimFile> {
        let open = |disk: &mut Disk| {
            let file =
                if options.create { disk.create(path)? } else { disk.tree.find_file(path)? };
            let len = Cell::new(disk.image(file)?.len(Version::Live));
            disk.add_handle(file);
            let (kernel, node) = (Rc::clone(&self.kernel), self.node);
            Ok(SimFile(Rc::new(OpenFile { kernel, node, file, options, len })))
        };
        self.change(path, open).await
    }

    /// Does an operation on names. The tape says whether it takes effect at the start or at the end
    /// of its time: a process that dies meanwhile cannot tell.
    async fn change<R>(
        &self,
        path: &str,
        change: impl FnOnce(&mut Disk) -> io::Result<R>,
    ) -> io::Result<R> {
        let effects = match self.kernel.choose("disk.directory.early", 2) {
            0 => Effects::AtTheEnd,
            _ => Effects::AtTheStart,
        };
        self.change_at(path, effects, change).await
    }

    async fn change_at<R>(
        &self,
        path: &str,
        effects: Effects,
        change: impl FnOnce(&mut Disk) -> io::Result<R>,
    ) -> io::Result<R> {
        let (delay, effect) = self.kernel.with_tape(|tape| {
            let mut disks = self.kernel.disks.borrow_mut();
            let disk = disks.disk(self.node);
            let delay = disk.latency(tape, DiskOperation::Directory);
            (delay, disk.faults.strike(tape, DiskOperation::Directory, path, &(0..0)))
        });
        let delay = self.kernel.disk_wait(self.node, delay + extra_delay(effect));
        if let Some(DiskEffect::Error(number)) = effect {
            delay.await?;
            return Err(io::Error::from_raw_os_error(number));
        }
        let change = || {
            let mut disks = self.kernel.disks.borrow_mut();
            let disk = disks.disk(self.node);
            disk.count_step(true);
            change(disk)
        };
        match effects {
            Effects::AtTheStart => {
                let result = change();
                delay.await?;
                result
            }
            Effects::AtTheEnd => {
                delay.await?;
                change()
            }
        }
    }
}

/// When an operation on names takes effect.
enum Effects {
    AtTheStart,
    AtTheEnd,
}

/// An open file.
#[derive(Clone)]
pub(crate) struct SimFile(Rc<OpenFile>);

struct OpenFile {
    kernel: Rc<Kernel>,
    node: NodeKey,
    file: FileId,
    options: OpenOptions,
    len: Cell<u64>,
}

impl SimFile {
    pub(crate) async fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let OpenFile { kernel, node, file, options, len } = &*self.0;
        if !options.write {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let durability = if options.dsync { Durability::Durable } else { Durability::Volatile };
        kernel.trace_write(data);
        kernel.disk_write(*node, *file, offset, pages_of(data), durability).await?;
        len.set(len.get().max(offset + data.len() as u64));
        Ok(())
    }

    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> io::Result<Buffer> {
        let OpenFile { kernel, node, file, .. } = &*self.0;
        let buffer = kernel.disk_read(*node, *file, offset, len).await?;
        buffer.ok_or_else(|| io::Error::other("a read without bytes"))
    }

    pub(crate) async fn sync_data(&self) -> io::Result<()> {
        self.0.kernel.disk_sync(self.0.node, self.0.file).await.map(drop)
    }

    pub(crate) async fn sync_all(&self) -> io::Result<()> {
        self.sync_data().await
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len.get()
    }

    #[expect(clippy::unused_async, reason = "closing is asynchronous on the other backend")]
    pub(crate) async fn close(self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.kernel.disks.borrow_mut().disk(self.node).drop_handle(self.file);
    }
}
