//! Watches on the wire: registration, notifications, and whether they are still there.

use alloc::vec::Vec;

use kv_api::{Repeated, WatchNotifyRequest, WatchNotifyResponse, WatchRequest};
use moment::Moment;
use wire::{
    BizCode, Command, KvStatusResp, Packet, RespCode, ResponseHead, WireError, Writer,
    encode_response,
};

use crate::argument::{InvalidArgument, check_key};
use crate::core::Core;
use crate::error::{Error, Reason, ServerError};
use crate::options::NodeId;
use crate::receive::message;
use crate::sequence::Waiting;
use crate::watch::WatchId;

impl Core {
    /// Wants to be told of a key, which need not exist: its latest state now, and again after each
    /// change; states in between may be left out. One watch for each key.
    ///
    /// `known_index` is the index of the state that the caller knows from before, 0 for none: only
    /// newer ones are told. [`Core::next_event`] tells.
    pub fn watch(&mut self, key: &[u8], known_index: u64, now: Moment) -> Result<WatchId, Error> {
        check_key(key)?;
        if self.watches.len() >= self.options.watches_max {
            return Err(Error::Unavailable(Reason::ClientFull));
        }
        let watch = self.watches.add(key, known_index).ok_or(InvalidArgument::KeyInUse)?;
        self.changed = true;
        self.settle(now);
        Ok(watch)
    }

    /// Ends a watch; nothing is told of it any more.
    pub fn unwatch(&mut self, watch: WatchId, now: Moment) {
        self.watches.remove(watch.0);
        self.changed = true;
        self.settle(now);
    }

    /// Registers what the server does not know, on the leader.
    pub(crate) fn step_watches(&mut self, now: Moment) {
        if self.watches.is_empty() && self.watches.home.is_none() {
            return;
        }
        let leader = self.route.trusted_leader().map(|server| self.first_link(server));
        if let Some(link) = leader
            && self.links[link].is_ready()
            && !self.watches.is_home(link)
            && self.watches.rest_until <= now
        {
            self.forget_watch_requests();
            self.watches.move_to(link, now + self.options.watch_keep_alive);
        }
        let Some(home) = self.watches.home.as_ref().map(|home| home.link) else { return };
        if let Some(batch) = self.watches.next_batch() {
            let keys: Vec<&[u8]> = batch.keys.iter().map(|key| &**key).collect();
            let group = self.options.group.0;
            let request = WatchRequest::new(group, batch.afresh, &batch.known, &keys);
            let mut body = Vec::new();
            request.encode(&mut Writer::new(&mut body));
            let deadline = now + self.options.call_timeout;
            let command = Command::DTKV_SYNC_WATCH;
            let sequence = self.links[home].send(Waiting::Watch, command, &body, deadline, now);
            if let Some(home) = &mut self.watches.home {
                home.asked = Some((sequence, deadline, batch.added));
            }
        }
        match &self.watches.home {
            Some(home) if self.watches.is_empty() && home.asked.is_none() => {
                self.forget_watch_requests();
            }
            _ => self.keep_watches_alive(home, now),
        }
    }

    fn keep_watches_alive(&mut self, link: usize, now: Moment) {
        let Some(home) = &mut self.watches.home else { return };
        if home.keep_alive.is_some() || home.next_keep_alive > now {
            return;
        }
        let mut body = Vec::new();
        Writer::new(&mut body).fixed32(1, self.options.group.0 as u32);
        let deadline = now + self.options.call_timeout;
        let command = Command::DTKV_QUERY_STATUS;
        let sequence = self.links[link].send(Waiting::KeepAlive, command, &body, deadline, now);
        home.keep_alive = Some((sequence, deadline));
        home.next_keep_alive = now + self.options.watch_keep_alive;
    }

    /// When something is to be done for watches.
    pub(crate) fn next_watch_deadline(&self) -> Moment {
        match &self.watches.home {
            None if self.watches.is_empty() || self.route.trusted_leader().is_none() => Moment::MAX,
            // Without a rest it would have a home if its link were ready.
            None if self.watches.rest_until == Moment::ZERO => Moment::MAX,
            None => self.watches.rest_until,
            Some(home) => {
                let asked = home.asked.as_ref().map_or(Moment::MAX, |asked| asked.1);
                asked.min(home.keep_alive.map_or(home.next_keep_alive, |(_, deadline)| deadline))
            }
        }
    }

    /// A server that does not answer is of no use, and neither is its link.
    pub(crate) fn expire_watch_requests(&mut self, now: Moment) {
        if self.watches.rest_until <= now {
            self.watches.rest_until = Moment::ZERO;
        }
        let Some(home) = &self.watches.home else { return };
        let asked = home.asked.as_ref().is_some_and(|asked| asked.1 <= now);
        if asked || home.keep_alive.is_some_and(|(_, deadline)| deadline <= now) {
            self.break_link(home.link, now);
        }
    }

