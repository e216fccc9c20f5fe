//! The node with the highest priority leads as soon as it can, and nobody notices how it comes to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::CrashKind;

use crate::cluster::{Cluster, put_surely};

/// The longest time between two acknowledged writes while leadership is handed over.
const GAP_MAX: Duration = Duration::from_millis(100);
/// The node that shall lead.
const PREFERRED: u16 = 3;

fn start(cluster: &mut Cluster, node: u16) {
    let mut config = cluster.config(node);
    config.node.priority = if node == PREFERRED { 7 } else { 3 };
    cluster.start_node_with(node, config);
}

/// Waits until the preferred node leads.
fn wait_for_preferred(cluster: &mut Cluster) {
    for _ in 0..200 {
        if cluster.leader() == PREFERRED {
            return;
        }
        cluster.world.run_for(Duration::from_millis(20)).unwrap();
    }
    panic!("node {PREFERRED} does not lead");
}

#[test]
fn a_node_of_higher_priority_takes_over_when_it_has_caught_up() {
    for seed in 0..6 {
        let mut cluster = Cluster::without_nodes(seed, 3, 1);
        (1..=3).for_each(|node| start(&mut cluster, node));
        wait_for_preferred(&mut cluster);
        cluster.crash(PREFERRED, CrashKind::PowerLoss);
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "0").await });
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let told = longest.clone();
        let writer = cluster.launch(move |shard, client| {
            let told = told.clone();
            async move {
                let mut last = None;
                for number in 0..4000 {
                    let written = client.put(b"a", number.to_string().as_bytes()).await;
                    assert!(written.is_ok(), "seed {seed}: put {number}: {written:?}");
                    let now = shard.clock().now();
                    let mut longest = told.lock().unwrap();
                    *longest = last.map_or(*longest, |last| longest.max(now.since(last)));
                    last = Some(now);
                }
            }
        });
        start(&mut cluster, PREFERRED);
        wait_for_preferred(&mut cluster);
        cluster.wait_program(writer);
        let longest = *longest.lock().unwrap();
        assert!(longest <= GAP_MAX, "seed {seed}: no write for {longest:?}");
    }
}
