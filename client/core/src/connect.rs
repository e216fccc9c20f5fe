//! Links from the first wish to the handshake, and back.

use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;
use wire::{Command, ConnectionLimits, Handshake, Packet, Writer};

use crate::core::{Action, Core};
use crate::error::{Error, Reason};
use crate::link::{LinkId, Phase, Search};
use crate::sequence::Waiting;

impl Core {
    /// The driver has opened the connection it was asked to open.
    ///
    /// # Panics
    /// If it was not asked to, or was told to give it up.
    pub fn link_up(&mut self, link: LinkId, now: Moment) {
        let handshake = Handshake::request(self.options.client, self.own_limits());
        let state = &mut self.links[link.index()];
        let Phase::Connecting { deadline } = state.phase else {
            panic!("a link comes up only after the action to connect it");
        };
        if deadline <= now {
            return self.break_link(link.index(), now);
        }
        let mut body = Vec::new();
        handshake.encode(&mut Writer::new(&mut body));
        state.send(Waiting::Handshake, Command::HANDSHAKE, &body, deadline, now);
        state.phase = Phase::Greeting { deadline };
    }

    /// The connection could not be opened, or it broke. Does nothing if the link is down already.
    pub fn link_down(&mut self, link: LinkId, now: Moment) {
        if self.links[link.index()].phase.is_with_driver() {
            self.bring_down(link.index(), now);
            self.settle(now);
        }
    }

    /// Time has passed: to be called when [`Core::next_deadline`] is reached. Early is harmless.
    pub fn tick(&mut self, now: Moment) {
        self.expire_calls(now);
        for link in 0..self.links.len() {
            match self.links[link].phase {
                Phase::Connecting { deadline } | Phase::Greeting { deadline }
                    if deadline <= now =>
                {
                    self.break_link(link, now);
                }
                // It took no bytes for as long as the calls behind them had time.
                Phase::Ready if self.links[link].outgoing.len() > self.options.call_bytes_max => {
                    self.break_link(link, now);
                }
                _ => self.expire_search(link, now),
            }
        }
        self.expire_watch_requests(now);
        self.expire_session(now);
        self.changed = true;
        self.settle(now);
    }

    /// When [`Core::tick`] must be called, unless other inputs change that before.
    pub fn next_deadline(&self) -> Moment {
        let searching = self.is_searching();
        let mut next = self.earliest_deadline.min(self.locks.next).min(self.next_watch_deadline());
        next = next.min(self.session.next_deadline());
        for (index, link) in self.links.iter().enumerate() {
            next = next.min(match link.phase {
                Phase::Connecting { deadline } | Phase::Greeting { deadline } => deadline,
                Phase::Resting { until } if self.is_wanted(index) => until,
                Phase::Ready => link.search.next_deadline(searching && link.is_first),
                Phase::Resting { .. } | Phase::Idle => Moment::MAX,
            });
        }
        next
    }

    /// Does what has become possible or necessary.
    #[inline]
    pub(crate) fn settle(&mut self, now: Moment) {
        while self.changed {
            self.advance(now);
        }
    }

    #[inline(never)]
    fn advance(&mut self, now: Moment) {
        self.changed = false;
        self.step_locks(now);
        self.step_watches(now);
        self.ask_for_leader(now);
        for link in 0..self.links.len() {
            match self.links[link].phase {
                Phase::Idle if self.is_wanted(link) => self.connect(link, now),
                Phase::Resting { until } if until <= now && self.is_wanted(link) => {
                    self.connect(link, now);
                }
                Phase::Ready => self.send_directed(link, now),
                _ => {}
            }
        }
        self.ask_for_session(now);
        self.send_waiting(now);
    }

    fn is_wanted(&self, link: usize) -> bool {
        let link = &self.links[link];
        self.route.leader == Some(link.server)
            || link.is_first && self.is_searching()
            || !link.directed.is_empty()
    }

    pub(crate) fn connect(&mut self, link: usize, now: Moment) {
        assert!(!self.links[link].phase.is_with_driver(), "one connection a link");
        self.links[link].phase = Phase::Connecting { deadline: now + self.options.connect_timeout };
        let address = self.options.servers[self.links[link].server].address;
        self.act(Action::Connect { link: LinkId(link as u32), address });
    }

