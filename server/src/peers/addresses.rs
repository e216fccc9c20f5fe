//! Where the other nodes are: addresses at once, names as soon as somebody has looked them up.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::Endpoint;
use crate::roster::Roster;

/// The replicate addresses of all nodes of a roster.
#[derive(Default)]
pub struct Addresses {
    known: Mutex<Known>,
    names_changed: Condvar,
}

#[derive(Default)]
struct Known {
    found: BTreeMap<u32, SocketAddr>,
    names: BTreeMap<u32, Endpoint>,
}

impl Addresses {
    /// Takes the nodes of a roster. Their names, if any, are not looked up here.
    pub fn update(&self, roster: &Roster) {
        let mut known = self.lock();
        let before = core::mem::take(&mut *known);
        for (node, endpoint) in roster.nodes() {
            if let Ok(ip) = endpoint.host.parse::<IpAddr>() {
                known.found.insert(*node, SocketAddr::new(ip, endpoint.port));
                continue;
            }
            if before.names.get(node) == Some(endpoint)
                && let Some(address) = before.found.get(node)
            {
                known.found.insert(*node, *address);
            }
            known.names.insert(*node, endpoint.clone());
        }
        self.names_changed.notify_all();
    }

    /// Where a node is, unless its name was not found yet.
    pub fn of_node(&self, node: u32) -> Option<SocketAddr> {
        self.lock().found.get(&node).copied()
    }

    /// The nodes that are given by name.
    pub fn names(&self) -> Vec<(u32, Endpoint)> {
        self.lock().names.iter().map(|(node, name)| (*node, name.clone())).collect()
    }

    /// A name was looked up.
    pub fn found(&self, node: u32, name: &Endpoint, address: SocketAddr) {
        let mut known = self.lock();
        if known.names.get(&node) == Some(name) {
            known.found.insert(node, address);
        }
    }

    /// Waits for this long, or until the names have changed.
    pub fn wait(&self, time: Duration) {
        // However it ends: the names are looked up again.
        let _ = self.names_changed.wait_timeout(self.lock(), time);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
