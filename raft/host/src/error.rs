//! What ends a group.

use std::io;

use raft_core::{Index, RestoreError};

/// A fatal error: the group is stopped and nothing is acknowledged any more. Starting it again
/// goes through the recovery's checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupError {
    /// The operating system refused. What was being written is neither there nor not there.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: String,
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's own words.
        message: String,
    },
    /// Bytes that were acknowledged are damaged or missing. Nothing was cut and nothing of it is
    /// served: restore the file or the node.
    Damaged {
        /// The file.
        path: String,
        /// Where in the file.
        offset: u64,
        /// The first log entry that is concerned.
        index: Option<Index>,
        /// What is wrong.
        what: String,
    },
    /// The durable state contradicts itself.
    Restore(RestoreError),
    /// An option is outside its limits.
    Options(&'static str),
    /// The group was asked to stop before it was open.
    Stopped,
}

impl std::fmt::Display for GroupError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GroupError::Io { action, path, message, .. } => {
                write!(formatter, "cannot {action} {path}: {message}")
            }
            GroupError::Damaged { path, offset, index, what } => {
                write!(formatter, "{path} is damaged at offset {offset}")?;
                if let Some(index) = index {
                    write!(formatter, " (log entry {index})")?;
                }
                write!(formatter, ": {what}")
            }
            GroupError::Restore(error) => error.fmt(formatter),
            GroupError::Options(what) => formatter.write_str(what),
            GroupError::Stopped => formatter.write_str("stopped"),
        }
    }
}

impl std::error::Error for GroupError {}

impl From<RestoreError> for GroupError {
    fn from(error: RestoreError) -> GroupError {
        GroupError::Restore(error)
    }
}

/// Turns an I/O error into one that says what was being done to which file.
pub(crate) fn during(action: &'static str, path: &str) -> impl Fn(io::Error) -> GroupError + use<> {
    let path = path.to_owned();
    move |error| GroupError::Io {
        action,
        path: path.clone(),
        kind: error.kind(),
        message: error.to_string(),
    }
}
