//! All links, listeners and connections, and what fibers do with them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::address::AddressBook;
use super::connection::{Connection, Content, End, EndState, Segment, Side};
use super::link::{Link, LinkOptions, NetworkOptions};
use super::stream::LostEnds;
use crate::sim::arena::{Arena, Key};
use crate::sim::events::Event;
use crate::sim::kernel::Kernel;
use crate::sim::latency::below;
use crate::sim::node::NodeKey;
use crate::sim::trace::TraceKind;

/// A node that nothing ever runs on: where addresses lead that lead nowhere.
const NOWHERE: NodeKey = NodeKey(u16::MAX);
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// Something that happens on the network later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NetworkEvent {
    /// The first segment on the way arrives.
    Deliver { connection: Key, from: Side },
    /// The sender has waited long enough for an acknowledgement, unless the epoch is over.
    GiveUp { connection: Key, from: Side, epoch: u32 },
    /// A sender that waits for room looks whether the other end still lives.
    Probe { connection: Key, from: Side },
    /// A caller's attempt reaches the callee's node.
    Call { connection: Key, attempt: u32 },
    /// The caller learns the outcome.
    Answer { connection: Key, outcome: Result<(), io::ErrorKind> },
}

impl NetworkEvent {
    pub(crate) fn trace_number(&self) -> u64 {
        let (kind, connection) = match self {
            NetworkEvent::Deliver { connection, from } => (*from as u64, connection),
            NetworkEvent::GiveUp { connection, from, .. } => (2 + *from as u64, connection),
            NetworkEvent::Call { connection, .. } => (4, connection),
            NetworkEvent::Answer { connection, .. } => (5, connection),
            NetworkEvent::Probe { connection, from } => (6 + *from as u64, connection),
        };
        kind << 32 | u64::from(connection.slot)
    }
}

pub(crate) struct Fabric {
    pub(super) options: NetworkOptions,
    pub(super) links: BTreeMap<(NodeKey, NodeKey), Link>,
    pub(super) addresses: AddressBook,
    pub(super) listeners: Arena<ListenerState>,
    pub(super) connections: Arena<Connection>,
    next_ports: BTreeMap<NodeKey, u16>,
    lost_ends: Arc<LostEnds>,
}

pub(super) struct ListenerState {
    pub(super) node: NodeKey,
    pub(super) address: SocketAddr,
    pub(super) is_shared: bool,
    /// Connections that nobody accepted yet.
    pub(super) queue: VecDeque<Key>,
    pub(super) waker: Option<Waker>,
}

impl Fabric {
    pub(crate) fn new(options: NetworkOptions) -> Fabric {
        Fabric {
            options,
            links: BTreeMap::new(),
            addresses: AddressBook::default(),
            listeners: Arena::new(),
            connections: Arena::new(),
            next_ports: BTreeMap::new(),
            lost_ends: Arc::default(),
        }
    }

    /// Where detached handles leave what they owned when they are dropped.
    pub(super) fn lost_ends(&self) -> &Arc<LostEnds> {
        &self.lost_ends
    }

    /// Address of the far end, as seen from `side`.
    pub(super) fn peer_address(&self, key: Key, side: Side) -> Option<SocketAddr> {
        Some(self.connections.get(key)?.end(side.other()).address)
    }

    pub(super) fn link(&mut self, from: NodeKey, to: NodeKey) -> &mut Link {
        let options = if from == to { self.options.loopback } else { self.options.link };
        self.links.entry((from, to)).or_insert(Link { options, is_cut: false })
    }

    pub(super) fn is_cut(&self, from: NodeKey, to: NodeKey) -> bool {
        self.links.get(&(from, to)).is_some_and(|link| link.is_cut)
    }

    fn link_options(&self, from: NodeKey, to: NodeKey) -> LinkOptions {
        match self.links.get(&(from, to)) {
            Some(link) => link.options,
            None if from == to => self.options.loopback,
            None => self.options.link,
        }
    }

    pub(super) fn delay(&self, kernel: &Kernel, from: NodeKey, to: NodeKey) -> Duration {
        let latency = self.link_options(from, to).delay;
        kernel.with_tape(|tape| latency.draw(tape, "network.delay"))
    }

    /// A free port of a node.
    fn ephemeral_port(&mut self, node: NodeKey) -> u16 {
        let next = self.next_ports.entry(node).or_insert(FIRST_EPHEMERAL_PORT);
        let port = *next;
        *next = if port == u16::MAX { FIRST_EPHEMERAL_PORT } else { port + 1 };
        port
    }

