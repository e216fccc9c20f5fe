//! Sessions as they should be: slow, obvious, and without answers. A write is carried out where it stands
//! in the log for the first time, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use kv_api::{
    KvRequest, OpenSession, OperationKind, Payload, SessionLimits, SessionStamp, TransactionRequest,
};

/// The sessions of a group.
#[derive(Default)]
pub(super) struct Sessions {
    limits: SessionLimits,
    by_id: BTreeMap<u64, Session>,
    /// How many have ended.
    pub(super) ended: u64,
}

struct Session {
    check: u32,
    last_used: u64,
    lowest_open: u64,
    done: BTreeSet<u64>,
}

/// What an entry of a session must do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// What its request says.
    First,
    /// Nothing: an earlier entry did it.
    Again,
    /// Nothing: its client has given it up, or nobody knows the session.
    Refused,
}

/// Bytes of a stamp with its key and length, at the end of a request.
const FIELD_BYTES: usize = SessionStamp::BYTES + 3;

/// A payload as it would be without a session, and its place in one.
pub(super) fn split(payload: &[u8]) -> (&[u8], Option<SessionStamp>) {
    let stamp = Payload::decode(payload).ok().and_then(|payload| match payload.kind {
        OperationKind::Transaction => TransactionRequest::decode(payload.body).ok()?.session,
        OperationKind::OpenSession | OperationKind::Expire => None,
        _ => KvRequest::decode(payload.body).ok()?.session,
    });
    let plain = payload.len().saturating_sub(if stamp.is_some() { FIELD_BYTES } else { 0 });
    (payload.get(..plain).unwrap_or_default(), stamp)
}

impl Sessions {
    /// Opens a session if that is what the entry does; whether it is.
    pub(super) fn open(&mut self, index: u64, payload: &[u8]) -> bool {
        let Ok(Payload { kind: OperationKind::OpenSession, owner, body }) =
            Payload::decode(payload)
        else {
            return false;
        };
        self.limits = OpenSession::decode(body).map_or(self.limits, |request| request.limits);
        let check = SessionStamp::check_of(owner.unwrap_or_default().low);
        let session = Session { check, last_used: index, lowest_open: 1, done: BTreeSet::new() };
        self.by_id.insert(index, session);
        while self.by_id.len() > self.limits.sessions_max as usize {
            let oldest = self.by_id.iter().min_by_key(|(_, session)| session.last_used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            self.by_id.remove(&oldest);
            self.ended += 1;
        }
        true
    }

    /// Judges an entry of a session.
    pub(super) fn judge(&mut self, index: u64, stamp: &SessionStamp) -> Verdict {
        let session = self.by_id.get_mut(&stamp.session);
        let Some(session) = session.filter(|session| session.check == stamp.check) else {
            return Verdict::Refused;
        };
        session.last_used = index;
        session.lowest_open = session.lowest_open.max(stamp.lowest_open());
        let sequence = stamp.sequence.get();
        let end = session.lowest_open + u64::from(self.limits.results_max);
        match (session.lowest_open..end).contains(&sequence) {
            false => Verdict::Refused,
            true if session.done.insert(sequence) => Verdict::First,
            true => Verdict::Again,
        }
    }
}
