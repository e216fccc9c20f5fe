//! Whole nodes as one cluster, in a simulated world: elections, replication, failover, restart.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod cluster;

mod drained;
mod group_removals;
mod lives;
mod outsiders;
mod priorities;
mod reads;
mod roster_disks;
mod rosters;
mod snapshots;
mod stops;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{CrashKind, NodeKey};

use crate::cluster::{Cluster, get_surely, put_surely};

const SEEDS: std::ops::Range<u64> = 0..6;

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
fn acknowledged_writes_survive_a_power_loss_of_all_nodes() {
    for seed in SEEDS {
        let mut cluster = Cluster::start(seed, 3);
        cluster.wait_ready();
        let acknowledged = Arc::new(Mutex::new(0));
        let told = acknowledged.clone();
        cluster.launch(move |shard, client| {
            let told = told.clone();
            async move {
                for number in 1.. {
                    put_surely(&shard, &client, "counter", &number.to_string()).await;
                    *told.lock().unwrap() = number;
                }
            }
        });
        cluster.world.run_for(Duration::from_millis(300 + 37 * seed)).unwrap();
        (1..=3).for_each(|node| cluster.crash(node, CrashKind::PowerLoss));
        let before: u64 = *acknowledged.lock().unwrap();
        assert!(before > 10, "seed {seed}: {before} writes");
        (1..=3).for_each(|node| cluster.start_node(node));
        cluster.run(move |shard, client| async move {
            let value = get_surely(&shard, &client, "counter").await;
            let value: u64 = value.map_or(0, |value| value.parse().unwrap());
            assert!(value >= before, "seed {seed}: {value} after {before} was acknowledged");
        });
    }
}

#[test]
fn a_leader_that_nobody_hears_is_replaced() {
    for seed in SEEDS {
        let mut cluster = Cluster::start(seed, 3);
        let old = cluster.leader();
        let others: Vec<u16> = (1..=3).filter(|node| *node != old).collect();
        // It goes on hearing the others; what it says is lost, to clients as well.
        let everybody: Vec<NodeKey> = others.iter().map(|node| NodeKey(*node)).collect();
        for other in &everybody {
            cluster.world.network().cut(NodeKey(old), *other);
        }
        let new = cluster.leader_among(others.clone(), old);
        assert!(others.contains(&new));
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
        cluster.world.network().heal_all();
        cluster.leader();
        cluster.run(|shard, client| async move {
            assert_eq!(get_surely(&shard, &client, "a").await, Some("1".to_owned()));
        });
    }
}

#[test]
fn a_minority_serves_nobody_and_catches_up_when_it_is_back() {
    for seed in SEEDS {
        let mut cluster = Cluster::start(seed, 5);
        let leader = cluster.leader();
        let rest: Vec<u16> = (1..=5).filter(|node| *node != leader).collect();
        let key = |nodes: &[u16]| nodes.iter().map(|node| NodeKey(*node)).collect::<Vec<_>>();
        cluster.world.network().split(&key(&[leader, rest[0]]), &key(&rest[1..]));
        let new = cluster.leader_among(rest[1..].to_vec(), leader);
        assert!(rest[1..].contains(&new));
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
        cluster.world.network().heal_all();
        cluster.leader();
        cluster.wait_ready();
    }
}

#[test]
fn groups_on_different_shards_of_their_nodes_find_each_other() {
    for seed in 0..2 {
        let mut cluster = Cluster::with_shards(seed, 3, 3);
        cluster.wait_ready();
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
    }
}

#[test]
fn seven_nodes_are_one_cluster_too() {
    let mut cluster = Cluster::start(1, 7);
    cluster.wait_ready();
    let leader = cluster.leader();
    cluster.crash(leader, CrashKind::Kill);
    cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut cluster = Cluster::start(seed, 3);
        let leader = cluster.leader();
        cluster.crash(leader, CrashKind::PowerLoss);
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
        cluster.start_node(leader);
        cluster.wait_ready();
        (cluster.world.trace_hash(), cluster.world.events())
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
