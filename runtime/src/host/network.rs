//! TCP.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::ListenOptions;

/// Connections that the kernel holds ready before they are accepted.
const BACKLOG: i32 = 1024;

#[derive(Clone)]
pub(crate) struct HostNetwork;

impl HostNetwork {
    /// The socket is made here, because the executor's own call always shares the port, and a
    /// second server would start silently and take part of the connections.
    pub(crate) async fn listen(
        &self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<HostListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(options.reuse_port)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        // SAFETY: the descriptor is an open listener that nothing else owns.
        let listener = unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Ok(HostListener { listener, local })
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<HostStream> {
        HostStream::new(TcpStream::connect(address).await?)
    }
}

pub(crate) struct HostListener {
    listener: TcpListener,
    local: SocketAddr,
}

impl HostListener {
    /// The executor keeps an accept that was started for the next call.
    pub(crate) async fn accept(&self) -> io::Result<HostStream> {
        HostStream::new(self.listener.accept().await?)
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// An open connection that is shut down before it is closed: the executor closes late, and the
/// other side should hear of the end at once.
struct Connection(Option<TcpStream>);

impl Connection {
    fn descriptor(&self) -> Option<RawFd> {
        self.0.as_ref().map(AsRawFd::as_raw_fd)
    }

    fn shutdown(&self) {
        if let Some(descriptor) = self.descriptor() {
            // SAFETY: the descriptor is open as long as the stream is there.
            let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
            // An error says that the connection has already ended.
            let _ = SockRef::from(&descriptor).shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shutdown();
    }
}

pub(crate) struct HostStream {
    connection: Connection,
    peer: SocketAddr,
}

impl HostStream {
    fn new(stream: TcpStream) -> io::Result<HostStream> {
        stream.set_nodelay(true)?;
        // SAFETY: the descriptor is open while `stream` is there.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        SockRef::from(&descriptor).set_cloexec(true)?;
        let peer = stream.peer_addr()?;
        Ok(HostStream { connection: Connection(Some(stream)), peer })
    }

    pub(crate) fn split(self) -> (HostReadHalf, HostWriteHalf) {
        let shared = Rc::new(RefCell::new(self.connection));
        (HostReadHalf(Rc::clone(&shared)), HostWriteHalf(shared))
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn detach(mut self) -> HostDetached {
        let descriptor = self.connection.0.take().map(|stream| {
            // SAFETY: the stream gave up the descriptor.
            unsafe { OwnedFd::from_raw_fd(stream.into_raw_fd()) }
        });
        HostDetached(descriptor)
    }
}

/// The descriptor alone; absent only when there was none.
pub(crate) struct HostDetached(Option<OwnedFd>);

impl HostDetached {
    pub(crate) fn attach(self) -> io::Result<HostStream> {
        let descriptor = self.0.ok_or(io::ErrorKind::NotConnected)?;
        // SAFETY: the descriptor is an open socket that nothing else owns.
        HostStream::new(unsafe { TcpStream::from_raw_fd(descriptor.into_raw_fd()) })
    }
}

pub(crate) struct HostReadHalf(Rc<RefCell<Connection>>);

impl HostReadHalf {
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| match &mut self.0.borrow_mut().0 {
            Some(stream) => Pin::new(stream).poll_read(context, buffer),
            None => Err(io::ErrorKind::NotConnected.into()).into(),
        })
        .await
    }
}

pub(crate) struct HostWriteHalf(Rc<RefCell<Connection>>);

impl HostWriteHalf {
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = poll_fn(|context| match &mut self.0.borrow_mut().0 {
                Some(stream) => Pin::new(stream).poll_write(context, rest),
                None => Err(io::ErrorKind::NotConnected.into()).into(),
            })
            .await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    pub(crate) fn shutdown(&self) {
        self.0.borrow().shutdown();
    }
}