    /// The answers that the home still owes count no longer.
    fn forget_watch_requests(&mut self) {
        let Some(home) = self.watches.home.take() else { return };
        let sequences = &mut self.links[home.link].sequences;
        let asked = home.asked.map(|(sequence, ..)| sequence);
        for sequence in asked.into_iter().chain(home.keep_alive.map(|(sequence, _)| sequence)) {
            sequences.take(sequence);
        }
    }

    /// A server has answered a registration.
    pub(crate) fn watch_answered(&mut self, link: usize, packet: &Packet<'_>, now: Moment) {
        assert!(self.watches.is_home(link), "only the home owes answers");
        self.changed = true;
        let asked = self.watches.home.as_mut().and_then(|home| home.asked.take());
        if packet.resp_code == 0 && packet.biz_code == 0 {
            return self.watches.succeeded();
        }
        let biz_code = BizCode::from_number(packet.biz_code);
        let error = match (RespCode::from_number(packet.resp_code), biz_code) {
            (Some(RespCode::Success), Some(code)) if code != BizCode::InstallSnapshot => {
                Error::Refused(code)
            }
            (Some(code), _) => {
                let message = message(packet.msg);
                let error = ServerError { code: code.number(), message };
                match code {
                    RespCode::ClientError | RespCode::CommandNotSupport => Error::Rejected(error),
                    RespCode::FlowControl => Error::Unavailable(Reason::Server(error)),
                    _ => return self.find_another_home(link, now),
                }
            }
            (None, _) => return self.find_another_home(link, now),
        };
        // Asking again would not help these; the others are as they were.
        let fits = str::from_utf8(packet.extra).ok().and_then(|room| room.parse().ok());
        let fits = fits.filter(|_| packet.resp_code == RespCode::FlowControl.number());
        for number in asked.map(|(.., added)| added).into_iter().flatten().skip(fits.unwrap_or(0)) {
            self.watches.refuse(number, error.clone());
        }
        self.forget_watch_requests();
        self.watches.failed(now);
    }

    /// The server cannot serve watches at the moment.
    fn find_another_home(&mut self, link: usize, now: Moment) {
        self.forget_watch_requests();
        self.watches.failed(now);
        let server = self.links[link].server;
        self.route.suspect(server);
        self.changed = true;
    }

    /// A server has said how it is, and how many watches it knows.
    pub(crate) fn keep_alive_answered(&mut self, link: usize, packet: &Packet<'_>, now: Moment) {
        assert!(self.watches.is_home(link), "only the home owes answers");
        self.changed = true;
        if let Some(home) = &mut self.watches.home {
            home.keep_alive = None;
        }
        let status = KvStatusResp::decode(packet.body_bytes()).ok();
        let Some(status) = status.filter(|_| packet.resp_code == 0) else {
            return self.find_another_home(link, now);
        };
        let raft = status.raft_server_status.unwrap_or_default();
        match self.server_of(NodeId(raft.leader_id)) {
            Some(leader) if leader == self.links[link].server => {}
            Some(leader) if raft.term > self.route.term => {
                self.route.adopt(leader, raft.term);
                self.locks.ask_again(now);
            }
            // It may be cut off from the others, and would tell of nothing.
            _ => self.route.suspect(self.links[link].server),
        }
        if (status.watch_count.max(0) as usize) < self.watches.expected() {
            self.forget_watch_requests();
        }
    }

    /// A server tells the latest states of some keys.
    pub(crate) fn watch_notified(
        &mut self,
        link: usize,
        packet: &Packet<'_>,
    ) -> Result<(), WireError> {
        let push = WatchNotifyRequest::decode(packet.body_bytes())?;
        let head = ResponseHead::success(packet.command, packet.seq);
        let known = self.watches.is_home(link) && push.group_id == self.options.group.0;
        if !known || self.watches.is_empty() {
            let out = &mut self.links[link].outgoing;
            encode_response(out, &head.with_biz_code(BizCode::RemoveAllWatch), |_| {});
            return Ok(());
        }
        let told = |event: kv_api::WatchEvent<'_>| match self.watches.told(
            event.key,
            event.raft_index,
            event,
        ) {
            true => WatchNotifyResponse::TAKEN,
            false => WatchNotifyResponse::REMOVE_WATCH,
        };
        let results: Vec<i32> = push.events.iter().map(told).collect();
        let response = WatchNotifyResponse { results: Repeated::new(&results) };
        let out = &mut self.links[link].outgoing;
        encode_response(out, &head, |writer| response.encode(writer));
        Ok(())
    }
}
