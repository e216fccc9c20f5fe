//! Why a connection ended.

use std::fmt;
use std::io;

use wire::WireError;

/// Why a connection ended; for log lines and counters.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The other side has closed.
    EndOfStream,
    /// The connection failed below the protocol.
    Io(io::Error),
    /// The bytes cannot be understood.
    Wire(WireError),
    /// The first packet was not a handshake, or did not say who is there.
    Introduction,
    /// The handshake did not come in time.
    HandshakeTimeout,
    /// The handler could not understand a packet.
    Handler,
    /// This side wanted it.
    Asked,
}

impl CloseReason {
    /// Whether the other side broke the protocol.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, CloseReason::Wire(_) | CloseReason::Introduction | CloseReason::Handler)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::EndOfStream => formatter.write_str("closed by the other side"),
            CloseReason::Io(error) => write!(formatter, "{error}"),
            CloseReason::Wire(error) => write!(formatter, "not understood: {error}"),
            CloseReason::Introduction => formatter.write_str("no proper handshake"),
            CloseReason::HandshakeTimeout => formatter.write_str("no handshake in time"),
            CloseReason::Handler => formatter.write_str("a request was not understood"),
            CloseReason::Asked => formatter.write_str("closed by this side"),
        }
    }
}
