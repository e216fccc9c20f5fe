//! The two ports of a shard: one for clients, one for other nodes and administration.

use std::rc::Rc;

use rpc::Port;
use runtime::{FiberGroup, Listener, Shard, Stream};
use wire::PortKind;

use crate::node::NodePlan;
use crate::peers::NodeHandler;
use crate::requests::RequestHandler;

/// The connections of both ports.
pub struct Ports {
    service: Port<RequestHandler>,
    replicate: Port<NodeHandler>,
}

impl Ports {
    /// Ports without connections, whose fibers will belong to `fibers`.
    pub fn new(
        shard: &Shard,
        plan: &NodePlan,
        connections: &Rc<rpc::Connections>,
        handlers: (Rc<RequestHandler>, Rc<NodeHandler>),
        fibers: &FiberGroup,
    ) -> Ports {
        let (of_clients, of_nodes) = handlers;
        let limits = |kind| plan.connection_limits(kind);
        Ports {
            service: Port::new(
                shard.clone(),
                PortKind::Service,
                limits(PortKind::Service),
                connections.clone(),
                of_clients,
                fibers.clone(),
            ),
            replicate: Port::new(
                shard.clone(),
                PortKind::Replicate,
                limits(PortKind::Replicate),
                connections.clone(),
                of_nodes,
                fibers.clone(),
            ),
        }
    }

    /// Serves a stream that was accepted on this shard or another one.
    pub fn adopt(&self, kind: PortKind, stream: Stream) {
        match kind {
            PortKind::Service => self.service.adopt(stream),
            PortKind::Replicate => self.replicate.adopt(stream),
        }
    }

    /// Accepts connections until the fibers stop.
    pub async fn accept(&self, kind: PortKind, listener: Listener, place: impl FnMut(Stream)) {
        match kind {
            PortKind::Service => self.service.accept(listener, place).await,
            PortKind::Replicate => self.replicate.accept(listener, place).await,
        }
    }
}
