//! From a submitted call to a sent one, or to an expired one.

use moment::Moment;

use crate::calls::{CallState, Start};
use crate::core::Core;
use crate::error::{Error, Reason};
use crate::link::Phase;
use crate::operation::{Access, Target};
use crate::options::NodeId;
use crate::sequence::Waiting;

impl Core {
    /// Sends a new call, or lets it wait for its link.
    #[inline]
    pub(crate) fn place(&mut self, slot: u32, now: Moment) {
        match self.calls[slot].start.target {
            // Calls that wait go first.
            Target::Leader if self.waiting.is_empty() => match self.leader_link() {
                Some(link) if self.has_session_for(slot) => self.send(slot, link, now),
                _ => self.wait_for_leader(slot, now),
            },
            Target::Leader => self.wait_for_leader(slot, now),
            Target::Node(node) => self.place_directed(slot, node, now),
        }
    }

    #[inline(never)]
    fn wait_for_leader(&mut self, slot: u32, now: Moment) {
        self.waiting.push_back(slot);
        self.changed = true;
        self.settle(now);
    }

    #[inline(never)]
    fn place_directed(&mut self, slot: u32, node: NodeId, now: Moment) {
        let first_link = self.server_of(node).map(|server| self.first_link(server));
        let Some(link) = first_link else {
            unreachable!("submission checks that the node is known")
        };
        self.links[link].directed.push_back(slot);
        // Somebody asks for this very server: that is reason enough to try at once.
        if let Phase::Resting { .. } = self.links[link].phase {
            self.connect(link, now);
        }
        self.changed = true;
        self.settle(now);
    }

    /// A ready link to the leader; each in turn when there are several.
    #[inline]
    pub(crate) fn leader_link(&mut self) -> Option<usize> {
        let server = self.route.trusted_leader()?;
        let lanes = self.options.connections_per_server;
        let first = server * lanes;
        if lanes == 1 {
            return self.links[first].is_ready().then_some(first);
        }
        for _ in 0..lanes {
            let link = first + self.route.turn % lanes;
            self.route.turn = self.route.turn.wrapping_add(1);
            if self.links[link].is_ready() {
                return Some(link);
            }
        }
        None
    }

    pub(crate) fn first_link(&self, server: usize) -> usize {
        server * self.options.connections_per_server
    }

    #[inline]
    fn send(&mut self, slot: u32, link: usize, now: Moment) {
        let Start { command, deadline, in_session, .. } = self.calls[slot].start;
        if deadline <= now {
            return self.expire(slot, now);
        }
        let mut answer_due = deadline;
        if in_session {
            self.stamp(slot);
            if self.calls[slot].stamped.is_some() {
                answer_due = deadline.min(now + self.options.retry_after);
                self.earliest_deadline = self.earliest_deadline.min(answer_due);
            }
        }
        let call = &mut self.calls[slot];
        call.answer_due = answer_due;
        let waiting = Waiting::Call(slot);
        let sequence = self.links[link].send(waiting, command, &call.body, deadline, now);
        call.state = CallState::Sent { link: link as u32, sequence };
    }

    /// Sends the calls that wait for the leader.
    pub(crate) fn send_waiting(&mut self, now: Moment) {
        while let Some(&slot) = self.waiting.front() {
            if !self.has_session_for(slot) {
                return;
            }
            let Some(link) = self.leader_link() else { return };
            self.waiting.pop_front();
            self.send(slot, link, now);
        }
    }

    /// Sends the calls that wait for this link, which is ready.
    pub(crate) fn send_directed(&mut self, link: usize, now: Moment) {
        while let Some(slot) = self.links[link].directed.pop_front() {
            self.send(slot, link, now);
        }
    }

    /// A call that has not been sent will not be.
    pub(crate) fn withdraw(&mut self, slot: u32) {
        self.waiting.retain(|&other| other != slot);
        for link in &mut self.links {
            link.directed.retain(|&other| other != slot);
        }
    }

    /// A call that was sent loses its answer.
    pub(crate) fn lose(&mut self, slot: u32, reason: Reason, now: Moment) {
        self.calls[slot].may_be_done = true;
        if self.is_repeatable(slot, now) {
            return self.repeat(slot);
        }
        let error = match self.calls[slot].start.access {
            Access::Read => Error::Unavailable(reason),
            Access::Write => Error::OutcomeUnknown(reason),
        };
        self.fail(slot, error, now);
    }

    /// Ends every call whose time is over.
    pub(crate) fn expire_calls(&mut self, now: Moment) {
        if now < self.earliest_deadline {
            return;
        }
        // Rare, because the earliest deadline is that of a call which has nearly always long been
        // answered: then the next expiry is a whole timeout away.
        let mut earliest = Moment::MAX;
        for slot in 0..self.calls.slot_count() {
            let call = &self.calls[slot];
            match call.is_open() {
                true if call.due() <= now => self.expire(slot, now),
                true => {}
                false => continue,
            }
            if self.calls[slot].is_open() {
                earliest = earliest.min(self.calls[slot].due());
            }
        }
        self.earliest_deadline = earliest;
        self.waiting.retain(|&slot| self.calls[slot].state == CallState::Waiting);
        for link in &mut self.links {
            link.directed.retain(|&slot| self.calls[slot].state == CallState::Waiting);
        }
    }

    fn expire(&mut self, slot: u32, now: Moment) {
        match self.calls[slot].state {
            CallState::Sent { link, sequence } => {
                let link = link as usize;
                let waiting = self.links[link].sequences.take(sequence);
                assert_eq!(waiting, Some(Waiting::Call(slot)), "a sent call has its number");
                self.route.suspect(self.links[link].server);
                self.changed = true;
                self.lose(slot, Reason::Timeout, now);
            }
            _ => {
                let error = self.unsent_error(slot, self.reason_for_waiting(slot));
                self.fail(slot, error, now);
            }
        }
    }

    /// Why a call could not be sent.
    fn reason_for_waiting(&self, slot: u32) -> Reason {
        let connected = match self.calls[slot].start.target {
            Target::Leader => self.links.iter().any(|link| link.is_ready()),
            Target::Node(_) => false,
        };
        if connected { Reason::NoLeader } else { Reason::NoConnection }
    }
}
