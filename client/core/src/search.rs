//! The search for the leader: every server is asked for the status of the group.

use alloc::boxed::Box;
use alloc::vec::Vec;

use moment::Moment;
use wire::{Command, Packet, QueryStatusResp, RespCode, Writer};

use crate::core::Core;
use crate::error::{Reason, ServerError};
use crate::link::Search;
use crate::options::NodeId;
use crate::sequence::Waiting;

impl Core {
    /// Whether somebody needs the leader and it is unknown or does not behave.
    pub(crate) fn is_searching(&self) -> bool {
        self.route.trusted_leader().is_none()
            && !(self.waiting.is_empty() && self.watches.is_empty())
    }

    /// Asks every server that is connected and has not been asked lately.
    pub(crate) fn ask_for_leader(&mut self, now: Moment) {
        if !self.is_searching() {
            return;
        }
        for state in self.links.iter_mut().filter(|state| state.is_first && state.is_ready()) {
            if state.search.pending.is_some() || state.search.next > now {
                continue;
            }
            let mut body = Vec::new();
            Writer::new(&mut body).fixed32(1, self.options.group.0 as u32);
            let deadline = now + self.options.search_timeout;
            let command = Command::RAFT_QUERY_STATUS;
            let sequence = state.send(Waiting::Search, command, &body, deadline, now);
            state.search.pending = Some((sequence, deadline));
            state.search.next = now + self.options.search_interval;
        }
    }

    /// A server has answered.
    pub(crate) fn search_answered(&mut self, link: usize, packet: &Packet<'_>, now: Moment) {
        let state = &mut self.links[link];
        let server = state.server;
        state.search.pending = None;
        state.search.last_code = Some(packet.resp_code);
        self.changed = true;
        if packet.resp_code != 0 {
            return self.fail_without_group(now);
        }
        let Ok(status) = QueryStatusResp::decode(packet.body_bytes()) else {
            return self.break_link(link, now);
        };
        let Some(leader) = self.server_of(NodeId(status.leader_id)) else { return };
        match self.route.leader {
            Some(known) if known == leader => {
                self.route.term = self.route.term.max(status.term);
                self.route.trust(server);
            }
            // An answer from before the election must not undo one from after it.
            Some(_) if status.term <= self.route.term => {}
            _ => {
                self.route.adopt(leader, status.term);
                // Others name a leader that has died until they have elected the next one. The
                // search goes on until it answers itself.
                if !self.links.iter().any(|link| link.server == leader && link.is_ready()) {
                    self.route.suspect(leader);
                }
                self.locks.ask_again(now);
            }
        }
    }

    /// Ends the waiting calls if no server at all has the group: waiting longer would not help.
    fn fail_without_group(&mut self, now: Moment) {
        let not_found = RespCode::RaftGroupNotFound.number();
        let lacks = |search: &Search| search.last_code == Some(not_found);
        let mut firsts = self.links.iter_mut().filter(|state| state.is_first);
        if !firsts.all(|state| lacks(&state.search)) || self.route.leader.is_some() {
            return;
        }
        for state in &mut self.links {
            state.search.last_code = None;
        }
        while let Some(slot) = self.waiting.pop_front() {
            let error = ServerError { code: not_found, message: Box::default() };
            let error = self.unsent_error(slot, Reason::Server(error));
            self.fail(slot, error, now);
        }
    }

    /// Gives up on an answer that is late.
    pub(crate) fn expire_search(&mut self, link: usize, now: Moment) {
        let state = &mut self.links[link];
        if let Some((sequence, deadline)) = state.search.pending
            && deadline <= now
        {
            let waiting = state.sequences.take(sequence);
            assert_eq!(waiting, Some(Waiting::Search), "an unanswered question has its number");
            state.search.pending = None;
        }
    }
}

impl Search {
    /// When the link has something to do for the search.
    pub(crate) fn next_deadline(&self, searching: bool) -> Moment {
        match self.pending {
            Some((_, deadline)) => deadline,
            None if searching => self.next,
            None => Moment::MAX,
        }
    }
}
