//! An outbound connection to another node: made, introduced, and kept alive while packets go out.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use moment::Moment;
use runtime::{Either, ReadHalf, Shard, WriteHalf, race};
use wire::{
    Command, ConnectionLimits, Handshake, Packet, ProcessId, RequestHead, RespCode, Splitter,
    WireError, encode_request,
};

use crate::send_queue::SendQueue;

/// How a connection is made and watched.
#[derive(Clone, Copy, Debug)]
pub struct LinkOptions {
    /// Who connects: the same for all connections of this process.
    pub process: ProcessId,
    /// How long connecting, the handshake and the hello may take together.
    pub connect_timeout: Duration,
    /// How often a connection on which nothing else is asked is asked for a sign of life.
    pub ping_interval: Duration,
    /// A connection that gives no sign of life, or takes no bytes, for this long is broken.
    pub silence_max: Duration,
    /// Longest packet that is accepted.
    pub packet_bytes_max: usize,
}

/// A connection whose hello was accepted.
pub struct Link {
    shard: Shard,
    options: LinkOptions,
    incoming: Incoming,
    half: WriteHalf,
    answer: Vec<u8>,
}

/// Why there is no connection, or none any more.
#[derive(Debug)]
pub enum LinkError {
    /// The system said so.
    Io(io::Error),
    /// The other side closed it.
    Closed,
    /// It was not made and introduced in time.
    ConnectTimeout,
    /// The other side gave no sign of life for too long.
    Silent,
    /// The other side does not speak the protocol.
    Wire(WireError),
    /// The other side does not want it, and says why.
    Refused {
        /// The code of its answer.
        code: i32,
        /// Its words.
        text: String,
    },
}

impl fmt::Display for LinkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Io(error) => error.fmt(formatter),
            LinkError::Closed => formatter.write_str("the other side closed the connection"),
            LinkError::ConnectTimeout => formatter.write_str("no answer in time"),
            LinkError::Silent => formatter.write_str("no sign of life"),
            LinkError::Wire(error) => write!(formatter, "not the protocol of a node: {error}"),
            LinkError::Refused { text, .. } => formatter.write_str(text),
        }
    }
}

/// Connects to `address`, says the handshake and then the request `hello`, and waits for the answer.
///
/// # Errors
/// When any of it fails, takes too long, or is refused.
pub async fn connect(
    shard: &Shard,
    address: SocketAddr,
    options: LinkOptions,
    command: Command,
    hello: &[u8],
) -> Result<Link, LinkError> {
    let introduction = introduce(shard, address, options, command, hello);
    let introduced = shard.clock().timeout(options.connect_timeout, introduction).await;
    introduced.unwrap_or(Err(LinkError::ConnectTimeout))
}

async fn introduce(
    shard: &Shard,
    address: SocketAddr,
    options: LinkOptions,
    command: Command,
    hello: &[u8],
) -> Result<Link, LinkError> {
    let stream = shard.network().connect(address).await.map_err(LinkError::Io)?;
    let (read_half, mut half) = stream.split();
    let mut out = Vec::new();
    let timeout_nanos = i64::try_from(options.connect_timeout.as_nanos()).unwrap_or(i64::MAX);
    let head = |command, seq| RequestHead { command, seq, timeout_nanos, one_way: false };
    encode_request(&mut out, &head(Command::HANDSHAKE, HANDSHAKE_SEQ), |writer| {
        let limits = ConnectionLimits::default();
        Handshake::request(options.process, limits).encode(writer);
    });
    encode_request(&mut out, &head(command, HELLO_SEQ), |writer| writer.raw(hello));
    half.write_all(&out).await.map_err(LinkError::Io)?;
    let mut incoming = Incoming::new(read_half, options.packet_bytes_max);
    let mut answer = Vec::new();
    for seq in [HANDSHAKE_SEQ, HELLO_SEQ] {
        incoming.packet(|packet| accepted(packet, seq, &mut answer)).await??;
    }
    Ok(Link { shard: shard.clone(), options, incoming, half, answer })
}

/// Takes the body of a good answer.
fn accepted(packet: &Packet<'_>, seq: i32, body: &mut Vec<u8>) -> Result<(), LinkError> {
    if packet.resp_code != RespCode::Success.number() || packet.seq != seq {
        let text = String::from_utf8_lossy(packet.msg).into_owned();
        return Err(LinkError::Refused { code: packet.resp_code, text });
    }
    body.clear();
    body.extend_from_slice(packet.body_bytes());
    Ok(())
}

