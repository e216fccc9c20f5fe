//! Direct files.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use glommio::io::DmaFile;

use crate::OpenOptions;
use crate::buffer::{Buffer, SharedBuffer, SharedMemory};
use crate::host::{HostBuffer, SharedHostBuffer};

/// An open file; clones share it.
#[derive(Clone)]
pub(crate) struct HostFile(Rc<OpenFile>);

struct OpenFile {
    file: DmaFile,
    len: Cell<u64>,
}

impl HostFile {
    pub(crate) async fn open(path: &Path, options: OpenOptions) -> io::Result<HostFile> {
        let file = glommio::io::OpenOptions::new()
            .read(true)
            .write(options.write)
            .create_new(options.create)
            .custom_flags(if options.dsync { libc::O_DSYNC } else { 0 })
            .dma_open(path)
            .await?;
        let len = Cell::new(length_of(&file)?);
        Ok(HostFile(Rc::new(OpenFile { file, len })))
    }

    /// The write runs as a task of its own, so that dropping this future never leaves it
    /// half submitted, and the memory stays until the kernel is done with it.
    pub(crate) async fn write_at(
        &self,
        data: &SharedBuffer,
        range: Range<usize>,
        offset: u64,
    ) -> io::Result<()> {
        let (buffer, len) = (writable(data, &range), range.len());
        let file = Rc::clone(&self.0);
        let write = async move {
            let prefix = buffer.prefix(len);
            let written = file.file.write_rc_at(prefix.buffer(), offset).await?;
            if written != len {
                let text = format!("{written} of {len} bytes were written at {offset}");
                return Err(io::Error::new(io::ErrorKind::WriteZero, text));
            }
            file.len.set(file.len.get().max(offset + len as u64));
            Ok(())
        };
        match glommio::spawn_local(write).detach().await {
            Some(result) => result,
            None => Err(io::Error::other("the executor ended during a write")),
        }
    }

    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> io::Result<Buffer> {
        // What the device returns behind the end is not the file's, so it is not asked for.
        let rest = self.0.len.get().saturating_sub(offset);
        let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(len);
        if wanted == 0 {
            return Ok(Buffer::from_host(HostBuffer::new(0)));
        }
        let result = self.0.file.read_at_aligned(offset, len).await?;
        let mut buffer = Buffer::from_host(HostBuffer::Read(result));
        buffer.truncate(wanted.min(buffer.len()));
        Ok(buffer)
    }

    pub(crate) async fn sync_data(&self) -> io::Result<()> {
        Ok(self.0.file.fdatasync().await?)
    }

    pub(crate) async fn sync_all(&self) -> io::Result<()> {
        // A descriptor of its own, which stays open when this future is dropped.
        let file = File::from(duplicate(&self.0.file)?);
        glommio::executor().spawn_blocking(move || file.sync_all()).await
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len.get()
    }

    pub(crate) async fn close(self) -> io::Result<()> {
        match Rc::try_unwrap(self.0) {
            Ok(open) => Ok(open.file.close().await?),
            Err(_) => Ok(()),
        }
    }
}

/// The bytes of `range` at the start of a buffer; they are copied when they are not there.
fn writable(data: &SharedBuffer, range: &Range<usize>) -> SharedHostBuffer {
    match data.memory() {
        SharedMemory::Host(memory) if range.start == 0 => memory.clone(),
        _ => {
            let mut copy = HostBuffer::new(range.len());
            copy.bytes_mut().copy_from_slice(&data[range.clone()]);
            copy.share()
        }
    }
}

/// By descriptor: the executor's own call goes by path, which may name another file by now.
fn length_of(file: &DmaFile) -> io::Result<u64> {
    // SAFETY: the descriptor is open, and `ManuallyDrop` leaves it so.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(file.as_raw_fd()) });
    Ok(file.metadata()?.len())
}

fn duplicate(file: &DmaFile) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open while `file` is borrowed.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }.try_clone_to_owned()
}