    pub(super) fn listen(
        &mut self,
        node: NodeKey,
        mut address: SocketAddr,
        is_shared: bool,
    ) -> io::Result<(Key, SocketAddr)> {
        if !self.addresses.is_own(node, address) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if address.port() == 0 {
            address.set_port(self.ephemeral_port(node));
        }
        let overlaps = |other: &ListenerState| {
            other.node == node
                && other.address.port() == address.port()
                && (other.address.ip() == address.ip()
                    || other.address.ip().is_unspecified()
                    || address.ip().is_unspecified())
                && !(other.is_shared && is_shared)
        };
        if self.listeners.iter().any(|(_, other)| overlaps(other)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.addresses.register_listener(address, node);
        let queue = VecDeque::new();
        let listener = ListenerState { node, address, is_shared, queue, waker: None };
        Ok((self.listeners.insert(listener), address))
    }

    /// The listeners of a node that take connections to `address`.
    pub(super) fn listeners_at(&self, node: NodeKey, address: SocketAddr) -> Vec<Key> {
        self.listeners.keys_where(|listener| {
            let ip = listener.address.ip();
            listener.node == node
                && listener.address.port() == address.port()
                && (ip.is_unspecified() || ip == address.ip())
        })
    }

    pub(super) fn accept(&mut self, listener: Key, waker: &Waker) -> Poll<io::Result<Key>> {
        let Some(listener) = self.listeners.get_mut(listener) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        match listener.queue.pop_front() {
            Some(connection) => Poll::Ready(Ok(connection)),
            None => {
                listener.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn stop_listening(&mut self, kernel: &Kernel, listener: Key) {
        if let Some(listener) = self.listeners.remove(listener) {
            for connection in listener.queue {
                self.abort(kernel, connection, Side::Callee);
            }
        }
    }

    /// Starts a connection; [`poll_connected`](Self::poll_connected) tells when it stands.
    pub(super) fn connect(&mut self, kernel: &Kernel, node: NodeKey, address: SocketAddr) -> Key {
        let listens_itself = !self.listeners_at(node, address).is_empty();
        let to = self.addresses.resolve(node, address, listens_itself).unwrap_or(NOWHERE);
        let own = SocketAddr::new(node.ip(), self.ephemeral_port(node));
        let caller = End::new(node, own, EndState::Connecting);
        // The callee's end exists once a listener has it.
        let callee = End::new(to, address, EndState::Closed);
        let connection = self.connections.insert(Connection::new(caller, callee));
        let delay = self.delay(kernel, node, to);
        let call = NetworkEvent::Call { connection, attempt: 0 };
        kernel.schedule(delay, Event::Network(call));
        connection
    }

    pub(super) fn poll_connected(&mut self, key: Key, waker: &Waker) -> Poll<io::Result<()>> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let end = connection.end_mut(Side::Caller);
        match (end.error, end.state) {
            (Some(error), _) => Poll::Ready(Err(error.into())),
            (None, EndState::Connecting) => {
                end.reader = Some(waker.clone());
                Poll::Pending
            }
            (None, _) => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn read(
        &mut self,
        kernel: &Kernel,
        (key, side): (Key, Side),
        target: &mut [u8],
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        let short_read_one_in = self.options.short_read_one_in;
        let Some(connection) = self.connections.get_mut(key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let (writer_node, reader_node) = connection.way(side.other());
        let pipe = connection.pipe_mut(side.other());
        let mut len = pipe.arrived.min(target.len());
        if len > 0 || target.is_empty() {
            if len > 1 && kernel.one_in("network.read.short", short_read_one_in) {
                len = 1 + kernel.choose("network.read.len", len as u64 - 1) as usize;
            }
            let count = pipe.take(&mut target[..len]);
            let is_cut = self.links.get(&(reader_node, writer_node)).is_some_and(|l| l.is_cut);
            if is_cut {
                pipe.unacknowledged += count;
            } else if let Some(writer) = connection.end_mut(side.other()).writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(count));
        }
        let has_ended = pipe.has_end_arrived;
        let end = connection.end_mut(side);
        match (end.error, end.state) {
            (_, EndState::ShutDown) => Poll::Ready(Ok(0)),
            (Some(error), _) => Poll::Ready(Err(error.into())),
            (None, EndState::Open) if !has_ended => {
                end.reader = Some(waker.clone());
                Poll::Pending
            }
            (None, EndState::Open) => Poll::Ready(Ok(0)),
            (None, _) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Takes as many bytes as there is room for, at least one.
    pub(super) fn write(
        &mut self,
        kernel: &Kernel,
        (key, side): (Key, Side),
        bytes: &[u8],
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        let window = self.options.window;
        let Some(connection) = self.connections.get_mut(key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let end = connection.end(side);
        match (end.error, end.state) {
            (Some(error), _) => return Poll::Ready(Err(error.into())),
            (None, EndState::Open) => {}
            (None, _) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        let pipe = connection.pipe_mut(side);
        assert!(!pipe.is_finished, "an open end without an error has sent no end");
        let room = window.saturating_sub(pipe.bytes.len() + pipe.unacknowledged);
        let count = room.min(bytes.len());
        if count == 0 && !bytes.is_empty() {
            connection.end_mut(side).writer = Some(waker.clone());
            self.schedule_probe(kernel, key, side);
            return Poll::Pending;
        }
        pipe.bytes.extend(&bytes[..count]);
        kernel.trace.add_bytes(TraceKind::Send, &bytes[..count]);
        self.send(kernel, key, side, Content::Bytes(count));
        Poll::Ready(Ok(count))
    }

    /// Ends both directions; the handle stays.
    pub(super) fn shut_down(&mut self, kernel: &Kernel, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let end = connection.end_mut(side);
        if end.state != EndState::Open {
            return;
        }
        end.state = EndState::ShutDown;
        end.wake();
        self.send(kernel, key, side, Content::End);
    }

    /// The last handle of an end is gone. As the system does it: a reset when bytes were left
    /// unread, otherwise an end behind all that was written.
    pub(super) fn close(&mut self, kernel: &Kernel, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let has_unread = connection.pipe(side.other()).arrived > 0;
        let end = connection.end_mut(side);
        let old = end.state;
        (end.reader, end.writer) = (None, None);
        match old {
            EndState::Closed | EndState::Gone => return,
            _ => end.state = EndState::Closed,
        }
        let is_broken = end.error.is_some();
        if old != EndState::Connecting && !is_broken {
            let content = if has_unread { Content::Reset } else { Content::End };
            self.send(kernel, key, side, content);
        }
        self.forget_if_over(key);
    }

    /// Closes an end with a reset.
    pub(super) fn abort(&mut self, kernel: &Kernel, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.end_mut(side).state = EndState::Closed;
        self.send(kernel, key, side, Content::Reset);
        self.forget_if_over(key);
    }

    /// Puts a segment on the way; nothing follows an end but a reset, and nothing a reset.
    pub(super) fn send(&mut self, kernel: &Kernel, key: Key, side: Side, content: Content) {
        let Some(connection) = self.connections.get(key) else { return };
        let (from, to) = connection.way(side);
        let options = self.link_options(from, to);
        let now = kernel.now();
        let Some(connection) = self.connections.get_mut(key) else { return };
        let pipe = connection.pipe_mut(side);
        let is_sent = match content {
            Content::Bytes(_) | Content::End => pipe.is_finished,
            Content::Reset => {
                pipe.on_the_way.back().is_some_and(|last| last.content == Content::Reset)
            }
        };
        if is_sent {
            return;
        }
        pipe.is_finished = !matches!(content, Content::Bytes(_));
        let mut delay = kernel.with_tape(|tape| options.delay.draw(tape, "network.delay"));
        let mut is_reset = false;
        if let Content::Bytes(len) = content {
            if kernel.one_in("network.loss", options.loss_one_in) {
                let lost = |tape: &mut _| below(tape, "network.loss.delay", options.retransmission);
                delay += kernel.with_tape(lost);
            }
            if kernel.one_in("network.corrupt", options.corrupt_one_in) {
                let start = pipe.bytes.len() - len;
                let bit = kernel.choose("network.corrupt.bit", len as u64 * 8) as usize;
                if let Some(byte) = pipe.bytes.get_mut(start + bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            if let Some(nanos) = (len as u64 * 1_000_000_000).checked_div(options.bandwidth) {
                pipe.busy_until = pipe.busy_until.max(now).after_nanos(nanos);
                delay += pipe.busy_until.since(now);
            }
            is_reset = kernel.one_in("network.reset", options.reset_one_in);
        }
        let earliest = pipe.on_the_way.back().map_or(now, |last| last.arrives_at);
        pipe.on_the_way.push_back(Segment { arrives_at: earliest.max(now + delay), content });
        self.schedule_delivery(kernel, key, side);
        if is_reset {
            self.break_connection(key);
        }
    }

    pub(super) fn schedule_delivery(&mut self, kernel: &Kernel, connection: Key, from: Side) {
        let Some(state) = self.connections.get_mut(connection) else { return };
        let pipe = state.pipe_mut(from);
        if pipe.is_scheduled || pipe.is_stalled {
            return;
        }
        if let Some(first) = pipe.on_the_way.front() {
            pipe.is_scheduled = true;
            let deliver = NetworkEvent::Deliver { connection, from };
            kernel.schedule_at(first.arrives_at, Event::Network(deliver));
        }
    }

    /// Both ends find their connection reset.
    pub(super) fn break_connection(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        for side in Side::BOTH {
            connection.pipe_mut(side).drop_on_the_way();
            connection.pipe_mut(side).is_finished = true;
            connection.end_mut(side).fail(io::ErrorKind::ConnectionReset);
        }
        self.forget_if_over(key);
    }

    pub(super) fn forget_if_over(&mut self, key: Key) {
        if self.connections.get(key).is_some_and(Connection::is_over) {
            self.connections.remove(key);
        }
    }
}
