//! Nodes with groups that they are no members of, or whose other members are away.

use crate::cluster::{Cluster, put_surely};

/// Two nodes with two groups: the first group's member is node 1 alone.
fn cluster_with(seed: u64, second: &[u32]) -> Cluster {
    let mut cluster = Cluster::without_nodes(seed, 2, 2);
    for node in 1..=2 {
        let mut config = cluster.config(node);
        config.groups[0].members = vec![1];
        config.groups[1].members = second.to_vec();
        cluster.start_node_with(node, config);
    }
    cluster
}

#[test]
fn a_group_that_a_node_is_no_member_of_keeps_it_from_nothing() {
    for seed in 0..4 {
        let mut cluster = cluster_with(seed, &[2]);
        cluster.wait_ready();
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
    }
}

#[test]
fn a_group_without_a_majority_keeps_no_other_group_from_serving() {
    for seed in 0..4 {
        let mut cluster = cluster_with(seed, &[1, 2]);
        cluster.crash(2, runtime::sim::CrashKind::PowerLoss);
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "a", "1").await });
        assert!(!cluster.is_ready(1), "not all of its groups can serve");
    }
}
