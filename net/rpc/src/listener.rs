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

/// Serves a port: accepts connections and hands their requests to `handler`.
///
/// Returns when `fibers` is told to stop; then nothing is accepted or read any more, and each
/// connection ends once its answers have left or [`Limits::flush_timeout`] is over.
/// [`FiberGroup::join`] waits for that. All fibers of the connections belong to `fibers`.
pub async fn serve<H: Handler>(
    shard: Shard,
    listener: Listener,
    port: PortKind,
    limits: Limits,
    connections: Rc<Connections>,
    handler: Rc<H>,
    fibers: FiberGroup,
) {
    let service = Rc::new(Service { shard, port, limits, connections, handler, fibers });
    accept(&service, listener).await;
    service.connections.close_all(port);
}

/// Accepts until the group stops, then stops listening.
async fn accept<H: Handler>(service: &Rc<Service<H>>, listener: Listener) {
    loop {
        match race(service.fibers.stopped(), listener.accept()).await {
            Either::Left(()) => return,
            Either::Right(Ok(stream)) => start(service, stream),
            Either::Right(Err(error)) => {
                // Mostly a shortage of descriptors, which only time can mend.
                tracing::warn!(%error, "cannot accept");
                service.shard.clock().sleep(ACCEPT_PAUSE).await;
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