impl Link {
    /// What the other side answered to the hello.
    pub fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Sends what `queue` holds, all there is with each write, until the connection breaks. The
    /// queue must be open; the caller closes it afterwards.
    pub async fn carry(self, queue: &SendQueue) -> LinkError {
        let Link { shard, options, mut incoming, half, .. } = self;
        let heard = Cell::new(shard.clock().now());
        let listen = async {
            loop {
                if let Err(error) = incoming.packet(|_| ()).await {
                    return error;
                }
                heard.set(shard.clock().now());
            }
        };
        let mut sender = Sender { shard: &shard, options, half, heard: &heard };
        let end = match race(listen, sender.send_all(queue)).await {
            Either::Left(error) | Either::Right(error) => error,
        };
        sender.half.shutdown();
        end
    }
}

/// The sending side of a link.
struct Sender<'a> {
    shard: &'a Shard,
    options: LinkOptions,
    half: WriteHalf,
    /// When the last sign of life came.
    heard: &'a Cell<Moment>,
}

impl Sender<'_> {
    async fn send_all(&mut self, queue: &SendQueue) -> LinkError {
        let clock = self.shard.clock();
        let mut sending = Vec::new();
        let mut next_ping = clock.now() + self.options.ping_interval;
        let mut seq = HELLO_SEQ;
        loop {
            queue.take(&mut sending);
            let now = clock.now();
            if now >= next_ping {
                if now.since(self.heard.get()) > self.options.silence_max {
                    return LinkError::Silent;
                }
                seq = seq.checked_add(1).unwrap_or(1);
                encode_ping(&mut sending, seq);
                next_ping = now + self.options.ping_interval;
            }
            if sending.is_empty() {
                let _ = race(queue.filled(), clock.sleep_until(next_ping)).await;
                continue;
            }
            match clock.timeout(self.options.silence_max, self.half.write_all(&sending)).await {
                Some(Ok(())) => {}
                Some(Err(error)) => return LinkError::Io(error),
                None => return LinkError::Silent,
            }
            sending.clear();
            if sending.capacity() > KEPT_BYTES_MAX {
                sending = Vec::new();
            }
        }
    }
}

fn encode_ping(out: &mut Vec<u8>, seq: i32) {
    let head = RequestHead {
        command: Command::PING,
        seq,
        timeout_nanos: PING_TIMEOUT_NANOS,
        one_way: false,
    };
    encode_request(out, &head, |_| {});
}

/// The receiving side of a link.
struct Incoming {
    half: ReadHalf,
    splitter: Splitter,
    /// What was received and not taken yet.
    bytes: Vec<u8>,
    room: Box<[u8]>,
}

impl Incoming {
    fn new(half: ReadHalf, packet_bytes_max: usize) -> Incoming {
        let room = vec![0; READ_BYTES].into_boxed_slice();
        Incoming { half, splitter: Splitter::new(packet_bytes_max), bytes: Vec::new(), room }
    }

    /// Waits for a packet and gives it to `take`. Dropping the future loses nothing.
    async fn packet<R>(&mut self, take: impl FnOnce(&Packet<'_>) -> R) -> Result<R, LinkError> {
        loop {
            if let Some((frame, length)) =
                self.splitter.split(&self.bytes).map_err(LinkError::Wire)?
            {
                let taken = take(&Packet::decode(frame).map_err(LinkError::Wire)?);
                self.bytes.drain(..length);
                return Ok(taken);
            }
            let count = self.half.read(&mut self.room).await.map_err(LinkError::Io)?;
            if count == 0 {
                return Err(LinkError::Closed);
            }
            self.bytes.extend_from_slice(self.room.get(..count).unwrap_or_default());
        }
    }
}

const HANDSHAKE_SEQ: i32 = 1;
const HELLO_SEQ: i32 = 2;
/// Answers are few and small.
const READ_BYTES: usize = 4096;
const PING_TIMEOUT_NANOS: i64 = 10_000_000_000;
/// Memory that a quiet link keeps for its next write.
const KEPT_BYTES_MAX: usize = 1 << 20;
