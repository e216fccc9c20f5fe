//! The session of a client: which of its writes are open, and how one is sent again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use kv_api::{OpenSession, SessionOpened, SessionStamp};
use moment::Moment;
use wire::{BizCode, Command, Packet, RespCode, Writer};

use crate::calls::CallState;
use crate::core::Core;
use crate::error::{Error, Reason, ServerError};
use crate::receive::message;
use crate::sequence::Waiting;

/// What is known of the session, and which of its numbers are open.
pub(crate) struct Session {
    phase: Phase,
    /// Number of the next write; never given twice, whatever the session.
    next: u64,
    /// The lowest number of this session that is open, or the next one.
    lowest_open: u64,
    /// Whether the numbers from there on are open; the first one is.
    open: VecDeque<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The next write opens one.
    Absent,
    /// The opening was sent; its number on that link, and until when to wait.
    Opening {
        link: usize,
        sequence: i32,
        deadline: Moment,
    },
    Open {
        id: u64,
        results_max: u32,
    },
    /// This server knows no sessions.
    Unknown {
        server: usize,
    },
}

impl Session {
    pub(crate) fn new() -> Session {
        Session { phase: Phase::Absent, next: 1, lowest_open: 1, open: VecDeque::new() }
    }

    /// When the opening is given up.
    pub(crate) fn next_deadline(&self) -> Moment {
        match self.phase {
            Phase::Opening { deadline, .. } => deadline,
            _ => Moment::MAX,
        }
    }

    /// A link is gone, and with it what was asked there.
    pub(crate) fn leave(&mut self, gone: usize) {
        if matches!(self.phase, Phase::Opening { link, .. } if link == gone) {
            self.phase = Phase::Absent;
        }
    }

    fn has_room(&self) -> bool {
        match self.phase {
            Phase::Open { results_max, .. } => self.next - self.lowest_open < results_max.into(),
            _ => false,
        }
    }

    /// Gives the next number out.
    fn stamp(&mut self, check: u32) -> Option<SessionStamp> {
        let Phase::Open { id, .. } = self.phase else { return None };
        let sequence = NonZeroU64::new(self.next)?;
        let span = (self.next - self.lowest_open) as u32;
        self.next += 1;
        self.open.push_back(true);
        Some(SessionStamp { session: id, sequence, span, check })
    }

    /// The write with this number has ended. Those of earlier sessions are below the window.
    fn close(&mut self, sequence: u64) {
        let place = sequence.checked_sub(self.lowest_open).map(|place| place as usize);
        if let Some(open) = place.and_then(|place| self.open.get_mut(place)) {
            *open = false;
        }
        while self.open.front() == Some(&false) {
            self.open.pop_front();
            self.lowest_open += 1;
        }
    }

    fn opened(&mut self, opened: SessionOpened) {
        let SessionOpened { session: id, results_max } = opened;
        self.phase = Phase::Open { id, results_max };
        self.lowest_open = self.next;
        self.open.clear();
    }

    fn expired(&mut self, ended: u64) {
        if matches!(self.phase, Phase::Open { id, .. } if id == ended) {
            self.phase = Phase::Absent;
        }
    }
}

impl Core {
    /// Whether the leader can take the call now, as far as sessions matter.
    #[inline]
    pub(crate) fn has_session_for(&self, slot: u32) -> bool {
        let call = &self.calls[slot];
        !call.start.in_session
            || call.stamped.is_some()
            || self.session.has_room()
            || self.is_without_sessions()
    }

    /// Whether the leader knows no sessions.
    fn is_without_sessions(&self) -> bool {
        matches!(self.session.phase, Phase::Unknown { server } if self.route.leader == Some(server))
    }

    /// Opens a session if the next call to be sent needs one.
    pub(crate) fn ask_for_session(&mut self, now: Moment) {
        let Some(&slot) = self.waiting.front() else { return };
        let is_absent = matches!(self.session.phase, Phase::Absent | Phase::Unknown { .. });
        if !is_absent || self.has_session_for(slot) {
            return;
        }
        let Some(link) = self.leader_link() else { return };
        let mut body = Vec::new();
        let request = OpenSession { group_id: self.options.group.0, ..OpenSession::default() };
        request.encode(&mut Writer::new(&mut body));
        let deadline = now + self.options.retry_after;
        let command = Command::SESSION_OPEN;
        let sequence = self.links[link].send(Waiting::Session, command, &body, deadline, now);
        self.session.phase = Phase::Opening { link, sequence, deadline };
    }

    /// The answer to the opening.
    pub(crate) fn session_answered(&mut self, link: usize, packet: &Packet<'_>, now: Moment) {
        self.session.phase = Phase::Absent;
        self.changed = true;
        let server = self.links[link].server;
        match RespCode::from_number(packet.resp_code) {
            Some(RespCode::Success) => match SessionOpened::decode(packet.body_bytes()) {
                Ok(opened) if opened.session > 0 && opened.results_max > 0 => {
                    self.session.opened(opened);
                }
                _ => self.break_link(link, now),
            },
            Some(RespCode::CommandNotSupport) => self.session.phase = Phase::Unknown { server },
            Some(RespCode::NotRaftLeader) => {
                if !self.follow_hint(server, packet.extra) {
                    self.route.forget(server);
                }
            }
            Some(code) if code.proves_not_executed() => self.route.forget(server),
            _ => self.route.suspect(server),
        }
    }

