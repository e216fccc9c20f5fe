//! One connection as its handler sees it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use runtime::Signal;
use wire::{
    Command, Packet, PortKind, ProcessId, RequestHead, RespCode, ResponseHead, Writer,
    encode_request, encode_response,
};

use crate::limits::Limits;

/// Names a connection of this shard, also after it is gone: later ones have other ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl ConnectionId {
    /// The id of a slot's connection. [`Connections`](crate::Connections) gives ids to connections;
    /// this is for tests of what is kept for one.
    pub const fn new(slot: u32, generation: u32) -> ConnectionId {
        ConnectionId { slot, generation }
    }
}

/// A connection that was accepted on this shard.
///
/// What is written is only appended to a buffer; the connection's write fiber sends all that has
/// gathered there as soon as the fiber that writes has come to its next await.
pub struct Connection {
    id: ConnectionId,
    port: PortKind,
    peer: SocketAddr,
    out_bytes_max: usize,
    owed_answers_max: usize,
    process: Cell<Option<ProcessId>>,
    out: RefCell<Vec<u8>>,
    /// Bytes taken out of `out` that have not all left yet.
    sending: Cell<usize>,
    /// Answers that somebody makes elsewhere, so that nobody knows how large they are.
    owed_answers: Cell<usize>,
    last_seq: Cell<i32>,
    closing: Cell<bool>,
    /// The read fiber waits until less is waiting to be sent.
    held: Cell<bool>,
    /// Set when there is another reason than received bytes to go on reading, or to stop.
    pub(crate) wake_reader: Signal,
    /// Set when there is something to send, or nothing more to come.
    pub(crate) wake_writer: Signal,
    /// Set when what was not sent yet has had its time.
    pub(crate) cut: Signal,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        port: PortKind,
        peer: SocketAddr,
        limits: &Limits,
    ) -> Rc<Connection> {
        Rc::new(Connection {
            id,
            port,
            peer,
            out_bytes_max: limits.out_buffer_bytes,
            owed_answers_max: limits.owed_answers_max,
            process: Cell::new(None),
            out: RefCell::default(),
            sending: Cell::new(0),
            owed_answers: Cell::new(0),
            last_seq: Cell::new(0),
            closing: Cell::new(false),
            held: Cell::new(false),
            wake_reader: Signal::new(),
            wake_writer: Signal::new(),
            cut: Signal::new(),
        })
    }

    /// What finds it again in [`Connections`](crate::Connections).
    #[inline]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The port it was accepted on.
    pub fn port(&self) -> PortKind {
        self.port
    }

    /// The address of the other side.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Who is on the other side; zeros until the handshake.
    pub fn process(&self) -> ProcessId {
        self.process.get().unwrap_or_default()
    }

    pub(crate) fn is_introduced(&self) -> bool {
        self.process.get().is_some()
    }

    pub(crate) fn introduce(&self, process: ProcessId) {
        self.process.set(Some(process));
    }

    /// Appends to what is sent; `append` adds whole frames, only adds, and does not touch
    /// the connection. After [`close`](Connection::close) it is not called.
    #[inline]
    pub fn write(&self, append: impl FnOnce(&mut Vec<u8>)) {
        if !self.closing.get() {
            append(&mut self.out.borrow_mut());
            self.wake_writer.set();
        }
    }

    /// Answers a request.
    #[inline]
    pub fn respond(&self, head: &ResponseHead<'_>, body: impl FnOnce(&mut Writer<'_>)) {
        self.write(|out| encode_response(out, head, body));
    }

    /// Answers a request with a code and a text for people; a one-way packet gets no answer.
    pub fn refuse(&self, packet: &Packet<'_>, code: RespCode, text: &str) {
        if packet.kind() != wire::PacketKind::OneWay {
            self.respond(&ResponseHead::refusal(packet.command, packet.seq, code, text), |_| {});
        }
    }

    /// Sends a request of this side, and returns the seq that its answer will have.
    ///
    /// Nothing here waits for the answer: it comes to
    /// [`Handler::response`](crate::Handler::response), or never.
    pub fn push(&self, push: Push, body: impl FnOnce(&mut Writer<'_>)) -> i32 {
        let seq = self.last_seq.get().checked_add(1).unwrap_or(1);
        self.last_seq.set(seq);
        let head = RequestHead {
            command: push.command,
            seq,
            timeout_nanos: i64::try_from(push.timeout.as_nanos()).unwrap_or(i64::MAX),
            one_way: push.one_way,
        };
        self.write(|out| encode_request(out, &head, body));
        seq
    }

    /// Whether less waits to be sent than the limit. Answers are written also when it is not, since
    /// reading has stopped then; whoever writes unasked looks here first.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.waiting_bytes() < self.out_bytes_max
    }

    /// Bytes written that have not left yet.
    #[inline]
    pub fn waiting_bytes(&self) -> usize {
        self.out.borrow().len() + self.sending.get()
    }

    /// Counts an answer that may be large and is made elsewhere or later: while
    /// [`Limits::owed_answers_max`] of them are owed, no more requests are read. Without that, all
    /// requests of a reader that never reads would be answered before the first of their bytes count
    /// as waiting.
    #[inline]
    pub fn owe_answer(&self) {
        self.owed_answers.set(self.owed_answers.get() + 1);
    }

    /// So many answers that were owed have been written, or never will be.
    #[inline]
    pub fn settle_answers(&self, count: usize) {
        let owed = self.owed_answers.get();
        assert!(count <= owed, "only what is owed is settled");
        self.owed_answers.set(owed - count);
        self.resume_reader();
    }

    /// Closes the connection as soon as what has been written has left, or its time is over.
    pub fn close(&self) {
        self.closing.set(true);
        self.wake_reader.set();
        self.wake_writer.set();
    }

    /// Whether [`close`](Connection::close) was called or the other side has closed.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Exchanges the written bytes for an empty buffer; what came out counts as waiting until the
    /// next call.
    pub(crate) fn take_out(&self, empty: &mut Vec<u8>) {
        assert!(empty.is_empty(), "what was sent is not sent again");
        std::mem::swap(&mut *self.out.borrow_mut(), empty);
        self.sending.set(empty.len());
        self.resume_reader();
    }

    /// Whether another request may be read.
    #[inline]
    pub(crate) fn takes_requests(&self) -> bool {
        self.has_room() && self.owed_answers.get() < self.owed_answers_max
    }

    #[inline]
    fn resume_reader(&self) {
        if self.held.get() && self.takes_requests() {
            self.wake_reader.set();
        }
    }

    /// Waits until there is room for answers or the connection is closing.
    pub(crate) async fn room(&self) {
        while !self.takes_requests() && !self.is_closing() {
            self.held.set(true);
            self.wake_reader.wait().await;
        }
        self.held.set(false);
    }
}

/// What stands before the body of a packet that a server sends on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Push {
    /// What it is about.
    pub command: Command,
    /// How long the other side may take.
    pub timeout: Duration,
    /// Whether no answer is wanted.
    pub one_way: bool,
}
