//! How an operation can fail, sorted by what the caller can do about it.

use alloc::boxed::Box;
use core::fmt;

use wire::{BizCode, Command, RespCode, WireError};

use crate::argument::InvalidArgument;

/// Why an operation has no reply.
///
/// ```
/// use client_core::{Error, Reason};
///
/// // A write that the server may have executed must not be repeated blindly.
/// assert!(!Error::OutcomeUnknown(Reason::Timeout).is_safe_to_retry());
/// assert!(Error::Unavailable(Reason::NoLeader).is_safe_to_retry());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The tree refused the operation, and will again while it is as it is.
    Refused(BizCode),
    /// The server cannot take such a request: unknown command, wrong port, body not understood.
    Rejected(ServerError),
    /// Nothing was changed: the operation was certainly not executed, or it only reads. Repeating
    /// it is safe.
    Unavailable(Reason),
    /// A write was sent and its outcome cannot be known: it may have been executed, it may even be
    /// executed later.
    OutcomeUnknown(Reason),
    /// The operation was not sent: no server would accept it.
    InvalidArgument(InvalidArgument),
    /// The server's answer makes no sense. The outcome of a write is unknown.
    Protocol(ProtocolError),
}

impl Error {
    /// Whether repeating the operation can neither execute it twice nor fail for sure.
    pub fn is_safe_to_retry(&self) -> bool {
        matches!(self, Error::Unavailable(_))
    }

    /// Whether a write may have been executed.
    pub fn leaves_outcome_open(&self) -> bool {
        matches!(self, Error::OutcomeUnknown(_) | Error::Protocol(_))
    }
}

/// What stood between an operation and its reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The client has as many operations in flight as it may.
    ClientFull,
    /// No server that could have helped is connected.
    NoConnection,
    /// No leader that answers was found until the time was over.
    NoLeader,
    /// The answer did not come in time.
    Timeout,
    /// The connection broke before the answer came.
    Disconnected,
    /// The group has forgotten the client's session, and with it whether the write was executed.
    SessionExpired,
    /// The server said so.
    Server(ServerError),
}

/// A response code other than success, with the server's explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerError {
    /// The number on the wire.
    pub code: i32,
    /// For people; may be empty.
    pub message: Box<str>,
}

impl ServerError {
    /// The code, if this version knows it.
    pub fn resp_code(&self) -> Option<RespCode> {
        RespCode::from_number(self.code)
    }
}

/// In which way an answer makes no sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// It cannot be decoded.
    Wire(WireError),
    /// It answers another command.
    Command {
        /// What was asked.
        asked: Command,
        /// What was answered.
        answered: Command,
    },
    /// The result code does not exist.
    BizCode(i32),
    /// A part is missing.
    Missing(&'static str),
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Error {
        Error::Protocol(ProtocolError::Wire(error))
    }
}

impl From<InvalidArgument> for Error {
    fn from(error: InvalidArgument) -> Error {
        Error::InvalidArgument(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(code) => write!(formatter, "refused: {code}"),
            Error::Rejected(error) => write!(formatter, "the server cannot do this: {error}"),
            Error::Unavailable(reason) => write!(formatter, "unavailable: {reason}"),
            Error::OutcomeUnknown(reason) => write!(formatter, "outcome unknown: {reason}"),
            Error::InvalidArgument(error) => write!(formatter, "invalid argument: {error}"),
            Error::Protocol(error) => write!(formatter, "protocol error: {error}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ClientFull => formatter.write_str("too many operations in flight"),
            Reason::NoConnection => formatter.write_str("not connected"),
            Reason::NoLeader => formatter.write_str("no leader was found"),
            Reason::Timeout => formatter.write_str("no answer in time"),
            Reason::Disconnected => formatter.write_str("the connection broke"),
            Reason::SessionExpired => formatter.write_str("the session has ended"),
            Reason::Server(error) => error.fmt(formatter),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resp_code() {
            Some(code) => write!(formatter, "{code}")?,
            None => write!(formatter, "code {}", self.code)?,
        }
        if self.message.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.message) }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::Wire(error) => error.fmt(formatter),
            ProtocolError::Command { asked, answered } => {
                write!(formatter, "asked for {asked}, got an answer to {answered}")
            }
            ProtocolError::BizCode(code) => write!(formatter, "unknown result code {code}"),
            ProtocolError::Missing(part) => write!(formatter, "{part} is missing"),
        }
    }
}

impl core::error::Error for Error {}
