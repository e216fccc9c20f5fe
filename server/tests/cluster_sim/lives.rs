//! Nodes that lose their disks, and nodes that do not belong together.

use std::time::Duration;

use runtime::sim::{CrashKind, Latency, LinkOptions, NodeKey};

use crate::cluster::{Cluster, get_surely, put_surely};

/// The two that are not this node.
fn others(node: u16) -> [u16; 2] {
    [node % 3 + 1, (node + 1) % 3 + 1]
}

#[test]
fn a_node_that_lost_its_disk_comes_back_and_counts_again() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, 3);
        let leader = cluster.leader();
        let lost = others(leader)[0];
        cluster.run(|shard, client| async move {
            for number in 0..50 {
                put_surely(&shard, &client, &format!("k{number}"), "1").await;
            }
        });
        cluster.crash(lost, CrashKind::PowerLoss);
        cluster.world.disk(NodeKey(lost)).wipe();
        cluster.start_node(lost);
        cluster.wait_ready();
        cluster.world.run_for(Duration::from_secs(2)).unwrap();
        // Now it is half of the majority that is left.
        cluster.crash(leader, CrashKind::PowerLoss);
        cluster.run(|shard, client| async move {
            put_surely(&shard, &client, "k50", "1").await;
            for number in 0..=50 {
                let value = get_surely(&shard, &client, &format!("k{number}")).await;
                assert_eq!(value, Some("1".to_owned()), "k{number}");
            }
        });
    }
}

/// An entry is on two nodes. One of them loses its disk, the other is down: the node that never had
/// the entry and the one that has forgotten it are a majority, and must not act as one.
#[test]
fn a_node_that_lost_its_disk_does_not_vote_away_what_it_had_acknowledged() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, 3);
        let leader = cluster.leader();
        let [lost, behind] = others(leader);
        for node in [leader, lost] {
            cluster.world.network().split(&[NodeKey(node)], &[NodeKey(behind)]);
        }
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
        cluster.crash(leader, CrashKind::PowerLoss);
        cluster.crash(lost, CrashKind::PowerLoss);
        cluster.world.disk(NodeKey(lost)).wipe();
        cluster.world.network().heal_all();
        cluster.start_node(lost);
        let reader = cluster.launch(|shard, client| async move {
            assert_eq!(get_surely(&shard, &client, "a").await, Some("1".to_owned()));
        });
        cluster.world.run_for(Duration::from_secs(20)).unwrap();
        assert!(cluster.world.is_running(reader), "seed {seed}: nobody may lead");
        assert!(!cluster.is_ready(lost));
        cluster.start_node(leader);
        cluster.wait_program(reader);
        cluster.wait_ready();
    }
}

#[test]
fn a_cluster_is_founded_when_all_its_nodes_have_met() {
    let mut cluster = Cluster::without_nodes(3, 3, 1);
    cluster.start_node(1);
    cluster.start_node(2);
    cluster.world.run_for(Duration::from_secs(10)).unwrap();
    assert!(!cluster.is_ready(1) && !cluster.is_ready(2));
    cluster.start_node(3);
    cluster.wait_ready();
    // From now on two are enough, after any restart.
    (1..=3).for_each(|node| cluster.crash(node, CrashKind::PowerLoss));
    cluster.start_node(1);
    cluster.start_node(3);
    cluster.wait_ready();
}

#[test]
fn the_process_on_the_old_disk_is_not_listened_to() {
    let mut cluster = Cluster::start(5, 3);
    let leader = cluster.leader();
    let node = others(leader)[0];
    cluster.stop_node(node);
    let disk = cluster.world.disk(NodeKey(node));
    let old = disk.snapshot();
    disk.wipe();
    cluster.start_node(node);
    cluster.wait_ready();
    cluster.stop_node(node);
    disk.restore(&old);
    cluster.start_node(node);
    cluster.world.run_for(Duration::from_secs(10)).unwrap();
    assert!(!cluster.is_ready(node));
    assert_eq!(cluster.leader_among(others(node).to_vec(), 0), leader);
}

#[test]
fn a_group_whose_directory_is_gone_is_not_founded_again() {
    let mut cluster = Cluster::start(6, 3);
    cluster.wait_ready();
    cluster.stop_node(1);
    let disk = cluster.world.disk(NodeKey(1));
    for path in disk.paths() {
        if path.starts_with("group-0") {
            disk.remove(&path);
        }
    }
    cluster.start_node(1);
    let message = cluster.ending(1);
    assert!(message.contains("has no group-0/hard-state"), "{message}");
}

#[test]
fn nodes_that_do_not_belong_together_refuse_each_other() {
    let mut cluster = Cluster::without_nodes(7, 3, 1);
    cluster.start_node(1);
    cluster.start_node(2);
    let mut config = cluster.config(3);
    config.node.cluster = "another".to_owned();
    cluster.start_node_with(3, config);
    cluster.world.run_for(Duration::from_secs(10)).unwrap();
    assert!((1..=3).all(|node| !cluster.is_ready(node)));
}

/// The first words of a life that was short come when a later one is known already: they do not
/// end that.
#[test]
fn a_short_life_that_is_heard_late_does_not_count_as_the_later_one() {
    for seed in 0..8 {
        let mut cluster = Cluster::start(seed, 3);
        cluster.wait_ready();
        let lost = others(cluster.leader())[0];
        let ordinary = LinkOptions::reliable(Latency::between(
            Duration::from_micros(100),
            Duration::from_micros(100),
        ));
        let late = LinkOptions::reliable(Latency::between(
            Duration::from_millis(200),
            Duration::from_millis(200),
        ));
        let set_links = |cluster: &Cluster, options: LinkOptions| {
            for other in others(lost) {
                cluster.world.network().set_link(NodeKey(lost), NodeKey(other), options);
            }
        };
        cluster.crash(lost, CrashKind::PowerLoss);
        cluster.world.disk(NodeKey(lost)).wipe();
        set_links(&cluster, late);
        cluster.start_node(lost);
        // Its connections are made, and who it is is on the way.
        cluster.world.run_for(Duration::from_millis(300)).unwrap();
        cluster.crash(lost, CrashKind::PowerLoss);
        cluster.world.disk(NodeKey(lost)).wipe();
        set_links(&cluster, ordinary);
        cluster.start_node(lost);
        cluster.world.run_for(Duration::from_secs(10)).unwrap();
        assert!(cluster.is_ready(lost), "seed {seed}");
    }
}
