//! Which node an address leads to.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::sim::node::NodeKey;

/// Addresses that lead elsewhere than their number says.
///
/// The rule for a connection from a node to an address, in this order:
/// 1. A node that listens on a loopback address reaches itself by it.
/// 2. A registered address leads to the node it was registered for. A node that listens on a
///    loopback address registers it, if nobody has; so configurations in which each node has
///    another port of 127.0.0.1 work as they are.
/// 3. `10.0.h.l` leads to the node of that number.
/// 4. Any other loopback address leads to the node itself.
/// 5. Nothing else leads anywhere: the connection is tried in vain.
#[derive(Default)]
pub(crate) struct AddressBook {
    registered: BTreeMap<SocketAddr, NodeKey>,
}

impl AddressBook {
    pub(crate) fn register(&mut self, address: SocketAddr, node: NodeKey) {
        self.registered.insert(address, node);
    }

    pub(crate) fn register_listener(&mut self, address: SocketAddr, node: NodeKey) {
        if address.ip().is_loopback() {
            self.registered.entry(address).or_insert(node);
        }
    }

    /// Whether a process on `node` may listen on an address.
    pub(crate) fn is_own(&self, node: NodeKey, address: SocketAddr) -> bool {
        is_local(address.ip())
            || address.ip() == node.ip()
            || self.registered.get(&address) == Some(&node)
    }

    /// Where a connection goes; `listens_itself` says whether the caller has a listener there.
    pub(crate) fn resolve(
        &self,
        from: NodeKey,
        address: SocketAddr,
        listens_itself: bool,
    ) -> Option<NodeKey> {
        let is_local = is_local(address.ip());
        if is_local && listens_itself {
            return Some(from);
        }
        let registered = self.registered.get(&address).copied();
        registered.or_else(|| NodeKey::of_ip(address.ip())).or(is_local.then_some(from))
    }
}

fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_where_the_rule_says() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut book = AddressBook::default();
        book.register_listener(address("127.0.0.1:1"), NodeKey(1));
        book.register_listener(address("127.0.0.1:1"), NodeKey(2));
        book.register_listener(address("10.0.0.9:1"), NodeKey(2));
        book.register(address("192.168.0.1:5"), NodeKey(3));
        let table = [
            ("127.0.0.1:1", false, Some(1)),
            ("127.0.0.1:1", true, Some(7)),
            ("127.0.0.1:2", false, Some(7)),
            ("[::1]:2", false, Some(7)),
            ("10.0.1.2:1", false, Some(258)),
            ("10.0.0.9:1", true, Some(9)),
            ("192.168.0.1:5", false, Some(3)),
            ("192.168.0.1:6", false, None),
        ];
        for (text, listens, expected) in table {
            let found = book.resolve(NodeKey(7), address(text), listens);
            assert_eq!(found, expected.map(NodeKey), "{text}");
        }
        assert!(book.is_own(NodeKey(3), address("192.168.0.1:5")));
        assert!(!book.is_own(NodeKey(3), address("10.0.0.4:5")));
    }
}