    /// Gives up on an opening that has no answer.
    pub(crate) fn expire_session(&mut self, now: Moment) {
        let Phase::Opening { link, sequence, deadline } = self.session.phase else { return };
        if deadline <= now {
            let waiting = self.links[link].sequences.take(sequence);
            assert_eq!(waiting, Some(Waiting::Session), "an unanswered opening has its number");
            self.session.phase = Phase::Absent;
            self.route.suspect(self.links[link].server);
        }
    }

    /// Gives a call its number, which it keeps however often it is sent.
    #[inline]
    pub(crate) fn stamp(&mut self, slot: u32) {
        let check = SessionStamp::check_of(self.options.client.low);
        let call = &mut self.calls[slot];
        if call.stamped.is_none()
            && let Some(stamp) = self.session.stamp(check)
        {
            call.plain_bytes = call.body.len();
            stamp.encode(&mut Writer::new(&mut call.body));
            call.stamped = Some(stamp);
        }
    }

    /// The call's number is not waited for any more.
    #[inline]
    pub(crate) fn close(&mut self, slot: u32) {
        if let Some(stamp) = self.calls[slot].stamped.take() {
            let was_full = !self.session.has_room();
            self.session.close(stamp.sequence.get());
            self.changed |= was_full;
        }
    }

    /// Whether the call can be sent again although its outcome is unknown.
    pub(crate) fn is_repeatable(&self, slot: u32, now: Moment) -> bool {
        let call = &self.calls[slot];
        call.stamped.is_some() && call.start.deadline > now && !call.abandoned
    }

    /// Has a call that was sent in its session be sent again, in the order of the numbers.
    pub(crate) fn repeat(&mut self, slot: u32) {
        let number = |slot: u32| self.calls[slot].stamped.map(|stamp| stamp.sequence);
        let own = number(slot);
        let is_before = |other: &u32| number(*other).is_some_and(|other| Some(other) < own);
        let place = self.waiting.iter().position(|other| !is_before(other));
        self.waiting.insert(place.unwrap_or(self.waiting.len()), slot);
        self.calls[slot].state = CallState::Waiting;
        self.changed = true;
    }

    /// The error of a call that has not been sent, or was certainly not carried out when it was sent
    /// last: an earlier try may have been.
    pub(crate) fn unsent_error(&self, slot: u32, reason: Reason) -> Error {
        match self.calls[slot].may_be_done {
            true => Error::OutcomeUnknown(reason),
            false => Error::Unavailable(reason),
        }
    }

    /// A call in a session got a code that leaves it open, or says that it was not carried out.
    pub(crate) fn refused_in_session(
        &mut self,
        link: usize,
        slot: u32,
        packet: &Packet<'_>,
        now: Moment,
    ) {
        let server = self.links[link].server;
        let code = RespCode::from_number(packet.resp_code);
        match code {
            Some(RespCode::ClientError | RespCode::CommandNotSupport) => {
                let (code, message) = (packet.resp_code, message(packet.msg));
                let error = ServerError { code, message };
                let error = match self.calls[slot].may_be_done {
                    true => Error::OutcomeUnknown(Reason::Server(error)),
                    false => Error::Rejected(error),
                };
                return self.fail(slot, error, now);
            }
            Some(RespCode::FlowControl) if !self.calls[slot].may_be_done => {
                let (code, message) = (packet.resp_code, message(packet.msg));
                let error = Reason::Server(ServerError { code, message });
                return self.fail(slot, Error::Unavailable(error), now);
            }
            Some(RespCode::NotRaftLeader) => {
                self.follow_hint(server, packet.extra);
                // Servers that send a client to and fro have not agreed yet.
                if self.calls[slot].repeated
                    && let Some(leader) = self.route.leader
                {
                    self.route.suspect(leader);
                }
            }
            Some(code) if code.proves_not_executed() => self.route.forget(server),
            Some(RespCode::FlowControl) => self.route.suspect(server),
            _ => {
                self.calls[slot].may_be_done = true;
                self.route.suspect(server);
            }
        }
        self.calls[slot].repeated = true;
        match self.is_repeatable(slot, now) {
            true => self.repeat(slot),
            false => {
                let error = self.unsent_error(slot, Reason::NoLeader);
                self.fail(slot, error, now);
            }
        }
    }

    /// The group does not take the call in its session.
    #[inline(never)]
    pub(crate) fn refused_by_session(
        &mut self,
        slot: u32,
        stamp: SessionStamp,
        code: BizCode,
        now: Moment,
    ) {
        self.changed = true;
        if code == BizCode::SessionExpired {
            self.session.expired(stamp.session);
        }
        let call = &self.calls[slot];
        if call.may_be_done || code == BizCode::SessionStale {
            return self.fail(slot, Error::OutcomeUnknown(Reason::SessionExpired), now);
        }
        if call.abandoned || code == BizCode::SessionFull {
            return self.fail(slot, Error::Unavailable(Reason::ClientFull), now);
        }
        // It was sent once, and that was refused: another session can have it.
        self.close(slot);
        let call = &mut self.calls[slot];
        call.body.truncate(call.plain_bytes);
        call.state = CallState::Waiting;
        self.waiting.push_back(slot);
    }
}
