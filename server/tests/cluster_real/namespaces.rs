//! A network of its own for three nodes: a namespace each, joined by a bridge in a fourth one. Nothing
//! outside these namespaces is touched, and they are gone with this value.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Output, id};

use crate::cluster::{NODES, bare};
use crate::process::dongting;

/// The network.
pub(crate) struct Network(());

/// Whether packets get from one node to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Open,
    /// They vanish without a sign.
    Cut,
}

impl Network {
    /// Makes it, or says why this machine cannot.
    pub(crate) fn make() -> Result<Network, String> {
        let network = Network(());
        let hub = hub();
        ip(&["netns", "add", &hub])?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "address", "add", "10.77.0.100/24", "dev", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for node in NODES {
            let (own, port) = (namespace(node), format!("port{node}"));
            let address = format!("{}/24", ip_of(node));
            ip(&["netns", "add", &own])?;
            let peer = ["type", "veth", "peer", "name", "eth0", "netns", &own];
            ip(&[&["-n", &hub, "link", "add", &port], &peer[..]].concat())?;
            ip(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"])?;
            ip(&["-n", &own, "address", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &own, "link", "set", "eth0", "up"])?;
            ip(&["-n", &own, "link", "set", "lo", "up"])?;
        }
        Ok(network)
    }

    /// Opens or cuts the way of packets from one node to another; the way back stays as it is.
    pub(crate) fn set_way(&self, from: u32, to: u32, way: Way) {
        let (own, address) = (namespace(from), ip_of(to).to_string());
        let place = ["dev", "eth0"];
        let wanted: Vec<&str> = match way {
            // Frames to a machine that is not there.
            Way::Cut => ["neigh", "replace", &address, "lladdr", "02:00:00:00:00:99"]
                .into_iter()
                .chain(place)
                .chain(["nud", "permanent"])
                .collect(),
            Way::Open => ["neigh", "del", &address].into_iter().chain(place).collect(),
        };
        ip(&[&["-n", own.as_str()], &wanted[..]].concat()).unwrap();
    }

    /// Opens or cuts both ways between two nodes.
    pub(crate) fn set_both(&self, one: u32, other: u32, way: Way) {
        self.set_way(one, other, way);
        self.set_way(other, one, way);
    }

    /// Runs a verb of the binary at the bridge, from where all nodes can be reached at all times.
    pub(crate) fn verb(&self, words: &[&str]) -> Output {
        let verb = dongting(words);
        let mut command = bare("ip");
        command.args(["netns", "exec", &hub()]).arg(verb.get_program()).args(verb.get_args());
        command.output().unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in NODES.map(namespace).into_iter().chain([hub()]) {
            // One that could not be made cannot be removed.
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

/// What runs a command in a node's namespace.
pub(crate) fn wrap(node: u32) -> Vec<String> {
    vec!["ip".to_owned(), "netns".to_owned(), "exec".to_owned(), namespace(node)]
}

/// Service and replicate address of a node.
pub(crate) fn addresses(node: u32) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(ip_of(node), 9332), SocketAddr::new(ip_of(node), 9331))
}

fn ip_of(node: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, node as u8))
}

fn hub() -> String {
    format!("dongting{}-hub", id())
}

fn namespace(node: u32) -> String {
    format!("dongting{}-{node}", id())
}

fn ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {said}", words.join(" "))) }
}
