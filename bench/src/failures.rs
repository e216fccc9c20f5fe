//! Failures, counted by kind.

use std::collections::BTreeMap;

use client::{Error, Reason, RespCode};

/// How often each kind of failure has happened; kinds that have not are absent.
#[derive(Clone, Default, Debug)]
pub(crate) struct Failures(BTreeMap<&'static str, u64>);

impl Failures {
    pub(crate) fn add(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub(crate) fn add_all(&mut self, other: &Failures) {
        for (&kind, &count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn by_kind(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(&kind, &count)| (kind.to_owned(), count)).collect()
    }
}

/// The kind of an error. Errors that can mean an executed write start with `unknown`.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error {
        Error::Refused(_) => REFUSED,
        Error::Rejected(_) => "rejected",
        Error::InvalidArgument(_) => "invalid_argument",
        Error::Protocol(_) => "protocol",
        Error::OutcomeUnknown(Reason::Timeout) => "unknown_timeout",
        Error::OutcomeUnknown(Reason::Disconnected) => "unknown_disconnected",
        Error::OutcomeUnknown(Reason::SessionExpired) => "unknown_session",
        Error::OutcomeUnknown(_) => "unknown_server",
        Error::Unavailable(reason) => match reason {
            Reason::ClientFull => "client_full",
            Reason::NoConnection => "no_connection",
            Reason::NoLeader => "no_leader",
            Reason::Timeout => "timeout",
            Reason::Disconnected => "disconnected",
            Reason::SessionExpired => "session_expired",
            // The client follows one redirection itself; this is the next one.
            Reason::Server(error) if error.resp_code() == Some(RespCode::NotRaftLeader) => {
                REDIRECTED
            }
            Reason::Server(_) => "server",
        },
    }
}

/// The kind of a write that would have to be sent to yet another leader.
pub(crate) const REDIRECTED: &str = "redirected";
/// The kind of a refusal by the tree.
pub(crate) const REFUSED: &str = "refused";
