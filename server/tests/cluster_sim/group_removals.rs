//! Groups that are removed while clients use them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use client::{NodeId, Stream, StreamUpdate};

use crate::cluster::{Cluster, client_of, put_surely};
use crate::rosters::{GROUP, add_group, remove_group};

/// Less than an election takes, and more than a hand-over.
const GAP_MAX: Duration = Duration::from_millis(200);

#[test]
fn the_leader_of_a_group_that_is_removed_hands_it_over() {
    for seed in 0..6 {
        let mut cluster = Cluster::with_shards(seed, 3, 2);
        cluster.wait_ready();
        cluster.run(move |shard, _| async move {
            for node in 1..=3 {
                add_group(&shard, node, "1,2,3").await.unwrap();
            }
            let client = client_of(&shard, 3, GROUP);
            put_surely(&shard, &client, "a", "1").await;
            let leader = client.query_status(NodeId(1)).await.unwrap().leader_id as u16;
            let is_removed = Rc::new(Cell::new(false));
            let (told, own) = (is_removed.clone(), shard.clone());
            shard.fibers().spawn_daemon("remove", async move {
                remove_group(&own, leader).await.unwrap();
                told.set(true);
            });
            let mut puts_after = 0;
            while puts_after < 100 {
                let begun = shard.clock().now();
                client.put(b"a", b"2").await.unwrap();
                let took = shard.clock().now().since(begun);
                assert!(took < GAP_MAX, "seed {seed}: a put takes {took:?}");
                puts_after += u32::from(is_removed.get());
            }
        });
    }
}

#[test]
fn who_waits_for_changes_of_a_group_that_is_removed_is_told() {
    let mut cluster = Cluster::with_shards(1, 1, 2);
    cluster.wait_ready();
    cluster.run(|shard, _| async move {
        add_group(&shard, 1, "1").await.unwrap();
        let client = client_of(&shard, 1, GROUP);
        put_surely(&shard, &client, "a", "1").await;
        let mut stream = Stream::new(&[b"a"], 0).unwrap();
        let mut is_synced = false;
        while !is_synced {
            let updates = client.follow(&mut stream, Duration::from_secs(1)).await.unwrap();
            is_synced = updates.iter().any(|it| matches!(it, StreamUpdate::Synced { .. }));
        }
        let own = shard.clone();
        shard.fibers().spawn_daemon("remove", async move {
            own.clock().sleep(Duration::from_secs(1)).await;
            remove_group(&own, 1).await.unwrap();
        });
        let begun = shard.clock().now();
        assert!(client.follow(&mut stream, Duration::from_secs(60)).await.is_err());
        let waited = shard.clock().now().since(begun);
        assert!(waited < Duration::from_secs(10), "it waits for {waited:?}");
    });
}
