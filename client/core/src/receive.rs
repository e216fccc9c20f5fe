//! From the bytes of a link to answered calls.

use alloc::boxed::Box;
use alloc::string::String;

use moment::Moment;
use wire::{BizCode, Command, Packet, PacketKind, RespCode, ResponseHead, encode_response};

use crate::calls::CallState;
use crate::completion::Response;
use crate::core::Core;
use crate::error::{Error, ProtocolError, Reason, ServerError};
use crate::link::LinkId;
use crate::operation::{Access, Target};
use crate::options::NodeId;
use crate::sequence::Waiting;

impl Core {
    /// Takes all of `bytes`, the next ones that came from a link. Wherever the stream is cut, the
    /// result is the same; bytes of a link that is down are ignored.
    pub fn received(&mut self, link: LinkId, bytes: &[u8], now: Moment) {
        let link = link.index();
        if self.read_frames(link, bytes, now).is_err() && self.links[link].is_open() {
            self.break_link(link, now);
        }
        self.settle(now);
    }

    fn read_frames(
        &mut self,
        link: usize,
        bytes: &[u8],
        now: Moment,
    ) -> Result<(), wire::WireError> {
        let mut rest = bytes;
        if !self.links[link].partial.is_empty() {
            rest = self.complete_frame(link, rest, now)?;
        }
        while self.links[link].is_open() {
            let Some((frame, length)) = self.splitter.split(rest)? else {
                self.links[link].partial.extend_from_slice(rest);
                return Ok(());
            };
            self.packet(link, &Packet::decode(frame)?, now);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Copies what the frame that has begun still lacks, not more; returns the rest.
    fn complete_frame<'a>(
        &mut self,
        link: usize,
        bytes: &'a [u8],
        now: Moment,
    ) -> Result<&'a [u8], wire::WireError> {
        let mut partial = core::mem::take(&mut self.links[link].partial);
        let mut rest = bytes;
        loop {
            let wanted = self.splitter.first_frame_bytes(&partial)?.unwrap_or(wire::PREFIX_BYTES);
            let missing = wanted.saturating_sub(partial.len()).min(rest.len());
            let (part, after) = rest.split_at(missing);
            partial.extend_from_slice(part);
            rest = after;
            if let Some((frame, _)) = self.splitter.split(&partial)? {
                self.packet(link, &Packet::decode(frame)?, now);
                partial.clear();
                break;
            }
            if rest.is_empty() {
                break;
            }
        }
        let state = &mut self.links[link];
        if state.is_open() && partial.capacity() <= KEPT_PARTIAL_BYTES || !partial.is_empty() {
            state.partial = partial;
        }
        Ok(rest)
    }

    #[inline]
    fn packet(&mut self, link: usize, packet: &Packet<'_>, now: Moment) {
        match packet.kind() {
            PacketKind::Response => match self.links[link].sequences.take(packet.seq) {
                Some(Waiting::Call(slot)) => self.answered(link, slot, packet, now),
                Some(Waiting::Handshake) => self.greeted(link, packet, now),
                Some(Waiting::Search) => self.search_answered(link, packet, now),
                Some(Waiting::Watch) => self.watch_answered(link, packet, now),
                Some(Waiting::Session) => self.session_answered(link, packet, now),
                Some(Waiting::KeepAlive) => self.keep_alive_answered(link, packet, now),
                // Late: its call has expired.
                None => {}
            },
            PacketKind::Request if packet.command == Command::DTKV_WATCH_NOTIFY_PUSH => {
                if self.watch_notified(link, packet).is_err() {
                    self.break_link(link, now);
                }
            }
            PacketKind::Request => self.answer(link, packet),
            PacketKind::OneWay if packet.command == Command::DTKV_LOCK_PUSH => {
                if self.lock_pushed(packet, now).is_err() {
                    self.break_link(link, now);
                }
            }
            PacketKind::OneWay => {}
        }
    }

