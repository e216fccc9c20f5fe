//! What all connections of one port share.

use std::rc::Rc;

use runtime::{FiberGroup, Shard};
use wire::{ConnectionLimits, PortKind};

use crate::connections::Connections;
use crate::limits::Limits;

/// One port of a shard with everything that its connections need.
pub(crate) struct Service<H> {
    pub(crate) shard: Shard,
    pub(crate) port: PortKind,
    pub(crate) limits: Limits,
    pub(crate) connections: Rc<Connections>,
    pub(crate) handler: Rc<H>,
    pub(crate) fibers: FiberGroup,
}

impl<H> Service<H> {
    /// What the answer to a handshake says. A caller lowers its own limits to these numbers.
    pub(crate) fn advertised(&self) -> ConnectionLimits {
        let bytes = i32::try_from(self.limits.packet_bytes_max).unwrap_or(i32::MAX);
        ConnectionLimits {
            packet_bytes_max: bytes,
            body_bytes_max: bytes,
            ..ConnectionLimits::default()
        }
    }
}
