//! A connection that never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Socket as NewSocket, Type};

pub(super) struct Socket {
    stream: TcpStream,
    pub(super) is_connected: bool,
    /// Being written; the part before `written` is.
    sending: Vec<u8>,
    written: usize,
}

impl Socket {
    /// Starts to connect.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Socket> {
        let socket = NewSocket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let stream = socket.into();
        Ok(Socket { stream, is_connected: false, sending: Vec::new(), written: 0 })
    }

    /// Says how the attempt to connect has ended.
    pub(super) fn finish_connect(&mut self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => {
                self.is_connected = true;
                Ok(())
            }
        }
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Whether a writable socket would be of use.
    pub(super) fn wants_write(&self) -> bool {
        !self.is_connected || self.written < self.sending.len()
    }

    /// Writes what there is, as far as the system takes it. `outgoing` is emptied; its buffer
    /// changes places with the one that was written before, so that nothing is copied.
    pub(super) fn send(&mut self, outgoing: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let rest = self.sending.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                self.sending.clear();
                self.written = 0;
                if outgoing.is_empty() {
                    return Ok(());
                }
                std::mem::swap(&mut self.sending, outgoing);
                continue;
            }
            match self.stream.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what is there; `None` if that is nothing now.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
