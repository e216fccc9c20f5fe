//! Nodes that were away for longer than the log is kept, and nodes without any: they are sent a
//! snapshot while the others go on.

use std::time::Duration;

use runtime::sim::{CrashKind, NodeKey};
use server::config::{ByteSize, Config};

use crate::cluster::{Cluster, get_surely, put_surely};

/// Little log, many snapshots.
fn config(cluster: &Cluster, node: u16) -> Config {
    let mut config = cluster.config(node);
    config.snapshot.log_bytes = ByteSize::kib(64);
    config.snapshot.keep = 1;
    config.log.delete_delay = Duration::from_millis(10);
    config
}

fn start(seed: u64) -> Cluster {
    let mut cluster = Cluster::without_nodes(seed, 3, 1);
    for node in 1..=3 {
        let config = config(&cluster, node);
        cluster.start_node_with(node, config);
    }
    cluster.wait_ready();
    cluster
}

/// Puts until the log was dropped several times over.
fn load(cluster: &mut Cluster, round: u32) {
    cluster.run(move |shard, client| async move {
        for number in 0..400 {
            let value = format!("{round} {}", "x".repeat(2_000));
            put_surely(&shard, &client, &format!("k{number}"), &value).await;
        }
    });
}

fn verify(cluster: &mut Cluster, round: u32) {
    cluster.run(move |shard, client| async move {
        for number in 0..400 {
            let value = get_surely(&shard, &client, &format!("k{number}")).await.unwrap();
            assert!(value.starts_with(&format!("{round} ")), "k{number}");
        }
    });
}

fn has_whole_log(cluster: &Cluster, node: u16) -> bool {
    let paths = cluster.world.disk(NodeKey(node)).paths();
    paths.iter().any(|path| path.ends_with("00000000000000000001.log"))
}

/// The nodes other than `node`.
fn others(node: u16) -> [u16; 2] {
    [node % 3 + 1, (node + 1) % 3 + 1]
}

#[test]
fn a_node_that_was_away_for_longer_than_the_log_is_kept_catches_up_under_load() {
    for seed in 0..4 {
        let mut cluster = start(seed);
        let leader = cluster.leader();
        let [away, other] = others(leader);
        load(&mut cluster, 0);
        match seed % 2 {
            0 => cluster.crash(away, CrashKind::PowerLoss),
            _ => cluster.stop_node(away),
        }
        load(&mut cluster, 1);
        assert!(!has_whole_log(&cluster, leader), "seed {seed}: the log is kept");
        let back = config(&cluster, away);
        cluster.start_node_with(away, back);
        load(&mut cluster, 2);
        cluster.wait_ready();
        cluster.world.run_for(Duration::from_secs(2)).unwrap();
        // Now it is half of the majority that is left.
        cluster.crash(other, CrashKind::PowerLoss);
        verify(&mut cluster, 2);
    }
}

#[test]
fn a_node_with_an_empty_disk_is_sent_a_snapshot_and_counts_again() {
    for seed in 10..13 {
        let mut cluster = start(seed);
        let leader = cluster.leader();
        let [lost, other] = others(leader);
        load(&mut cluster, 0);
        cluster.crash(lost, CrashKind::PowerLoss);
        cluster.world.disk(NodeKey(lost)).wipe();
        load(&mut cluster, 1);
        let back = config(&cluster, lost);
        cluster.start_node_with(lost, back);
        load(&mut cluster, 2);
        cluster.wait_ready();
        cluster.world.run_for(Duration::from_secs(3)).unwrap();
        cluster.crash(other, CrashKind::PowerLoss);
        verify(&mut cluster, 2);
    }
}

/// It dies again and again while it is sent a snapshot, loads it, and begins its log behind it.
#[test]
fn a_node_that_dies_at_any_moment_of_an_install_comes_back() {
    for seed in 20..24 {
        let mut cluster = start(seed);
        let leader = cluster.leader();
        let [away, other] = others(leader);
        cluster.crash(away, CrashKind::PowerLoss);
        load(&mut cluster, 1);
        for _ in 0..8 {
            let back = config(&cluster, away);
            cluster.start_node_with(away, back);
            let millis = 1 << cluster.world.choose("test.life", 11);
            cluster.world.run_for(Duration::from_millis(millis)).unwrap();
            cluster.crash(away, CrashKind::PowerLoss);
        }
        let back = config(&cluster, away);
        cluster.start_node_with(away, back);
        cluster.wait_ready();
        cluster.world.run_for(Duration::from_secs(2)).unwrap();
        cluster.crash(other, CrashKind::PowerLoss);
        verify(&mut cluster, 1);
    }
}
