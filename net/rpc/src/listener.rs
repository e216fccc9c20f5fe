//! Accepting connections, and the life of one.

use std::rc::Rc;
use std::time::Duration;

use runtime::{Either, FiberGroup, Listener, Shard, Stream, race};
use wire::PortKind;

use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::connections::{Connections, add};
use crate::handler::Handler;
use crate::inbound::Inbound;
use crate::limits::Limits;
use crate::outbound::send_all;
use crate::service::Service;

/// One port of a shard: its connections, whoever accepted them.
pub struct Port<H>(Rc<Service<H>>);

impl<H: Handler> Port<H> {
    /// A port without connections. All fibers of its connections will belong to `fibers`.
    pub fn new(
        shard: Shard,
        port: PortKind,
        limits: Limits,
        connections: Rc<Connections>,
        handler: Rc<H>,
        fibers: FiberGroup,
    ) -> Port<H> {
        Port(Rc::new(Service { shard, port, limits, connections, handler, fibers }))
    }

    /// Serves a stream that was accepted here or on another shard. Where nothing is accepted,
    /// [`Connections::close_all`] ends the connections; one that comes after that is closed here.
    pub fn adopt(&self, stream: Stream) {
        if !self.0.fibers.is_stopping() {
            start(&self.0, stream);
        }
    }

    /// Accepts connections and gives each to `place`, which serves it or passes it on.
    ///
    /// Returns when the fibers are told to stop; then nothing is accepted or read any more, and
    /// each connection ends once its answers have left or [`Limits::flush_timeout`] is over.
    /// [`FiberGroup::join`] waits for that.
    pub async fn accept(&self, listener: Listener, mut place: impl FnMut(Stream)) {
        let service = &self.0;
        loop {
            match race(service.fibers.stopped(), listener.accept()).await {
                Either::Left(()) => return service.connections.close_all(service.port),
                Either::Right(Ok(stream)) => place(stream),
                Either::Right(Err(error)) => {
                    // Mostly a shortage of descriptors, which only time can mend.
                    tracing::warn!(%error, "cannot accept");
                    service.shard.clock().sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Gives a new stream its connection and fibers, or closes it when there are too many.
fn start<H: Handler>(service: &Rc<Service<H>>, stream: Stream) {
    let peer = stream.peer_addr();
    let Some(connection) = service.connections.open(service.port, peer, &service.limits) else {
        tracing::debug!(%peer, "too many connections");
        let (_, write_half) = stream.split();
        write_half.shutdown();
        return;
    };
    let fiber = run(Rc::clone(service), connection, stream);
    drop(service.fibers.spawn("connection", fiber));
}

/// One connection from its first to its last byte.
async fn run<H: Handler>(service: Rc<Service<H>>, connection: Rc<Connection>, stream: Stream) {
    let (read_half, write_half) = stream.split();
    let out = send_all(Rc::clone(&connection), Rc::clone(&service.connections), write_half);
    let mut writer = service.fibers.spawn("connection out", out);
    let reason = Inbound::new(Rc::clone(&service), Rc::clone(&connection), read_half).run().await;
    tracing::debug!(peer = %connection.peer(), %reason, "connection closed");
    if reason.is_broken() {
        add(&service.connections.counters().broken, 1);
    }
    connection.close();
    if !matches!(reason, CloseReason::Io(_)) {
        // What was answered before the end may still leave; not for longer than the limit.
        let _ = service.shard.clock().timeout(service.limits.flush_timeout, &mut writer).await;
    }
    connection.cut.set();
    let _ = writer.await;
    service.connections.remove(&connection);
    if connection.is_introduced() {
        service.handler.closed(&connection);
    }
}
