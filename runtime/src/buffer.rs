//! Memory that direct I/O can read and write: aligned, and shareable once it is filled.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use crate::host;

/// Size and alignment that every direct write and read keeps to.
pub const BLOCK: usize = 4096;

/// Bytes that one owner may change; starts on a [`BLOCK`] boundary.
pub struct Buffer {
    memory: Memory,
    len: usize,
}

enum Memory {
    Host(host::HostBuffer),
    Plain(PlainMemory),
}

impl Buffer {
    pub(crate) fn from_host(memory: host::HostBuffer) -> Buffer {
        let len = memory.len();
        Buffer { memory: Memory::Host(memory), len }
    }

    pub(crate) fn from_plain(memory: PlainMemory) -> Buffer {
        let len = memory.bytes().len();
        Buffer { memory: Memory::Plain(memory), len }
    }

    /// Shortens the buffer to `len` bytes; the memory stays.
    ///
    /// # Panics
    /// When `len` is more than the buffer has.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "a buffer cannot grow by truncation");
        self.len = len;
    }

    /// Makes the bytes readable by many and changeable by none.
    pub fn freeze(self) -> SharedBuffer {
        let memory = match self.memory {
            Memory::Host(memory) => SharedMemory::Host(memory.share()),
            Memory::Plain(memory) => SharedMemory::Plain(Rc::new(memory)),
        };
        SharedBuffer { memory, len: self.len }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes = match &self.memory {
            Memory::Host(memory) => memory.bytes(),
            Memory::Plain(memory) => memory.bytes(),
        };
        &bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let bytes = match &mut self.memory {
            Memory::Host(memory) => memory.bytes_mut(),
            Memory::Plain(memory) => memory.bytes_mut(),
        };
        &mut bytes[..self.len]
    }
}

/// Bytes that many may read; cloning shares them.
#[derive(Clone)]
pub struct SharedBuffer {
    memory: SharedMemory,
    len: usize,
}

#[derive(Clone)]
pub(crate) enum SharedMemory {
    Host(host::SharedHostBuffer),
    Plain(Rc<PlainMemory>),
}

impl SharedBuffer {
    /// The memory back at its full length, when this was the last handle to it.
    ///
    /// # Errors
    /// The buffer itself, when it is still shared.
    pub fn try_reuse(self) -> Result<Buffer, SharedBuffer> {
        let len = self.len;
        match self.memory {
            SharedMemory::Host(memory) => match memory.try_reuse() {
                Ok(memory) => Ok(Buffer::from_host(memory)),
                Err(memory) => Err(SharedBuffer { memory: SharedMemory::Host(memory), len }),
            },
            SharedMemory::Plain(memory) => match Rc::try_unwrap(memory) {
                Ok(memory) => Ok(Buffer::from_plain(memory)),
                Err(memory) => Err(SharedBuffer { memory: SharedMemory::Plain(memory), len }),
            },
        }
    }

    pub(crate) fn memory(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Deref for SharedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes = match &self.memory {
            SharedMemory::Host(memory) => memory.bytes(),
            SharedMemory::Plain(memory) => memory.bytes(),
        };
        &bytes[..self.len]
    }
}

/// Aligned memory from the ordinary allocator, for the simulated backend.
pub(crate) struct PlainMemory {
    start: NonNull<u8>,
    len: usize,
}

impl PlainMemory {
    /// Memory in which every byte is `fill`.
    pub(crate) fn filled(len: usize, fill: u8) -> PlainMemory {
        let Some(layout) = Self::layout(len) else {
            return PlainMemory { start: NonNull::dangling(), len: 0 };
        };
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        // SAFETY: so many bytes were allocated.
        unsafe { start.write_bytes(fill, len) };
        PlainMemory { start, len }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised bytes as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    fn layout(len: usize) -> Option<Layout> {
        if len == 0 { None } else { Layout::from_size_align(len, BLOCK).ok() }
    }
}

impl Drop for PlainMemory {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: allocated in `filled` with the same layout.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_come_back_at_full_length() {
        let mut buffer = Buffer::from_plain(PlainMemory::filled(3 * BLOCK, 0xa5));
        assert_eq!(buffer.as_ptr() as usize % BLOCK, 0);
        buffer[0] = 1;
        buffer.truncate(BLOCK);
        assert_eq!(buffer.len(), BLOCK);
        let shared = buffer.freeze();
        let other = shared.clone();
        let shared = shared.try_reuse().err().expect("still shared");
        drop(other);
        let buffer = shared.try_reuse().ok().expect("the last one");
        assert_eq!((buffer.len(), buffer[0], buffer[BLOCK]), (3 * BLOCK, 1, 0xa5));
    }

    #[test]
    fn an_empty_buffer_is_fine() {
        let buffer = Buffer::from_plain(PlainMemory::filled(0, 0));
        assert!(buffer.is_empty());
        assert!(buffer.freeze().is_empty());
    }
}
