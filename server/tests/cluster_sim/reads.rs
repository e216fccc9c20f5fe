//! Reads from nodes that do not lead: linearizable ones see every acknowledged write or fail, stale ones
//! are no older than they were asked to be.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::fiber::Client;
use client::operations::{GetFrom, ReadMode};
use client::{Error, NodeId};
use runtime::sim::NodeKey;
use runtime::{Moment, Shard};

use crate::cluster::{Cluster, put_surely};

/// The number under the key, as this node has it.
async fn read(client: &Client, node: u16, mode: ReadMode) -> Result<u64, Error> {
    let node = NodeId(i32::from(node));
    let found = client.call(&GetFrom { key: b"counter", node, mode }).await?;
    Ok(found.map_or(0, |found| String::from_utf8(found.value).unwrap().parse().unwrap()))
}

/// Reads until it succeeds.
async fn read_surely(shard: &Shard, client: &Client, node: u16, mode: ReadMode) -> u64 {
    loop {
        match read(client, node, mode).await {
            Ok(number) => return number,
            Err(_) => shard.clock().sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Counts up for ever; tells the newest number that was acknowledged.
fn count_up(cluster: &mut Cluster) -> Arc<Mutex<u64>> {
    let acknowledged = Arc::new(Mutex::new(0));
    let told = acknowledged.clone();
    cluster.launch(move |shard, client| {
        let told = told.clone();
        async move {
            for number in 1_u64.. {
                put_surely(&shard, &client, "counter", &number.to_string()).await;
                *told.lock().unwrap() = number;
            }
        }
    });
    acknowledged
}

#[test]
fn every_node_answers_linearizable_reads() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, 3);
        cluster.wait_ready();
        let acknowledged = count_up(&mut cluster);
        cluster.run(move |shard, client| {
            let acknowledged = acknowledged.clone();
            async move {
                for round in 0..150_u16 {
                    let least = *acknowledged.lock().unwrap();
                    let node = round % 3 + 1;
                    let number = read_surely(&shard, &client, node, ReadMode::Linearizable).await;
                    assert!(number >= least, "seed {seed}: {number} after {least} on node {node}");
                }
                assert!(*acknowledged.lock().unwrap() > 20, "writes go on meanwhile");
            }
        });
    }
}

#[test]
fn reads_of_other_nodes_write_no_entry() {
    let mut cluster = Cluster::start(1, 3);
    cluster.wait_ready();
    cluster.run(|shard, client| async move {
        put_surely(&shard, &client, "counter", "7").await;
        let mut indexes = Vec::new();
        for mode in [ReadMode::Linearizable, ReadMode::Stale(Some(Duration::from_millis(1)))] {
            for node in 1..=3 {
                assert_eq!(read_surely(&shard, &client, node, mode).await, 7);
                let status = client.query_status(NodeId(i32::from(node))).await.unwrap();
                indexes.push(status.last_log_index);
            }
        }
        assert!(indexes.iter().all(|index| *index == indexes[0]), "{indexes:?}");
    });
}

/// A follower that hears nobody refuses what it cannot know, and gives what it has to whoever is
/// content with that.
#[test]
fn a_node_that_is_cut_off_answers_only_reads_of_any_age() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, 3);
        let lonely = cluster.leader() % 3 + 1;
        cluster.run(move |shard, client| async move {
            put_surely(&shard, &client, "counter", "1").await;
            assert_eq!(read_surely(&shard, &client, lonely, ReadMode::Linearizable).await, 1);
        });
        for other in (1..=3).filter(|node| *node != lonely) {
            cluster.world.network().split(&[NodeKey(lonely)], &[NodeKey(other)]);
        }
        cluster.run(move |shard, client| async move {
            put_surely(&shard, &client, "counter", "2").await;
            let minute = ReadMode::Stale(Some(Duration::from_secs(60)));
            assert_eq!(read(&client, lonely, minute).await, Ok(1), "it was current a moment ago");
            shard.clock().sleep(Duration::from_secs(3)).await;
            let second = ReadMode::Stale(Some(Duration::from_secs(1)));
            for mode in [ReadMode::Linearizable, second] {
                let answer = read(&client, lonely, mode).await;
                assert!(matches!(answer, Err(Error::Unavailable(_))), "{mode:?}: {answer:?}");
            }
            assert_eq!(read(&client, lonely, ReadMode::Stale(None)).await, Ok(1));
        });
        cluster.world.network().heal_all();
        cluster.run(move |shard, client| async move {
            assert_eq!(read_surely(&shard, &client, lonely, ReadMode::Linearizable).await, 2);
        });
    }
}

/// What was acknowledged longer ago than the age is always there.
#[test]
fn a_stale_read_is_no_older_than_asked_for() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, 3);
        cluster.wait_ready();
        cluster.run(move |shard, client| async move {
            // One program, because each machine's clock starts from a number of its own.
            let acknowledged: Rc<RefCell<Vec<Moment>>> = Rc::default();
            let (clock, writer, told) = (shard.clone(), client.clone(), acknowledged.clone());
            shard.fibers().spawn_daemon("writer", async move {
                for number in 1_u64.. {
                    put_surely(&clock, &writer, "counter", &number.to_string()).await;
                    told.borrow_mut().push(clock.clock().now());
                }
            });
            let mut behind = 0;
            for round in 0..300 {
                let age = Duration::from_millis([5, 40, 200][round % 3]);
                let now = shard.clock().now();
                let old = |at: &Moment| now.since(*at) > age;
                let least = acknowledged.borrow().partition_point(old) as u64;
                let newest = acknowledged.borrow().len() as u64;
                let node = (round / 3 % 3 + 1) as u16;
                let number = read_surely(&shard, &client, node, ReadMode::Stale(Some(age))).await;
                assert!(number >= least, "seed {seed}: {number} after {least} on node {node}");
                behind += u64::from(number < newest);
                shard.clock().sleep(Duration::from_millis(3)).await;
            }
            assert!(behind > 0, "seed {seed}: every read saw everything, as if it were strict");
        });
    }
}
