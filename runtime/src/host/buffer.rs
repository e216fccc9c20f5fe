//! Memory registered with the kernel for direct I/O.

use std::mem;
use std::ptr;
use std::rc::Rc;

use glommio::allocate_dma_buffer;
use glommio::io::{DmaBuffer, ReadResult};

use crate::buffer::BLOCK;

/// Memory for one owner: allocated here, or what a read brought.
pub(crate) enum HostBuffer {
    Own(DmaBuffer),
    Read(ReadResult),
}

impl HostBuffer {
    /// `len` bytes from the shard's registered memory, from the heap when that is used up.
    pub(crate) fn new(len: usize) -> HostBuffer {
        let mut buffer = allocate_dma_buffer(len.max(1));
        buffer.trim_to_size(len);
        assert_eq!(buffer.as_ptr() as usize % BLOCK, 0, "direct I/O needs aligned memory");
        HostBuffer::Own(buffer)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            HostBuffer::Own(buffer) => buffer.as_bytes(),
            HostBuffer::Read(result) => result,
        }
    }

    /// The bytes to change; those of a read are copied first, because the executor lends them.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        if let HostBuffer::Read(result) = self {
            *self = HostBuffer::Own(copy(result));
        }
        match self {
            HostBuffer::Own(buffer) => buffer.as_bytes_mut(),
            HostBuffer::Read(_) => unreachable!("replaced above"),
        }
    }

    pub(crate) fn share(self) -> SharedHostBuffer {
        SharedHostBuffer(Rc::new(match self {
            HostBuffer::Own(buffer) => buffer,
            HostBuffer::Read(result) => copy(&result),
        }))
    }
}

fn copy(bytes: &[u8]) -> DmaBuffer {
    let mut buffer = allocate_dma_buffer(bytes.len().max(1));
    buffer.trim_to_size(bytes.len());
    buffer.as_bytes_mut().copy_from_slice(bytes);
    buffer
}

/// Memory that many read and the kernel may be writing from.
#[derive(Clone)]
pub(crate) struct SharedHostBuffer(Rc<DmaBuffer>);

impl SharedHostBuffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn try_reuse(self) -> Result<HostBuffer, SharedHostBuffer> {
        Rc::try_unwrap(self.0).map(HostBuffer::Own).map_err(SharedHostBuffer)
    }

    /// The first `len` bytes as a buffer that can be written.
    pub(crate) fn prefix(&self, len: usize) -> Prefix {
        let whole = Rc::clone(&self.0);
        if len == whole.len() {
            let view = Rc::clone(&whole);
            return Prefix { whole: Some(whole), view: Some(view) };
        }
        // SAFETY: the copy shares its memory with `whole` and must never run its destructor.
        // `Prefix` owns the last reference to it and forgets it there; when it cannot, it leaks
        // both. Nobody changes the memory meanwhile, because `whole` is shared.
        let mut view = unsafe { ptr::read(Rc::as_ptr(&whole)) };
        view.trim_to_size(len);
        Prefix { whole: Some(whole), view: Some(Rc::new(view)) }
    }
}

/// The beginning of a shared buffer, for one write. The executor writes whole buffers and can
/// only shorten them for good; a batch buffer must come back at its full length.
pub(crate) struct Prefix {
    whole: Option<Rc<DmaBuffer>>,
    /// The same allocation as `whole`, or a shorter view of its memory.
    view: Option<Rc<DmaBuffer>>,
}

impl Prefix {
    /// What to hand to the executor.
    pub(crate) fn buffer(&self) -> Rc<DmaBuffer> {
        self.view.clone().unwrap_or_else(|| unreachable!("present until dropped"))
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let (Some(whole), Some(view)) = (self.whole.take(), self.view.take()) else { return };
        if Rc::ptr_eq(&whole, &view) {
            return;
        }
        match Rc::try_unwrap(view) {
            Ok(view) => mem::forget(view),
            Err(view) => {
                // The write did not end, as when the executor ends before it: the kernel may
                // still read the memory, which therefore stays.
                mem::forget(view);
                mem::forget(whole);
            }
        }
    }
}
