//! What happens to one packet.

use std::rc::Rc;

use moment::Moment;
use wire::{Command, Handshake, Packet, PacketKind, RespCode, ResponseHead, Served};

use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::connections::add;
use crate::handler::{Flow, Handler, TimeBudget};
use crate::service::Service;

/// When a packet came, and when it is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When the read returned that brought its last byte. Its time budget starts here.
    pub(crate) received: Moment,
    /// A moment shortly before now.
    pub(crate) now: Moment,
}

impl<H: Handler> Service<H> {
    /// Handles a packet; an error says why the connection cannot go on.
    #[inline]
    pub(crate) fn packet(
        &self,
        connection: &Rc<Connection>,
        packet: &Packet<'_>,
        times: Times,
    ) -> Result<(), CloseReason> {
        if !connection.is_introduced() {
            return self.introduction(connection, packet);
        }
        if packet.kind() == PacketKind::Response {
            self.handler.response(connection, packet);
            return Ok(());
        }
        let Some(deadline) = self.deadline(packet, times) else {
            add(&self.connections.counters().expired, 1);
            return Ok(());
        };
        let served = packet.command.served();
        if !served.is_some_and(|served| served.on(connection.port())) {
            refuse_command(connection, packet, served);
            return Ok(());
        }
        match packet.command {
            Command::PING => echo(connection, packet),
            // A second handshake changes nothing and gets no answer.
            Command::HANDSHAKE => {}
            _ => {
                let budget = TimeBudget { now: times.now, deadline };
                if self.handler.request(connection, packet, budget) == Flow::Close {
                    return Err(CloseReason::Handler);
                }
            }
        }
        Ok(())
    }

    /// When the caller stops waiting; `None` when it has done so.
    #[inline]
    fn deadline(&self, packet: &Packet<'_>, times: Times) -> Option<Moment> {
        let nanos = u64::try_from(packet.timeout_nanos).ok().filter(|&nanos| nanos > 0)?;
        let deadline = times.received.after_nanos(nanos);
        // One look at the clock serves many packets; that is too coarse for the shortest budgets.
        let now = if nanos < SHORT_BUDGET_NANOS { self.shard.clock().now() } else { times.now };
        (now < deadline).then_some(deadline)
    }

    /// Handles a packet before which there was no handshake.
    fn introduction(
        &self,
        connection: &Rc<Connection>,
        packet: &Packet<'_>,
    ) -> Result<(), CloseReason> {
        if packet.command != Command::HANDSHAKE
            || packet.packet_type != PacketKind::Request.number()
        {
            return Err(CloseReason::Introduction);
        }
        if packet.timeout_nanos <= 0 {
            // Nobody waits for the answer; whoever sent it may try again until the time limit.
            return Ok(());
        }
        let handshake = Handshake::decode(packet.body_bytes()).map_err(CloseReason::Wire)?;
        let process = handshake.process.filter(|process| !process.is_zero());
        let process = process.ok_or(CloseReason::Introduction)?;
        self.connections.introduce(connection, process);
        let answer = Handshake::response(self.advertised());
        let head = ResponseHead::success(packet.command, packet.seq);
        connection.respond(&head, |writer| answer.encode(writer));
        self.handler.opened(connection);
        Ok(())
    }
}

fn echo(connection: &Connection, packet: &Packet<'_>) {
    if packet.kind() != PacketKind::OneWay {
        let head = ResponseHead::success(packet.command, packet.seq);
        connection.respond(&head, |writer| writer.raw(packet.body_bytes()));
    }
}

#[cold]
fn refuse_command(connection: &Connection, packet: &Packet<'_>, served: Option<Served>) {
    let text = match served {
        None | Some(Served::Never) => format!("command {} not support", packet.command.0),
        Some(_) => "command not supported on this port".to_owned(),
    };
    connection.refuse(packet, RespCode::CommandNotSupport, &text);
}

/// Budgets below this are compared with the clock itself.
const SHORT_BUDGET_NANOS: u64 = 1_000_000;
