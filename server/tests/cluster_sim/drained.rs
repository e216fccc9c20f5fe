//! A node that is drained lets others lead, and leads where nobody else can.

use std::time::Duration;

use runtime::Shard;
use runtime::sim::{CrashKind, NodeKey};
use wire::{Command, Writer};

use crate::cluster::{Cluster, put_surely};
use crate::rosters::ask;

async fn drain(shard: &Shard, node: u16, is_drained: bool) {
    let encode = |out: &mut Writer<'_>| out.fixed32(1, u32::from(is_drained));
    ask(shard, node, Command::NODE_DRAIN, encode).await.unwrap();
}

fn order(cluster: &mut Cluster, node: u16, is_drained: bool) {
    cluster.run(move |shard, _| async move { drain(&shard, node, is_drained).await });
}

/// The leader that all running nodes agree on and that stays it for a while.
fn settled_leader(cluster: &mut Cluster) -> u16 {
    loop {
        let leader = cluster.leader();
        cluster.world.run_for(Duration::from_secs(5)).unwrap();
        if cluster.leader() == leader {
            return leader;
        }
    }
}

#[test]
fn a_drained_node_leads_nothing_until_that_is_over() {
    for seed in 0..8 {
        let mut cluster = Cluster::with_shards(seed, 3, 1);
        cluster.wait_ready();
        let drained = settled_leader(&mut cluster);
        let writer = cluster.launch(move |shard, client| async move {
            for number in 0..2000 {
                let begun = shard.clock().now();
                let written = client.put(b"a", b"1").await;
                assert!(written.is_ok(), "seed {seed}: put {number}: {written:?}");
                let took = shard.clock().now().since(begun);
                assert!(took < Duration::from_millis(100), "seed {seed}: a put takes {took:?}");
            }
        });
        order(&mut cluster, drained, true);
        cluster.wait_program(writer);
        let second = settled_leader(&mut cluster);
        assert_ne!(second, drained, "seed {seed}");
        // It does not come back to power by a restart, nor by the end of its successor.
        cluster.crash(drained, CrashKind::PowerLoss);
        cluster.start_node(drained);
        cluster.wait_ready();
        cluster.crash(second, CrashKind::Kill);
        let third = settled_leader(&mut cluster);
        assert!(third != drained && third != second, "seed {seed}: {drained} {second} {third}");
        // Nobody else is left to lead, as far as is known.
        cluster.start_node(second);
        cluster.wait_ready();
        order(&mut cluster, second, true);
        cluster.crash(third, CrashKind::Kill);
        cluster.run(|shard, client| async move { put_surely(&shard, &client, "b", "1").await });
        let leader = settled_leader(&mut cluster);
        let other = drained + second - leader;
        order(&mut cluster, other, false);
        assert_eq!(settled_leader(&mut cluster), other, "seed {seed}");
        assert!(cluster.world.is_running(NodeKey(leader)));
    }
}
