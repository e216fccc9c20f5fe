//! Nodes that stop in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moment::Moment;

use crate::cluster::{Cluster, put_surely};

/// The longest time between two acknowledged writes when the leader is stopped in order.
const GAP_MAX: Duration = Duration::from_millis(100);

#[test]
fn a_leader_that_stops_hands_over_and_writes_go_on() {
    for seed in 0..6 {
        let mut cluster = Cluster::start(seed, 3);
        let leader = cluster.leader();
        let gaps = Arc::new(Mutex::new((Moment::ZERO, Duration::ZERO)));
        let told = gaps.clone();
        let writer = cluster.launch(move |shard, client| {
            let told = told.clone();
            async move {
                for number in 0..2000 {
                    put_surely(&shard, &client, "a", &number.to_string()).await;
                    let now = shard.clock().now();
                    let (last, longest) = *told.lock().unwrap();
                    let gap = if last == Moment::ZERO { Duration::ZERO } else { now.since(last) };
                    *told.lock().unwrap() = (now, longest.max(gap));
                }
            }
        });
        cluster.world.run_for(Duration::from_millis(200)).unwrap();
        let begun = cluster.world.now();
        cluster.stop_node(leader);
        let stopped_in = cluster.world.now().since(begun);
        assert!(stopped_in < Duration::from_secs(3), "seed {seed}: stopped in {stopped_in:?}");
        cluster.wait_program(writer);
        let longest = gaps.lock().unwrap().1;
        assert!(longest <= GAP_MAX, "seed {seed}: no write for {longest:?}");
        cluster.start_node(leader);
        cluster.wait_ready();
    }
}

#[test]
fn all_nodes_stop_in_bounded_time() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, 3);
        cluster.wait_ready();
        let begun = cluster.world.now();
        for node in 1..=3 {
            cluster.world.stop(runtime::sim::NodeKey(node));
        }
        (1..=3).for_each(|node| cluster.stop_node(node));
        let stopped_in = cluster.world.now().since(begun);
        assert!(stopped_in < Duration::from_secs(5), "seed {seed}: stopped in {stopped_in:?}");
    }
}
