//! A server whose handler records what it is given, and clients that see raw packets.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use moment::Moment;
use rpc::{Connection, ConnectionId, Connections, Flow, Handler, Limits, Port, Push, TimeBudget};
use runtime::{FiberGroup, ListenOptions, ReadHalf, Shard, WriteHalf};
use wire::{
    Command, ConnectionLimits, Handshake, Packet, PortKind, ProcessId, RequestHead, ResponseHead,
    Splitter, Writer, encode_request,
};

/// Answers [`Command::DTKV_PUT`] with its own body, [`Command::DTKV_GET`] with as many bytes as its
/// body says; keeps [`Command::DTKV_LIST`] and, as owed,
/// [`Command::DTKV_BATCH_GET`] for later, closes on [`Command::DTKV_REMOVE`], and pushes
/// two packets on [`Command::DTKV_SYNC_WATCH`].
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) requests: RefCell<Vec<(Command, i32, Moment)>>,
    pub(crate) responses: RefCell<Vec<(Command, i32)>>,
    pub(crate) later: RefCell<Vec<(ConnectionId, i32)>>,
    pub(crate) batches: Cell<usize>,
    pub(crate) opened: Cell<usize>,
    pub(crate) closed: Cell<usize>,
    pub(crate) waiting_max: Cell<usize>,
    /// Counted up by a test; the value at each request.
    pub(crate) turn: Cell<usize>,
    pub(crate) turns: RefCell<Vec<usize>>,
}

impl Handler for Recorder {
    fn request(
        &self,
        connection: &Rc<Connection>,
        packet: &Packet<'_>,
        budget: TimeBudget,
    ) -> Flow {
        self.requests.borrow_mut().push((packet.command, packet.seq, budget.deadline));
        self.turns.borrow_mut().push(self.turn.get());
        let head = ResponseHead::success(packet.command, packet.seq);
        match packet.command {
            Command::DTKV_PUT => connection.respond(&head, |w| w.raw(packet.body_bytes())),
            Command::DTKV_GET => {
                let length = packet.body_bytes().first_chunk().copied().map(u32::from_le_bytes);
                let body = vec![7; length.unwrap_or_default() as usize];
                connection.respond(&head, |writer| writer.raw(&body));
                let waiting = connection.waiting_bytes();
                self.waiting_max.set(self.waiting_max.get().max(waiting));
            }
            Command::DTKV_LIST => self.later.borrow_mut().push((connection.id(), packet.seq)),
            Command::DTKV_BATCH_GET => {
                connection.owe_answer();
                self.later.borrow_mut().push((connection.id(), packet.seq));
            }
            Command::DTKV_REMOVE => return Flow::Close,
            Command::DTKV_SYNC_WATCH => {
                for (command, one_way) in
                    [(Command::DTKV_WATCH_NOTIFY_PUSH, false), (Command::DTKV_LOCK_PUSH, true)]
                {
                    let push = Push { command, timeout: Duration::from_secs(5), one_way };
                    connection.push(push, |writer| writer.int32(1, 9));
                }
            }
            _ => connection.respond(&head, |_| {}),
        }
        Flow::Continue
    }

    fn response(&self, _connection: &Rc<Connection>, packet: &Packet<'_>) {
        self.responses.borrow_mut().push((packet.command, packet.seq));
    }

    fn batch_end(&self, _connection: &Rc<Connection>) {
        self.batches.set(self.batches.get() + 1);
    }

    fn opened(&self, _connection: &Rc<Connection>) {
        self.opened.set(self.opened.get() + 1);
    }

    fn closed(&self, _connection: &Rc<Connection>) {
        self.closed.set(self.closed.get() + 1);
    }
}

/// Both ports of a node, on one shard.
pub(crate) struct Server {
    pub(crate) shard: Shard,
    pub(crate) connections: Rc<Connections>,
    pub(crate) handler: Rc<Recorder>,
    pub(crate) fibers: FiberGroup,
    service: SocketAddr,
    replicate: SocketAddr,
}

impl Server {
    pub(crate) async fn start(shard: &Shard, limits: &Limits) -> Server {
        let connections = Connections::new();
        let handler = Rc::new(Recorder::default());
        let fibers = FiberGroup::new(shard, "connections");
        let mut addresses = Vec::new();
        for port in [PortKind::Service, PortKind::Replicate] {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let listener = shard.network().listen(any, ListenOptions::default()).await;
            let listener = listener.expect("a free port");
            addresses.push(listener.local_addr());
            let port = Rc::new(Port::new(
                shard.clone(),
                port,
                limits.clone(),
                Rc::clone(&connections),
                Rc::clone(&handler),
                fibers.clone(),
            ));
            let serving = async move { port.accept(listener, |stream| port.adopt(stream)).await };
            drop(fibers.spawn("serve", serving));
        }
        let (service, replicate) = (addresses[0], addresses[1]);
        Server { shard: shard.clone(), connections, handler, fibers, service, replicate }
    }

