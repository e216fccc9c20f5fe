//! The read fiber of a connection: from received bytes to calls of the handler.

use std::rc::Rc;

use moment::Moment;
use runtime::{Either, ReadHalf, race};
use wire::{Packet, Splitter};

use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::connections::add;
use crate::dispatch::Times;
use crate::handler::Handler;
use crate::read_buffer::ReadBuffer;
use crate::service::Service;

/// The receiving side of one connection.
pub(crate) struct Inbound<H> {
    service: Rc<Service<H>>,
    connection: Rc<Connection>,
    half: ReadHalf,
    buffer: ReadBuffer,
    splitter: Splitter,
    /// When the connection must have introduced itself.
    introduce_by: Moment,
}

/// How far a run of packets came.
enum Progress {
    /// The rest is not a whole packet; when known, how long that packet is with its prefix.
    Incomplete(usize),
    /// There may be more packets.
    More,
    /// Too many answers wait to be made or sent.
    NoRoom,
}

/// Packets between two looks at the clock.
const RUN_PACKETS: usize = 64;

impl<H: Handler> Inbound<H> {
    pub(crate) fn new(
        service: Rc<Service<H>>,
        connection: Rc<Connection>,
        half: ReadHalf,
    ) -> Inbound<H> {
        let limits = &service.limits;
        Inbound {
            buffer: ReadBuffer::new(limits.read_buffer_bytes),
            splitter: Splitter::new(limits.packet_bytes_max),
            introduce_by: service.shard.clock().now() + limits.handshake_timeout,
            service,
            connection,
            half,
        }
    }

    /// Reads and hands over until the connection ends.
    pub(crate) async fn run(mut self) -> CloseReason {
        let mut packet_bytes = 0;
        loop {
            let received = match self.read(packet_bytes).await {
                Ok(bytes) => bytes,
                Err(reason) => return reason,
            };
            packet_bytes = match self.handle(received).await {
                Ok(packet_bytes) => packet_bytes,
                Err(reason) => return reason,
            };
        }
    }

    /// Waits for bytes and puts them into the buffer.
    async fn read(&mut self, packet_bytes: usize) -> Result<usize, CloseReason> {
        loop {
            if self.connection.is_closing() {
                return Err(CloseReason::Asked);
            }
            let room = self.buffer.room(packet_bytes);
            let read = race(self.half.read(room), self.connection.wake_reader.wait());
            let outcome = if self.connection.is_introduced() {
                Either::Left(read.await)
            } else {
                race(read, self.service.shard.clock().sleep_until(self.introduce_by)).await
            };
            match outcome {
                Either::Left(Either::Left(Ok(0))) => return Err(CloseReason::EndOfStream),
                Either::Left(Either::Left(Ok(bytes))) => {
                    self.buffer.received(bytes);
                    return Ok(bytes);
                }
                Either::Left(Either::Left(Err(error))) => return Err(CloseReason::Io(error)),
                Either::Left(Either::Right(())) => {}
                Either::Right(()) => return Err(CloseReason::HandshakeTimeout),
            }
        }
    }

    /// Hands over all whole packets, then returns how long the next one is, when that is known.
    async fn handle(&mut self, received_bytes: usize) -> Result<usize, CloseReason> {
        let service = Rc::clone(&self.service);
        let received = service.shard.clock().now();
        add(&service.connections.counters().received_bytes, received_bytes as u64);
        let (mut now, mut unspent) = (received, received_bytes);
        loop {
            let started = now;
            let progress = self.handle_run(Times { received, now });
            now = service.shard.clock().now();
            let bytes = std::mem::take(&mut unspent);
            let spent =
                service.connections.budget.spend(now.since(started), bytes, &service.limits);
            if spent || !matches!(progress, Ok(Progress::More)) {
                service.handler.batch_end(&self.connection);
            }
            let progress = progress?;
            if spent {
                service.shard.pass().await;
                now = service.shard.clock().now();
            }
            match progress {
                Progress::Incomplete(packet_bytes) => return Ok(packet_bytes),
                Progress::More => {}
                Progress::NoRoom => {
                    self.connection.room().await;
                    now = service.shard.clock().now();
                }
            }
        }
    }

    /// Hands over some packets; awaits nothing.
    fn handle_run(&mut self, times: Times) -> Result<Progress, CloseReason> {
        let mut packets = 0;
        let progress = loop {
            if self.connection.is_closing() {
                break Err(CloseReason::Asked);
            }
            if !self.connection.takes_requests() {
                break Ok(Progress::NoRoom);
            }
            if packets == RUN_PACKETS {
                break Ok(Progress::More);
            }
            match self.handle_packet(times) {
                Ok(None) => packets += 1,
                Ok(Some(packet_bytes)) => break Ok(Progress::Incomplete(packet_bytes)),
                Err(reason) => break Err(reason),
            }
        };
        add(&self.service.connections.counters().packets, packets as u64);
        progress
    }

    /// Hands over the next packet, or says how long it is when it is not whole.
    #[inline]
    fn handle_packet(&mut self, times: Times) -> Result<Option<usize>, CloseReason> {
        let unparsed = self.buffer.unparsed();
        let Some((frame, consumed)) = self.splitter.split(unparsed).map_err(CloseReason::Wire)?
        else {
            let bytes = self.splitter.first_frame_bytes(unparsed).map_err(CloseReason::Wire)?;
            return Ok(Some(bytes.unwrap_or_default()));
        };
        let packet = Packet::decode(frame).map_err(CloseReason::Wire)?;
        self.service.packet(&self.connection, &packet, times)?;
        self.buffer.consume(consumed);
        Ok(None)
    }
}
