//! Where the other nodes are: addresses at once, names as soon as somebody has looked them up.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use crate::config::{Config, Endpoint};

/// The replicate addresses of all nodes of a configuration.
pub struct Addresses {
    found: Mutex<BTreeMap<u32, SocketAddr>>,
    names: Vec<(u32, Endpoint)>,
}

impl Addresses {
    /// Takes the nodes of a configuration. Their names, if any, are not looked up here.
    pub fn of(config: &Config) -> Addresses {
        let (mut found, mut names) = (BTreeMap::new(), Vec::new());
        for peer in config.nodes.iter().filter(|peer| peer.id != config.node.id) {
            let Endpoint { host, port } = &peer.replicate;
            match host.parse::<IpAddr>() {
                Ok(ip) => drop(found.insert(peer.id, SocketAddr::new(ip, *port))),
                Err(_) => names.push((peer.id, peer.replicate.clone())),
            }
        }
        Addresses { found: Mutex::new(found), names }
    }

    /// Where a node is, unless its name was not found yet.
    pub fn of_node(&self, node: u32) -> Option<SocketAddr> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&node).copied()
    }

    /// The nodes that are given by name.
    pub fn names(&self) -> &[(u32, Endpoint)] {
        &self.names
    }

    /// A name was looked up.
    pub fn found(&self, node: u32, address: SocketAddr) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(node, address);
    }
}