    /// Closes a connection that is of no use any more.
    pub(crate) fn break_link(&mut self, link: usize, now: Moment) {
        self.act(Action::Disconnect { link: LinkId(link as u32) });
        self.bring_down(link, now);
    }

    fn bring_down(&mut self, link: usize, now: Moment) {
        let state = &mut self.links[link];
        assert!(state.phase.is_with_driver(), "a link goes down once");
        state.phase = Phase::Resting { until: now + self.options.reconnect_delay(state.failures) };
        state.failures = state.failures.saturating_add(1);
        state.outgoing.clear();
        state.partial.clear();
        state.search = Search::NEW;
        let unsent = core::mem::take(&mut state.directed);
        let mut lost = Vec::new();
        state.sequences.reset(|waiting| match waiting {
            Waiting::Call(slot) => lost.push(slot),
            Waiting::Handshake
            | Waiting::Search
            | Waiting::Watch
            | Waiting::KeepAlive
            | Waiting::Session => {}
        });
        for slot in lost {
            self.lose(slot, Reason::Disconnected, now);
        }
        for slot in unsent {
            self.fail(slot, Error::Unavailable(Reason::NoConnection), now);
        }
        let server = self.links[link].server;
        if !self.links.iter().any(|other| other.server == server && other.is_ready()) {
            self.route.forget(server);
        }
        self.watches.leave(link);
        self.session.leave(link);
        self.locks.ask_again(now);
        self.changed = true;
    }

    /// The answer to the handshake.
    pub(crate) fn greeted(&mut self, link: usize, packet: &Packet<'_>, now: Moment) {
        let answer = match (packet.resp_code, packet.body) {
            (0, Some(body)) => Handshake::decode(body).ok(),
            _ => None,
        };
        match answer.and_then(|handshake| handshake.config) {
            Some(limits) => {
                self.respect(limits);
                let state = &mut self.links[link];
                state.phase = Phase::Ready;
                state.failures = 0;
                self.changed = true;
            }
            None => self.break_link(link, now),
        }
    }

    fn own_limits(&self) -> ConnectionLimits {
        let int32 = |limit: usize| i32::try_from(limit).unwrap_or(i32::MAX);
        ConnectionLimits {
            packet_bytes_max: int32(self.options.packet_bytes_max),
            body_bytes_max: int32(self.options.body_bytes_max),
            in_pending_max: PUSHES_MAX,
            in_pending_bytes_max: PUSH_BYTES_MAX,
            out_pending_max: int32(self.options.calls_max),
            out_pending_bytes_max: i64::try_from(self.options.call_bytes_max).unwrap_or(i64::MAX),
        }
    }

    /// Lowers the own limits to those of a server, for good. What may be unanswered counts for
    /// each server; 0 says nothing.
    fn respect(&mut self, limits: ConnectionLimits) {
        fn lower(own: &mut usize, limit: i64, times: usize) {
            match usize::try_from(limit) {
                Ok(limit) if limit > 0 => *own = (*own).min(limit.saturating_mul(times)),
                _ => {}
            }
        }
        let servers = self.options.servers.len();
        lower(&mut self.options.body_bytes_max, limits.body_bytes_max.into(), 1);
        lower(&mut self.options.calls_max, limits.out_pending_max.into(), servers);
        lower(&mut self.options.call_bytes_max, limits.out_pending_bytes_max, servers);
        self.calls.count_max = self.options.calls_max;
        self.calls.bytes_max = self.options.call_bytes_max;
    }
}

/// What a client takes unanswered from a server; pushes are answered at once, so it never shows.
const PUSHES_MAX: i32 = 100;
const PUSH_BYTES_MAX: i64 = 32 << 20;

impl Phase {
    /// Whether the driver has been asked to open the connection and not to close it.
    fn is_with_driver(self) -> bool {
        matches!(self, Phase::Connecting { .. } | Phase::Greeting { .. } | Phase::Ready)
    }
}

impl crate::options::Options {
    /// The pause after this many failures in a row, before the one that just happened.
    fn reconnect_delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        self.reconnect_delay_min.saturating_mul(factor).min(self.reconnect_delay_max)
    }
}
