//! The simulated backend.
//!
//! Placeholders with the calls that the types of this crate make.
#![expect(clippy::unimplemented, clippy::unused_async, dead_code, reason = "placeholders")]
#![expect(unused_variables, clippy::unused_self, reason = "placeholders")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use moment::{Moment, WallTime};

use crate::buffer::{Buffer, PlainMemory};
use crate::{ListenOptions, OpenOptions};

#[derive(Clone)]
pub(crate) struct SimShard;

impl SimShard {
    pub(crate) fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()>>>) {
        unimplemented!()
    }
    pub(crate) async fn pass(&self) {
        unimplemented!()
    }
    pub(crate) fn buffer(&self, len: usize) -> PlainMemory {
        PlainMemory::filled(len, 0xa5)
    }
}

#[derive(Clone)]
pub(crate) struct SimClock;

impl SimClock {
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
pub(crate) struct SimStorage;

impl SimStorage {
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
    pub(crate) async fn open(&self, path: &str, options: OpenOptions) -> io::Result<SimFile> {
        unimplemented!()
    }
}

#[derive(Clone)]
pub(crate) struct SimFile;

impl SimFile {
    pub(crate) async fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
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
pub(crate) struct SimNetwork;

impl SimNetwork {
    pub(crate) async fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<SimListener> {
        unimplemented!()
    }
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<SimStream> {
        unimplemented!()
    }
}

pub(crate) struct SimListener;

impl SimListener {
    pub(crate) async fn accept(&self) -> io::Result<SimStream> {
        unimplemented!()
    }
    pub(crate) fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }
}

pub(crate) struct SimStream;

impl SimStream {
    pub(crate) fn split(self) -> (SimReadHalf, SimWriteHalf) {
        unimplemented!()
    }
    pub(crate) fn peer_addr(&self) -> SocketAddr {
        unimplemented!()
    }
    pub(crate) fn detach(self) -> SimDetached {
        unimplemented!()
    }
}

/// Must be `Send`, because the outer type is.
pub(crate) struct SimDetached;

impl SimDetached {
    pub(crate) fn attach(self, shard: &SimShard) -> io::Result<SimStream> {
        unimplemented!()
    }
}

pub(crate) struct SimReadHalf;

impl SimReadHalf {
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
}

pub(crate) struct SimWriteHalf;

impl SimWriteHalf {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        unimplemented!()
    }
    pub(crate) fn shutdown(&self) {
        unimplemented!()
    }
}