    pub(crate) fn address(&self, port: PortKind) -> SocketAddr {
        match port {
            PortKind::Service => self.service,
            PortKind::Replicate => self.replicate,
        }
    }

    /// A stream without a handshake.
    pub(crate) async fn connect(&self, port: PortKind) -> Client {
        let stream = self.shard.network().connect(self.address(port)).await.expect("a connection");
        let (read, write) = stream.split();
        Client { read, write, received: Vec::new(), seq: 0 }
    }

    /// A connection whose handshake was answered.
    pub(crate) async fn client(&self, port: PortKind, process: ProcessId) -> Client {
        let mut client = self.connect(port).await;
        client.send(&handshake(process)).await;
        let answer = client.next().await.expect("an answer to the handshake");
        assert_eq!((answer.command, answer.resp_code), (Command::HANDSHAKE, 0));
        client
    }

    /// A connection of the usual process to the service port.
    pub(crate) async fn usual(&self) -> Client {
        self.client(PortKind::Service, PROCESS).await
    }

    /// Lets other fibers run until `condition` holds.
    pub(crate) async fn until(&self, condition: impl Fn(&Server) -> bool) {
        while !condition(self) {
            self.shard.clock().sleep(Duration::from_micros(200)).await;
        }
    }

    pub(crate) async fn stop(&self) {
        self.fibers.stop();
        self.fibers.join().await;
    }
}

pub(crate) const PROCESS: ProcessId = ProcessId { high: 7, low: 9 };

/// A connection as its other side sees it.
pub(crate) struct Client {
    read: ReadHalf,
    write: WriteHalf,
    received: Vec<u8>,
    seq: i32,
}

/// A packet with its own bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) packet_type: i32,
    pub(crate) command: Command,
    pub(crate) seq: i32,
    pub(crate) resp_code: i32,
    pub(crate) msg: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Sends bytes; that the other side has closed shows in what is received.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.write.write_all(bytes).await;
    }

    /// Sends a request and returns its seq.
    pub(crate) async fn request(&mut self, command: Command, body: &[u8]) -> i32 {
        self.seq += 1;
        let seq = self.seq;
        self.send(&request(command, seq, body)).await;
        seq
    }

    /// Sends a ping and gets its answer.
    pub(crate) async fn ping(&mut self, body: &[u8]) {
        let seq = self.request(Command::PING, body).await;
        let answer = self.next().await.expect("an answer to the ping");
        assert_eq!((answer.command, answer.seq, answer.resp_code), (Command::PING, seq, 0));
        assert_eq!(answer.body, body);
    }

    /// The next packet; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        loop {
            let split = Splitter::new(usize::MAX).split(&self.received).expect("a length");
            if let Some((frame, consumed)) = split {
                let packet = Packet::decode(frame).expect("a packet");
                let answer = Answer {
                    packet_type: packet.packet_type,
                    command: packet.command,
                    seq: packet.seq,
                    resp_code: packet.resp_code,
                    msg: String::from_utf8_lossy(packet.msg).into_owned(),
                    body: packet.body_bytes().to_vec(),
                };
                self.received.drain(..consumed);
                return Some(answer);
            }
            let mut bytes = vec![0; 64 << 10];
            match self.read.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
            }
        }
    }

    /// Ends both directions.
    pub(crate) fn shutdown(&self) {
        self.write.shutdown();
    }
}

pub(crate) fn handshake(process: ProcessId) -> Vec<u8> {
    let message = Handshake::request(process, ConnectionLimits::default());
    framed(Command::HANDSHAKE, 1, SECOND, |writer| message.encode(writer))
}

pub(crate) fn request(command: Command, seq: i32, body: &[u8]) -> Vec<u8> {
    framed(command, seq, SECOND * 60, |writer| writer.raw(body))
}

pub(crate) fn framed(
    command: Command,
    seq: i32,
    timeout_nanos: i64,
    body: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let head = RequestHead { command, seq, timeout_nanos, one_way: false };
    encode_request(&mut out, &head, body);
    out
}

/// In nanoseconds.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Runs a server, then `program`, then stops the server; no connection may be left.
pub(crate) async fn serve_and(shard: Shard, limits: Limits, program: impl AsyncFn(Rc<Server>)) {
    let server = Rc::new(Server::start(&shard, &limits).await);
    let patience = Duration::from_secs(60);
    let done = shard.clock().timeout(patience, program(Rc::clone(&server))).await;
    assert!(done.is_some(), "the test did not end in time");
    server.stop().await;
    assert!(server.connections.is_empty(), "{:?}", server.connections.counts());
    assert_eq!(server.handler.opened.get(), server.handler.closed.get());
}
