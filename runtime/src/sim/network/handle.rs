//! The network in the hands of a test.

use std::net::SocketAddr;
use std::rc::Rc;

use super::connection::{EndState, Side};
use super::link::{LinkOptions, NetworkOptions};
use crate::sim::kernel::Kernel;
use crate::sim::node::NodeKey;

/// Says which node an address leads to and what happens on the links.
pub struct NetworkHandle {
    kernel: Rc<Kernel>,
}

impl NetworkHandle {
    pub(crate) fn new(kernel: Rc<Kernel>) -> NetworkHandle {
        NetworkHandle { kernel }
    }

    /// Has an address lead to a node, for all others and for its own listeners.
    ///
    /// Unregistered, `10.0.h.l` leads to the node of that number and a loopback address to the node
    /// that uses it, unless another one listens there and the user does not.
    pub fn register(&self, address: SocketAddr, node: NodeKey) {
        self.kernel.network.borrow_mut().addresses.register(address, node);
    }

    /// Changes one direction between two nodes, for what is sent from now on.
    pub fn set_link(&self, from: NodeKey, to: NodeKey, options: LinkOptions) {
        self.kernel.network.borrow_mut().link(from, to).options = options;
    }

    /// The options of one direction between two nodes.
    pub fn link(&self, from: NodeKey, to: NodeKey) -> LinkOptions {
        self.kernel.network.borrow_mut().link(from, to).options
    }

    /// Changes everything but links that were given options or cut before.
    pub fn set_options(&self, options: NetworkOptions) {
        self.kernel.network.borrow_mut().options = options;
    }

    /// The network's options.
    pub fn options(&self) -> NetworkOptions {
        self.kernel.network.borrow().options
    }

    /// From now on nothing gets from `from` to `to`. What is sent is held up, and what goes the
    /// other way is not acknowledged, until the link is healed or the sender gives up.
    pub fn cut(&self, from: NodeKey, to: NodeKey) {
        self.kernel.network.borrow_mut().link(from, to).is_cut = true;
    }

    /// Ends a cut; what was held up is sent again after a while.
    pub fn heal(&self, from: NodeKey, to: NodeKey) {
        let mut network = self.kernel.network.borrow_mut();
        if network.is_cut(from, to) {
            network.link(from, to).is_cut = false;
            network.open_way(&self.kernel, from, to);
        }
    }

    /// True while the direction is cut.
    pub fn is_cut(&self, from: NodeKey, to: NodeKey) -> bool {
        self.kernel.network.borrow().is_cut(from, to)
    }

    /// Cuts both directions between each node of one side and each of the other.
    pub fn split(&self, one: &[NodeKey], other: &[NodeKey]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    /// Ends all cuts.
    pub fn heal_all(&self) {
        let links: Vec<_> = self.kernel.network.borrow().links.keys().copied().collect();
        for (from, to) in links {
            self.heal(from, to);
        }
    }

    /// Resets all connections between two nodes; both ends learn it at once.
    pub fn reset(&self, one: NodeKey, other: NodeKey) {
        let mut network = self.kernel.network.borrow_mut();
        for key in network.connections.keys_where(|connection| {
            let way = connection.way(Side::Caller);
            way == (one, other) || way == (other, one)
        }) {
            network.break_connection(key);
        }
    }

    /// Number of connections between two nodes that both ends have open.
    pub fn connections(&self, one: NodeKey, other: NodeKey) -> usize {
        let network = self.kernel.network.borrow();
        let open = network.connections.keys_where(|connection| {
            let way = connection.way(Side::Caller);
            let is_open = |side| {
                let end = connection.end(side);
                end.state == EndState::Open && end.error.is_none()
            };
            (way == (one, other) || way == (other, one)) && Side::BOTH.into_iter().all(is_open)
        });
        open.len()
    }
}
