//! How the program ends: every exit code, and the error type of all verbs.

use core::fmt;
use std::io;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::node::NodeError;

/// Why the program ended. The numbers are part of the interface to scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Something that none of the others describes.
    Other = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The key, or what else was asked for, does not exist.
    NotFound = 3,
    /// A compare-and-set found another value.
    Conflict = 4,
    /// The request can never succeed as it is: wrong kind of node, missing parent, key too long.
    NotAllowed = 5,
    /// No answer from a leader, and the request was surely not carried out: safe to repeat.
    Unavailable = 6,
    /// The answer got lost; the request may have been carried out.
    OutcomeUnknown = 7,
    /// The configuration is invalid.
    Config = 8,
    /// Stored data is damaged or belongs to something else.
    Integrity = 9,
    /// A lock was lost, and the command that ran under it was stopped.
    Lost = 10,
    /// The command cannot be run, as shells say it.
    CannotRun = 126,
    /// There is no such command, as shells say it.
    NoCommand = 127,
}

/// The table of exit codes, as `--help` shows it.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  other error
  2  wrong usage
  3  not found
  4  conflict: compare-and-set found another value, or the lock is another's
  5  not allowed: the request cannot succeed as it is
  6  unavailable, and surely not carried out: safe to repeat
  7  outcome unknown: may have been carried out
  8  configuration invalid
  9  integrity: stored data is damaged or not this node's
  10  lost: the lock was lost, and the command under it was stopped
`lock`, `elect` and `watch` with a command end as the command does: with its own
code, with 128 and the signal's number if a signal ended it, with 126 if it
cannot be run and 127 if there is none of that name.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A verb's error: how to end, and what to say on standard error.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The code of a command that was run, instead.
    passed_on: Option<u8>,
    /// One or more lines; empty when the output has said it already.
    pub message: String,
}

impl Failure {
    /// An error with its exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, passed_on: None, message: message.into() }
    }

    /// The end of a command that was run, which has said itself what is wrong.
    pub(super) fn of_command(code: u8) -> Failure {
        Failure { passed_on: Some(code), ..Failure::new(Exit::Other, "") }
    }

    /// The code to end with.
    pub fn code(&self) -> ExitCode {
        self.passed_on.map_or(self.exit.into(), ExitCode::from)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(Exit::Config, error.to_string())
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Failure {
        let exit = if error.is_integrity() { Exit::Integrity } else { Exit::Other };
        Failure::new(exit, error.to_string())
    }
}

/// A failed write to standard output or read from standard input. A reader that has seen enough is
/// no reason to complain.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Other, ""),
            _ => Failure::new(Exit::Other, error.to_string()),
        }
    }
}
