//! Whole nodes as one cluster, in a simulated world: elections, replication, failover, restart.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod cluster;

use std::time::Duration;

use runtime::sim::CrashKind;

use crate::cluster::{Cluster, get_surely, put_surely};

const SEEDS: std::ops::Range<u64> = 0..4;

#[test]
fn three_nodes_elect_a_leader_and_replicate() {
    for seed in SEEDS {
        let mut cluster = Cluster::start(seed, 3);
        cluster.wait_ready();
        cluster.run(|shard, client| async move {
            for number in 0..20 {
                let key = format!("k{number}");
                put_surely(&shard, &client, &key, &key).await;
                assert_eq!(get_surely(&shard, &client, &key).await, Some(key));
            }
        });
        assert!(cluster.world.now().as_nanos() < 10_000_000_000, "it takes a few seconds");
    }
}

#[test]
fn the_others_go_on_when_the_leader_is_killed() {
    for seed in SEEDS {
        let mut cluster = Cluster::start(seed, 3);
        let old = cluster.leader();
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
        let killed_at = cluster.world.now();
        cluster.crash(old, [CrashKind::Kill, CrashKind::PowerLoss][seed as usize % 2]);
        cluster.run(|shard, client| async move {
            put_surely(&shard, &client, "b", "2").await;
            assert_eq!(get_surely(&shard, &client, "a").await, Some("1".to_owned()));
        });
        let gap = cluster.world.now().since(killed_at);
        assert!(gap < Duration::from_secs(6), "seed {seed}: writes after {gap:?}");
        assert_ne!(cluster.leader(), old);
        cluster.start_node(old);
        cluster.wait_ready();
        cluster.leader();
    }
}

#[test]
fn a_leader_that_stops_in_order_leaves_a_leader_behind() {
    let mut cluster = Cluster::start(7, 3);
    let first = cluster.leader();
    cluster.stop_node(first);
    assert_ne!(cluster.leader(), first);
}
