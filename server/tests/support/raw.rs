//! A connection on which a test sends whatever bytes it likes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use wire::{
    Command, ConnectionLimits, Handshake, Packet, ProcessId, RequestHead, Splitter, Writer,
    encode_request,
};

use crate::process::DEADLINE;

/// Any process but the nameless one.
const PROCESS: ProcessId = ProcessId { high: 7, low: 9 };
/// What a caller gives a request in these tests.
pub(crate) const BUDGET: Duration = Duration::from_secs(60);

/// A connection, and what has come on it.
pub(crate) struct RawConnection {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// What an answer says.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) seq: i32,
    pub(crate) resp_code: i32,
    pub(crate) message: String,
}

impl RawConnection {
    /// A connection on which nothing was said yet.
    pub(crate) fn connect(address: SocketAddr) -> RawConnection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        RawConnection { stream, received: Vec::new() }
    }

    /// A connection that has introduced itself.
    pub(crate) fn introduced(address: SocketAddr) -> RawConnection {
        let mut connection = RawConnection::connect(address);
        connection.send(&handshake(Some(PROCESS)));
        assert_eq!(connection.answer().resp_code, 0);
        connection
    }

    /// Sends bytes; the other side may have closed.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nobody reads"),
            _ => {}
        }
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.next("a request").expect("an answer, and the connection was closed")
    }

    /// Checks that the other side closes without another answer.
    pub(crate) fn expect_close(&mut self, after: &str) {
        assert_eq!(self.next(after), None, "after {after}");
    }

    /// The next answer, or `None` when the connection is closed.
    fn next(&mut self, after: &str) -> Option<Answer> {
        let splitter = Splitter::new(8 << 20);
        let mut buffer = [0; 64 << 10];
        loop {
            if let Some((frame, consumed)) = splitter.split(&self.received).unwrap() {
                let Packet { seq, resp_code, msg, .. } = Packet::decode(frame).unwrap();
                let message = String::from_utf8(msg.to_vec()).unwrap();
                let answer = Answer { seq, resp_code, message };
                self.received.drain(..consumed);
                return Some(answer);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("neither an answer nor a close after {after}: {error}"),
            }
        }
    }
}

/// A request with this time budget.
pub(crate) fn request(
    command: Command,
    seq: i32,
    timeout_nanos: i64,
    body: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = RequestHead { command, seq, timeout_nanos, one_way: false };
    encode_request(&mut bytes, &head, body);
    bytes
}

/// The time budget of an ordinary request.
pub(crate) fn budget() -> i64 {
    BUDGET.as_nanos() as i64
}

/// The first packet of a connection.
pub(crate) fn handshake(process: Option<ProcessId>) -> Vec<u8> {
    let handshake = Handshake { process, ..Handshake::response(ConnectionLimits::default()) };
    request(Command::HANDSHAKE, 1, budget(), |writer| handshake.encode(writer))
}
