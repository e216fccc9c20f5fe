//! The production backend.
//!
//! Placeholders with the calls that the types of this crate make.
#![expect(clippy::unimplemented, clippy::unused_async, dead_code, reason = "placeholders")]
#![expect(unused_variables, clippy::unused_self, reason = "placeholders")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use moment::{Moment, WallTime};

use crate::buffer::{Buffer, SharedBuffer};
use crate::{BootError, BootPlan, Shard, StopHandle};
use crate::{ListenOptions, OpenOptions};

#[derive(Clone)]
pub(crate) struct HostShard;

impl HostShard {
    pub(crate) fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        unimplemented!()
    }
    pub(crate) async fn pass(&self) {
        unimplemented!()
    }
    pub(crate) fn buffer(&self, len: usize) -> HostBuffer {
        unimplemented!()
    }
}

#[derive(Clone)]
pub(crate) struct HostClock;

impl HostClock {
    pub(crate) fn now(&self) -> Moment {
        unimplemented!()
    }
    pub(crate) fn wall(&self) -> WallTime {
        unimplemented!()
    }
    pub(crate) async fn sleep_until(&self, moment: Moment) {
        unimplemented!()
    }
}

#[derive(Clone)]
pub(crate) struct HostStorage;

impl HostStorage {
    pub(crate) async fn create_dir_all(&self, path: &str) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        unimplemented!()
    }
    pub(crate) async fn exists(&self, path: &str) -> io::Result<bool> {
        unimplemented!()
    }
    pub(crate) async fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn remove_file(&self, path: &str) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn sync_dir(&self, dir: &str) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn open(&self, path: &str, options: OpenOptions) -> io::Result<HostFile> {
        unimplemented!()
    }
}

#[derive(Clone)]
pub(crate) struct HostFile;

impl HostFile {
    pub(crate) async fn write_at(
        &self,
        data: &SharedBuffer,
        range: std::ops::Range<usize>,
        offset: u64,
    ) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn read_at(&self, offset: u64, len: usize) -> io::Result<Buffer> {
        unimplemented!()
    }
    pub(crate) async fn sync_data(&self) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) async fn sync_all(&self) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn len(&self) -> u64 {
        unimplemented!()
    }
    pub(crate) async fn close(self) -> io::Result<()> {
        unimplemented!()
    }
}

#[derive(Clone)]
pub(crate) struct HostNetwork;

impl HostNetwork {
    pub(crate) async fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<HostListener> {
        unimplemented!()
    }
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<HostStream> {
        unimplemented!()
    }
}

pub(crate) struct HostListener;

impl HostListener {
    pub(crate) async fn accept(&self) -> io::Result<HostStream> {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }
}

pub(crate) struct HostStream;

impl HostStream {
    pub(crate) fn split(self) -> (HostReadHalf, HostWriteHalf) {
        unimplemented!()
    }
    pub(crate) fn peer_addr(&self) -> SocketAddr {
        unimplemented!()
    }
    pub(crate) fn detach(self) -> HostDetached {
        unimplemented!()
    }
}

pub(crate) struct HostDetached;

impl HostDetached {
    pub(crate) fn attach(self) -> io::Result<HostStream> {
        unimplemented!()
    }
}

pub(crate) struct HostReadHalf;

impl HostReadHalf {
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
}

pub(crate) struct HostWriteHalf;

impl HostWriteHalf {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn shutdown(&self) {
        unimplemented!()
    }
}

pub(crate) struct HostBuffer;

impl HostBuffer {
    pub(crate) fn len(&self) -> usize {
        unimplemented!()
    }
    pub(crate) fn bytes(&self) -> &[u8] {
        unimplemented!()
    }
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        unimplemented!()
    }
    pub(crate) fn share(self) -> SharedHostBuffer {
        unimplemented!()
    }
}

#[derive(Clone)]
pub(crate) struct SharedHostBuffer;

impl SharedHostBuffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        unimplemented!()
    }
    pub(crate) fn try_reuse(self) -> Result<HostBuffer, SharedHostBuffer> {
        unimplemented!()
    }
}

pub(crate) fn boot<E, F, Fut>(plan: BootPlan, stop: StopHandle, main: F) -> Result<(), E>
where
    E: From<BootError> + Send + 'static,
    F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), E>> + 'static,
{
    unimplemented!()
}
