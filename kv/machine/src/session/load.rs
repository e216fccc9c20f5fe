//! Reads the sessions' part of a stream.

use alloc::vec::Vec;

use kv_api::SessionLimits;

use super::one::Session;
use super::record::{LIMITS_BYTES, Sum, decode_limits, decode_session, part_bytes};
use super::table::Sessions;

/// Sessions on their way from a stream.
#[derive(Default)]
pub(crate) struct SessionLoader {
    limits: Option<SessionLimits>,
    sessions: Vec<Session>,
    sum: Sum,
    is_complete: bool,
}

impl SessionLoader {
    /// Whether the end was taken.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Bytes of the part that begins with `bytes`, as far as they say.
    pub(crate) fn part_bytes(&self, bytes: &[u8]) -> usize {
        if self.limits.is_none() { LIMITS_BYTES } else { part_bytes(bytes) }
    }

    /// Takes a whole part; `None` when it is none.
    pub(crate) fn take(&mut self, part: &[u8]) -> Option<()> {
        if self.limits.is_none() {
            self.limits = Some(decode_limits(part)?);
            return Some(());
        }
        let (number, rest) = part.split_first_chunk()?;
        if u64::from_le_bytes(*number) == 0 {
            self.is_complete = true;
            return (Sum::decode(rest)? == self.sum).then_some(());
        }
        self.sum.add(part);
        self.sessions.push(decode_session(part)?);
        Some(())
    }

    /// The sessions of a stream without any, or those that were taken; `None` when they contradict
    /// each other.
    pub(crate) fn finish(mut self, applied_index: u64) -> Option<Sessions> {
        let mut sessions = Sessions::new();
        sessions.limits = self.limits.unwrap_or_default();
        self.sessions.sort_unstable_by_key(|session| session.last_used);
        // An entry uses one session.
        let are_distinct = self.sessions.is_sorted_by(|one, next| one.last_used < next.last_used);
        let newest = self.sessions.last().map_or(0, |session| session.last_used);
        if !are_distinct || newest > applied_index {
            return None;
        }
        let count = self.sessions.len();
        self.sessions.into_iter().for_each(|session| sessions.insert(session));
        (sessions.len() == count).then_some(sessions)
    }
}
