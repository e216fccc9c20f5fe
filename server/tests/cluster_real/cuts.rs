//! Cuts between real processes: whoever is part of a connected majority goes on, nobody's term grows
//! while one stands, and everybody is there again when the cut heals.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alone;
use crate::cluster::{Cluster, NODES};
use crate::namespaces::{Network, Way, addresses, wrap};
use crate::process::DEADLINE;

/// How long a cut lasts: several election timeouts, and longer than a link endures silence.
const CUT: Duration = Duration::from_secs(5);

/// The cluster goes before its network.
struct World {
    cluster: Cluster,
    network: Network,
}

impl World {
    /// `None`, with a reason that is printed, where a test may not make networks.
    fn make() -> Option<World> {
        match Network::make() {
            Ok(network) => {
                let cluster = Cluster::start_at(NODES.map(addresses), "", wrap);
                Some(World { cluster, network })
            }
            Err(why) => {
                eprintln!("skipped: it takes root and network namespaces: {why}");
                None
            }
        }
    }

    fn verb(&self, words: &[&str]) -> (bool, String) {
        let servers = NODES.map(|node| format!("{node}={}", addresses(node).0)).join(",");
        let options = ["--servers", &servers, "--timeout", "3s"];
        let output = self.network.verb(&[&options, words].concat());
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.verb(&["-o", "json", "status"]).1).unwrap_or_default()
    }

    /// Waits until one more node may be lost; returns leader and term.
    fn wait_until_whole(&self) -> (u32, i64) {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if status["can_lose"].as_u64() == Some(1) {
                let leader = status["leader"].as_u64().unwrap() as u32;
                return (leader, newest_term(&status));
            }
            assert!(begun.elapsed() < DEADLINE, "{status}\n{}", self.cluster.all_said());
            sleep(Duration::from_millis(50));
        }
    }

    fn put_surely(&self, value: &str) {
        let begun = Instant::now();
        while !self.verb(&["kv", "put", "key", value]).0 {
            assert!(begun.elapsed() < DEADLINE, "{}", self.cluster.all_said());
        }
    }

    /// Lets a cut be for a while. Writes go on all the time, and leader and term stay.
    fn nothing_changes(&self, what: &str, before: (u32, i64)) {
        let begun = Instant::now();
        while begun.elapsed() < CUT {
            let (done, said) = self.verb(&["kv", "put", "key", what]);
            assert!(done, "{what}: {said}\n{}", self.cluster.all_said());
            sleep(Duration::from_millis(100));
        }
        let status = self.status();
        let leader = status["leader"].as_u64().unwrap_or_default() as u32;
        let now = (leader, newest_term(&status));
        assert_eq!(now, before, "{what}: leader and term\n{}", self.cluster.all_said());
    }

    fn others(leader: u32) -> [u32; 2] {
        [leader % 3 + 1, (leader + 1) % 3 + 1]
    }
}

/// The newest term that any node is in.
fn newest_term(status: &Value) -> i64 {
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().filter_map(|node| node["term"].as_i64()).max().unwrap_or_default()
}

#[test]
fn a_connected_majority_goes_on_in_its_term() {
    let _alone = alone();
    let Some(world) = World::make() else { return };
    let before = world.wait_until_whole();
    let leader = before.0;
    let [one, other] = World::others(leader);
    let net = &world.network;
    net.set_both(one, other, Way::Cut);
    world.nothing_changes("followers-apart", before);
    net.set_both(one, other, Way::Open);
    assert_eq!(world.wait_until_whole(), before);
    // One follower hears the other one alone: it asks, and the loyal one refuses.
    net.set_both(leader, one, Way::Cut);
    world.nothing_changes("leader-and-follower-apart", before);
    net.set_both(leader, one, Way::Open);
    assert_eq!(world.wait_until_whole(), before);
    net.set_way(leader, other, Way::Cut);
    world.nothing_changes("leader-not-heard", before);
    net.set_way(leader, other, Way::Open);
    assert_eq!(world.wait_until_whole(), before);
    net.set_way(other, leader, Way::Cut);
    world.nothing_changes("follower-not-heard", before);
    net.set_way(other, leader, Way::Open);
    assert_eq!(world.wait_until_whole(), before);
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_back() {
    let _alone = alone();
    let Some(world) = World::make() else { return };
    let (old, term) = world.wait_until_whole();
    world.put_surely("before");
    let others = World::others(old);
    for other in others {
        world.network.set_both(old, other, Way::Cut);
    }
    sleep(CUT);
    world.put_surely("meanwhile");
    let status = world.status();
    let leader = status["leader"].as_u64().unwrap_or_default() as u32;
    assert!(others.contains(&leader), "{status}");
    let new_term = newest_term(&status);
    assert!(new_term > term && new_term <= term + 3, "{term} to {new_term}: {status}");
    for other in others {
        world.network.set_both(old, other, Way::Open);
    }
    assert_eq!(world.wait_until_whole(), (leader, new_term), "whoever is back disturbs nobody");
    assert_eq!(world.verb(&["kv", "get", "key"]).1, "meanwhile\n");
}