    #[inline]
    fn answered(&mut self, link: usize, slot: u32, packet: &Packet<'_>, now: Moment) {
        let call = &self.calls[slot];
        if packet.resp_code != 0 || packet.command != call.start.command {
            return self.answered_badly(link, slot, packet, now);
        }
        if packet.biz_code >= BizCode::SessionExpired.number()
            && let Some(stamp) = call.stamped
            && let Some(code) = BizCode::from_number(packet.biz_code)
        {
            return self.refused_by_session(slot, stamp, code, now);
        }
        if self.route.suspected {
            self.route.trust(self.links[link].server);
            self.changed = true;
        }
        let response = Response { biz_code: packet.biz_code, body: packet.body_bytes() };
        self.calls.finish(slot, Ok(response), now);
        self.announce(slot);
    }

    #[inline(never)]
    fn answered_badly(&mut self, link: usize, slot: u32, packet: &Packet<'_>, now: Moment) {
        self.changed = true;
        let (asked, answered) = (self.calls[slot].start.command, packet.command);
        if asked != answered {
            let error = Error::Protocol(ProtocolError::Command { asked, answered });
            return self.fail(slot, error, now);
        }
        if self.calls[slot].stamped.is_some() {
            return self.refused_in_session(link, slot, packet, now);
        }
        let server = self.links[link].server;
        let code = RespCode::from_number(packet.resp_code);
        let elsewhere = match code {
            Some(RespCode::NotRaftLeader) => self.follow_hint(server, packet.extra),
            Some(code) if code.proves_not_executed() => {
                self.route.forget(server);
                true
            }
            _ => false,
        };
        let call = &mut self.calls[slot];
        if elsewhere && !call.repeated && call.start.target == Target::Leader {
            call.repeated = true;
            call.state = CallState::Waiting;
            self.waiting.push_back(slot);
        } else {
            self.fail_with_code(server, slot, packet, now);
        }
    }

    /// Learns from a server that is not the leader; whether another one is worth a try.
    pub(crate) fn follow_hint(&mut self, server: usize, extra: &[u8]) -> bool {
        let node = str::from_utf8(extra).ok().and_then(|text| text.parse().ok()).map(NodeId);
        let hint = node.and_then(|node| self.server_of(node)).filter(|&hint| hint != server);
        if self.route.leader == Some(server) {
            match hint {
                Some(hint) => {
                    self.route.adopt(hint, self.route.term);
                    self.locks.stirred = true;
                }
                None => self.route.forget(server),
            }
        }
        hint.is_some()
    }

    fn fail_with_code(&mut self, server: usize, slot: u32, packet: &Packet<'_>, now: Moment) {
        let error = ServerError { code: packet.resp_code, message: message(packet.msg) };
        let error = match RespCode::from_number(packet.resp_code) {
            Some(RespCode::ClientError | RespCode::CommandNotSupport) => Error::Rejected(error),
            Some(RespCode::FlowControl) => Error::Unavailable(Reason::Server(error)),
            Some(code) if code.proves_not_executed() => Error::Unavailable(Reason::Server(error)),
            _ => {
                self.route.suspect(server);
                match self.calls[slot].start.access {
                    Access::Read => Error::Unavailable(Reason::Server(error)),
                    Access::Write => Error::OutcomeUnknown(Reason::Server(error)),
                }
            }
        };
        self.fail(slot, error, now);
    }

    /// Answers a request of the server.
    fn answer(&mut self, link: usize, packet: &Packet<'_>) {
        let out = &mut self.links[link].outgoing;
        let (command, seq) = (packet.command, packet.seq);
        match command {
            Command::PING => {
                let head = ResponseHead::success(command, seq);
                encode_response(out, &head, |writer| writer.raw(packet.body_bytes()));
            }
            _ => {
                let code = RespCode::CommandNotSupport;
                encode_response(out, &ResponseHead::refusal(command, seq, code, ""), |_| {});
            }
        }
    }
}

/// A server's explanation, of which the start is enough.
pub(crate) fn message(bytes: &[u8]) -> Box<str> {
    let start = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(start).into_owned().into_boxed_str()
}

const MESSAGE_BYTES_MAX: usize = 512;
/// A larger buffer of a link is given back.
const KEPT_PARTIAL_BYTES: usize = 64 << 10;
