//! An end of a connection, as a node's fibers hold it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Side;
use super::fabric::Fabric;
use crate::sim::arena::Key;
use crate::sim::kernel::Kernel;
use crate::sim::shard::SimShard;

/// Owns an end; the connection closes on this side when it is dropped.
pub(super) struct OpenEnd {
    kernel: Rc<Kernel>,
    key: Key,
    side: Side,
    is_released: bool,
}

impl OpenEnd {
    pub(super) fn new(kernel: Rc<Kernel>, key: Key, side: Side) -> OpenEnd {
        OpenEnd { kernel, key, side, is_released: false }
    }
}

impl Drop for OpenEnd {
    fn drop(&mut self) {
        if !self.is_released {
            self.kernel.network.borrow_mut().close(&self.kernel, self.key, self.side);
        }
    }
}

pub(crate) struct SimStream {
    end: OpenEnd,
    peer: SocketAddr,
}

impl SimStream {
    pub(super) fn new(end: OpenEnd, peer: SocketAddr) -> SimStream {
        SimStream { end, peer }
    }

    pub(crate) fn split(self) -> (SimReadHalf, SimWriteHalf) {
        let end = Rc::new(self.end);
        (SimReadHalf(Rc::clone(&end)), SimWriteHalf(end))
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn detach(mut self) -> SimDetached {
        self.end.is_released = true;
        let lost = Arc::clone(self.end.kernel.network.borrow().lost_ends());
        let end = Some((self.end.key, self.end.side));
        SimDetached { end, peer: self.peer, lost }
    }
}

/// Ends whose detached handles were dropped, wherever that was.
pub(super) type LostEnds = Mutex<Vec<(Key, Side)>>;

pub(crate) struct SimDetached {
    /// Absent once it is attached.
    end: Option<(Key, Side)>,
    peer: SocketAddr,
    lost: Arc<LostEnds>,
}

impl SimDetached {
    pub(crate) fn attach(mut self, shard: &SimShard) -> io::Result<SimStream> {
        let (key, side) = self.end.take().ok_or(io::ErrorKind::NotConnected)?;
        let end = OpenEnd::new(Rc::clone(shard.kernel()), key, side);
        Ok(SimStream::new(end, self.peer))
    }
}

impl Drop for SimDetached {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(end);
        }
    }
}

impl Fabric {
    /// Closes ends whose detached handles were dropped; false when there were none.
    pub(crate) fn close_lost_ends(&mut self, kernel: &Kernel) -> bool {
        let lost = {
            let mut lost = self.lost_ends().lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *lost)
        };
        for (key, side) in &lost {
            self.close(kernel, *key, *side);
        }
        !lost.is_empty()
    }
}

pub(crate) struct SimReadHalf(Rc<OpenEnd>);

impl SimReadHalf {
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let OpenEnd { kernel, key, side, .. } = &*self.0;
        poll_fn(|context| {
            kernel.network.borrow_mut().read(kernel, (*key, *side), buffer, context.waker())
        })
        .await
    }
}

pub(crate) struct SimWriteHalf(Rc<OpenEnd>);

impl SimWriteHalf {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let OpenEnd { kernel, key, side, .. } = &*self.0;
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = poll_fn(|context| {
                kernel.network.borrow_mut().write(kernel, (*key, *side), rest, context.waker())
            })
            .await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    pub(crate) fn shutdown(&self) {
        let OpenEnd { kernel, key, side, .. } = &*self.0;
        kernel.network.borrow_mut().shut_down(kernel, *key, *side);
    }
}
