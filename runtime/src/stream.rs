//! Streams of bytes between nodes and clients.

use std::io;
use std::net::SocketAddr;

use crate::shard::{Backend, Shard};
use crate::{host, sim};

/// Makes listeners and connections.
#[derive(Clone)]
pub struct Network(NetworkInner);

#[derive(Clone)]
enum NetworkInner {
    Host(host::HostNetwork),
    Sim(sim::SimNetwork),
}

/// How to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListenOptions {
    /// Let other shards of this process listen on the same address too.
    pub reuse_port: bool,
}

impl Network {
    pub(crate) fn from_host(network: host::HostNetwork) -> Network {
        Network(NetworkInner::Host(network))
    }

    pub(crate) fn from_sim(network: sim::SimNetwork) -> Network {
        Network(NetworkInner::Sim(network))
    }

    /// Listens on `address`; port 0 lets the system choose one.
    pub async fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<Listener> {
        Ok(Listener(match &self.0 {
            NetworkInner::Host(network) => {
                ListenerInner::Host(network.listen(address, options).await?)
            }
            NetworkInner::Sim(network) => {
                ListenerInner::Sim(network.listen(address, options).await?)
            }
        }))
    }

    /// Connects to `address`. May take as long as the system tries: put a timeout around it.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        Ok(Stream(match &self.0 {
            NetworkInner::Host(network) => StreamInner::Host(network.connect(address).await?),
            NetworkInner::Sim(network) => StreamInner::Sim(network.connect(address).await?),
        }))
    }
}

/// Accepts connections; dropping it stops listening.
pub struct Listener(ListenerInner);

enum ListenerInner {
    Host(host::HostListener),
    Sim(sim::SimListener),
}

impl Listener {
    /// The next connection. Dropping the future loses none.
    ///
    /// # Errors
    /// Errors of single connections and shortage of descriptors: wait a little and go on.
    pub async fn accept(&self) -> io::Result<Stream> {
        Ok(Stream(match &self.0 {
            ListenerInner::Host(listener) => StreamInner::Host(listener.accept().await?),
            ListenerInner::Sim(listener) => StreamInner::Sim(listener.accept().await?),
        }))
    }

    /// The address listened on, with the port that was chosen.
    pub fn local_addr(&self) -> SocketAddr {
        match &self.0 {
            ListenerInner::Host(listener) => listener.local_addr(),
            ListenerInner::Sim(listener) => listener.local_addr(),
        }
    }
}

/// A connection.
pub struct Stream(StreamInner);

enum StreamInner {
    Host(host::HostStream),
    Sim(sim::SimStream),
}

impl Stream {
    /// The two directions, for two fibers. The connection closes when both are dropped.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        match self.0 {
            StreamInner::Host(stream) => {
                let (read, write) = stream.split();
                (ReadHalf(ReadInner::Host(read)), WriteHalf(WriteInner::Host(write)))
            }
            StreamInner::Sim(stream) => {
                let (read, write) = stream.split();
                (ReadHalf(ReadInner::Sim(read)), WriteHalf(WriteInner::Sim(write)))
            }
        }
    }

    /// Address of the other side.
    pub fn peer_addr(&self) -> SocketAddr {
        match &self.0 {
            StreamInner::Host(stream) => stream.peer_addr(),
            StreamInner::Sim(stream) => stream.peer_addr(),
        }
    }

    /// Takes the connection off this shard, so that another one can have it. No byte is lost.
    pub fn detach(self) -> DetachedStream {
        DetachedStream(match self.0 {
            StreamInner::Host(stream) => DetachedInner::Host(stream.detach()),
            StreamInner::Sim(stream) => DetachedInner::Sim(stream.detach()),
        })
    }
}

/// A connection on its way to another shard.
pub struct DetachedStream(DetachedInner);

enum DetachedInner {
    Host(host::HostDetached),
    Sim(sim::SimDetached),
}

impl DetachedStream {
    /// The connection on `shard`, which must be the one that runs the caller.
    pub fn attach(self, shard: &Shard) -> io::Result<Stream> {
        match (self.0, shard.backend()) {
            (DetachedInner::Host(stream), Backend::Host(_)) => {
                Ok(Stream(StreamInner::Host(stream.attach()?)))
            }
            (DetachedInner::Sim(stream), Backend::Sim(shard)) => {
                Ok(Stream(StreamInner::Sim(stream.attach(shard)?)))
            }
            _ => Err(io::Error::other("the stream comes from another backend")),
        }
    }
}

/// The receiving direction of a connection.
pub struct ReadHalf(ReadInner);

enum ReadInner {
    Host(host::HostReadHalf),
    Sim(sim::SimReadHalf),
}

impl ReadHalf {
    /// Reads what is there, waiting for at least one byte; 0 at the end of the stream. Dropping
    /// the future loses nothing.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            ReadInner::Host(half) => half.read(buffer).await,
            ReadInner::Sim(half) => half.read(buffer).await,
        }
    }
}

/// The sending direction of a connection.
pub struct WriteHalf(WriteInner);

enum WriteInner {
    Host(host::HostWriteHalf),
    Sim(sim::SimWriteHalf),
}

impl WriteHalf {
    /// Sends all of `bytes`. When the future is dropped an unknown part of them has left, so the
    /// connection must be closed then.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            WriteInner::Host(half) => half.write_all(bytes).await,
            WriteInner::Sim(half) => half.write_all(bytes).await,
        }
    }

    /// Ends both directions at once; the other half's read returns 0 or an error.
    pub fn shutdown(&self) {
        match &self.0 {
            WriteInner::Host(half) => half.shutdown(),
            WriteInner::Sim(half) => half.shutdown(),
        }
    }
}
