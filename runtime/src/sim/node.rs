//! A node as the world sees it: an address, clocks, power, and at most one process.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use moment::{Moment, WallTime};

use super::clock::NodeClock;
use crate::StopHandle;

/// Names a node of the world; a client program is a node of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeKey(pub u16);

impl NodeKey {
    /// The node's address, `10.0.h.l` with the two bytes of its number.
    pub const fn ip(self) -> IpAddr {
        let [high, low] = self.0.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }

    /// The node that has this address, if it is one of those [`ip`](Self::ip) gives.
    pub(crate) fn of_ip(ip: IpAddr) -> Option<NodeKey> {
        match ip {
            IpAddr::V4(ip) => match ip.octets() {
                [10, 0, high, low] => Some(NodeKey(u16::from_be_bytes([high, low]))),
                _ => None,
            },
            IpAddr::V6(_) => None,
        }
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "node {}", self.0)
    }
}

/// How a node's process dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashKind {
    /// As by SIGKILL: the operating system lives, closes the sockets and keeps what was written.
    Kill,
    /// The machine is off: peers are told nothing, what was not synced is kept or lost by sectors.
    PowerLoss,
}

pub(crate) struct Node {
    pub(crate) clock: NodeClock,
    pub(crate) stop: StopHandle,
    /// False between a power loss and the next start: nobody answers for its address.
    pub(crate) has_power: bool,
    pub(crate) is_paused: bool,
    /// Shards whose main has not returned; 0 when no process runs.
    pub(crate) mains_running: usize,
}

impl Node {
    pub(crate) fn new(local: Moment, wall: WallTime) -> Node {
        Node {
            clock: NodeClock::new(local, wall),
            stop: StopHandle::new(),
            has_power: true,
            is_paused: false,
            mains_running: 0,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.mains_running > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back_to_their_nodes() {
        for number in [0, 1, 255, 256, u16::MAX] {
            assert_eq!(NodeKey::of_ip(NodeKey(number).ip()), Some(NodeKey(number)));
        }
        assert_eq!(NodeKey::of_ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), None);
    }
}
