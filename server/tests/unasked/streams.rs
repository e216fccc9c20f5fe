//! Streams: every change once and in order, whatever becomes of servers, logs and connections.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::fiber::Client;
use client::operations::Change;
use client::{KeyState, Stream, StreamUpdate};
use runtime::Shard;
use runtime::sim::CrashKind;
use server::config::{ByteSize, Config};

use crate::clients::open;
use crate::cluster::Cluster;
use crate::leaders::open as open_cluster;
use crate::simulated::LIMIT;
use crate::{run, run_on_both, simulated};

const WAIT: Duration = Duration::from_secs(2);

/// What somebody knows who has taken every update.
#[derive(Default)]
struct Copy {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    index: u64,
    resyncs: u32,
    told: BTreeSet<u64>,
    is_synced: bool,
}

impl Copy {
    fn take(&mut self, update: StreamUpdate) {
        match update {
            StreamUpdate::Changed(change) => {
                assert!(change.raft_index > self.index || !self.is_synced, "in order and once");
                self.told.insert(change.raft_index);
                self.index = change.raft_index;
                self.apply(change);
            }
            StreamUpdate::Resync => {
                self.values.clear();
                self.resyncs += 1;
                self.is_synced = false;
            }
            StreamUpdate::State(change) => self.apply(change),
            StreamUpdate::Synced { raft_index } => {
                self.is_synced = true;
                self.index = raft_index;
            }
        }
    }

    fn apply(&mut self, change: Change) {
        match change.state {
            KeyState::Value(value) => drop(self.values.insert(change.key, value)),
            KeyState::Missing => {
                let below = [&change.key[..], b"."].concat();
                self.values.retain(|key, _| *key != change.key && !key.starts_with(&below));
            }
            KeyState::Directory => {}
        }
    }

    /// Follows until a key has this value.
    async fn follow_until(
        &mut self,
        client: &Client,
        stream: &mut Stream,
        key: &[u8],
        value: &[u8],
    ) {
        while self.values.get(key).is_none_or(|found| found != value) || !self.is_synced {
            match client.follow(stream, WAIT).await {
                Ok(updates) => updates.into_iter().for_each(|update| self.take(update)),
                Err(error) => assert!(error.is_safe_to_retry(), "{error:?}"),
            }
        }
    }
}

#[test]
fn every_change_is_told_once_and_in_order() {
    run_on_both(21, |shard, address, group| async move {
        let (writer, reader) = (open(&shard, address, group), open(&shard, address, group));
        writer.mkdir(b"d").await.unwrap();
        let begin = writer.mkdir(b"d.e").await.unwrap().raft_index;
        let mut expected = Vec::new();
        let mut stream = Stream::new(&[b"d", b"x"], begin + 1).unwrap();
        for number in 0..200_u32 {
            let value = number.to_string();
            let key: &[u8] = if number % 3 == 0 { b"d.e.k" } else { b"d.k" };
            let index = writer.put(key, value.as_bytes()).await.unwrap().raft_index;
            expected.push((index, key.to_vec(), KeyState::Value(value.into_bytes())));
            // What nobody follows, and what is refused, is not told.
            writer.put(b"dd", b"v").await.unwrap();
            writer.put(b"none.k", b"v").await.unwrap_err();
            let set = writer.compare_and_set(b"d.k", Some(b"never"), Some(b"v")).await.unwrap();
            assert!(!set.swapped);
        }
        let keys: [&[u8]; 3] = [b"x", b"none.x", b"d.f"];
        let put = writer.batch_put(&keys, &[b"1", b"2", b"3"]).await.unwrap();
        expected.push((put.raft_index, b"x".to_vec(), KeyState::Value(b"1".to_vec())));
        expected.push((put.raft_index, b"d.f".to_vec(), KeyState::Value(b"3".to_vec())));
        let mut told = Vec::new();
        let mut take = |updates: Vec<StreamUpdate>| {
            for update in updates {
                let StreamUpdate::Changed(change) = update else { panic!("{update:?}") };
                told.push((change.raft_index, change.key, change.state));
            }
            told.len()
        };
        while take(reader.follow(&mut stream, WAIT).await.unwrap()) < expected.len() {}
        // From here on it is told at once.
        for number in 0..100_u32 {
            let value = number.to_string().into_bytes();
            let begun = shard.clock().now();
            let index = writer.put(b"x", &value).await.unwrap().raft_index;
            expected.push((index, b"x".to_vec(), KeyState::Value(value)));
            while take(reader.follow(&mut stream, WAIT).await.unwrap()) < expected.len() {}
            assert!(shard.clock().now().since(begun) < WAIT / 2, "it was waited for");
        }
        let removed = writer.remove(b"d.k").await.unwrap().raft_index;
        expected.push((removed, b"d.k".to_vec(), KeyState::Missing));
        while take(reader.follow(&mut stream, WAIT).await.unwrap()) < expected.len() {}
        assert_eq!(told, expected);
        // Nothing happens, and the position moves on nevertheless.
        writer.put(b"dd", b"w").await.unwrap();
        assert_eq!(reader.follow(&mut stream, WAIT).await.unwrap(), []);
        assert!(stream.position().unwrap() > removed + 1);
    });
}

#[test]
fn the_state_comes_first_where_it_is_asked_for() {
    run_on_both(22, |shard, address, group| async move {
        let (writer, reader) = (open(&shard, address, group), open(&shard, address, group));
        writer.mkdir(b"d").await.unwrap();
        for number in 0..600_u32 {
            let key = format!("d.k{number}");
            writer.put(key.as_bytes(), &[b'v'; 2_000]).await.unwrap();
        }
        writer.put_temporary(b"d.t", b"v", Duration::from_secs(1)).await.unwrap();
        let mut stream = Stream::new(&[b"d", b"none"], 0).unwrap();
        let mut copy = Copy::default();
        // The state does not fit into one answer; it changes while it is told.
        let mut number = 0_u32;
        while !copy.is_synced {
            reader.follow(&mut stream, WAIT).await.unwrap().into_iter().for_each(|u| copy.take(u));
            for place in 0..600 {
                if (place + number).is_multiple_of(100) {
                    let key = format!("d.k{place}");
                    writer.put(key.as_bytes(), &number.to_le_bytes()).await.unwrap();
                }
            }
            writer.remove(format!("d.k{}", 300 + number).as_bytes()).await.unwrap();
            number += 1;
            assert!(number < 100, "the state ends");
        }
        assert!(number > 3, "it was told in parts");
        shard.clock().sleep(Duration::from_secs(2)).await;
        writer.put(b"d.end", b"v").await.unwrap();
        copy.follow_until(&reader, &mut stream, b"d.end", b"v").await;
        let mut found = BTreeMap::new();
        for child in writer.list(b"d").await.unwrap() {
            found.insert([b"d.", &child.name[..]].concat(), child.node.value);
        }
        assert!(copy.values == found, "{} and {}", copy.values.len(), found.len());
        assert_eq!(copy.resyncs, 1);
    });
}

/// Little log, many snapshots.
fn short_log(mut config: Config) -> Config {
    config.snapshot.log_bytes = ByteSize::kib(64);
    config.snapshot.keep = 1;
    config.log.delete_delay = Duration::from_millis(10);
    config
}

#[test]
fn whoever_comes_too_late_is_told_so_and_gets_the_state() {
    let config = short_log(simulated::config(1, 1));
    run(23, &config, |shard, address| async move {
        let (writer, reader) = (open(&shard, address, 0), open(&shard, address, 0));
        let first = writer.put(b"k", b"v").await.unwrap().raft_index;
        for _ in 0..400 {
            writer.put(b"other", &[b'v'; 2_000]).await.unwrap();
        }
        shard.clock().sleep(Duration::from_secs(2)).await;
        let mut stream = Stream::new(&[b""], first).unwrap();
        let mut copy = Copy::default();
        writer.put(b"end", b"v").await.unwrap();
        copy.follow_until(&reader, &mut stream, b"end", b"v").await;
        assert_eq!((copy.resyncs, copy.values.len()), (1, 3));
    });
}

#[test]
fn streams_survive_leaders_restarts_and_snapshots() {
    for seed in 30..36 {
        let mut cluster = Cluster::without_nodes(seed, 3, 1);
        for node in 1..=3 {
            let config = match seed % 2 {
                0 => cluster.config(node),
                _ => short_log(cluster.config(node)),
            };
            cluster.start_node_with(node, config);
        }
        cluster.wait_ready();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = is_done.clone();
        let program = cluster.launch(move |shard, _| follow_a_writer(shard, done.clone()));
        for round in 0..6 {
            let step = Duration::from_millis(700 + 300 * round);
            cluster.world.run_for(step).unwrap();
            let leader = cluster.leader();
            let node = if round % 3 == 2 { leader % 3 + 1 } else { leader };
            let kind = if round % 2 == 0 { CrashKind::PowerLoss } else { CrashKind::Kill };
            cluster.crash(node, kind);
            cluster.world.run_for(step).unwrap();
            let config = match seed % 2 {
                0 => cluster.config(node),
                _ => short_log(cluster.config(node)),
            };
            cluster.start_node_with(node, config);
        }
        is_done.store(true, Ordering::Relaxed);
        let ended = cluster.world.run_until(|world| !world.is_running(program), LIMIT);
        assert_eq!(ended, Ok(true), "seed {seed}");
    }
}

/// Writes, and keeps a copy from what a stream tells, which must not miss or repeat a change.
async fn follow_a_writer(shard: Shard, done: Arc<AtomicBool>) {
    let (writer, reader) = (open_cluster(&shard), open_cluster(&shard));
    while writer.mkdir(b"d").await.is_err() {}
    let end = writer.clone();
    let acknowledged: Rc<RefCell<Vec<u64>>> = Rc::default();
    let indexes = acknowledged.clone();
    let writes = shard.fibers().spawn("writer", async move {
        let mut number = 0_u64;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("d.k{}", number % 7);
            let value = [&number.to_le_bytes()[..], &[7; 900]].concat();
            if let Ok(put) = writer.put(key.as_bytes(), &value).await {
                indexes.borrow_mut().push(put.raft_index);
            }
        }
        while writer.put(b"d.end", b"v").await.is_err() {}
    });
    let mut stream = Stream::new(&[b"d"], 1).unwrap();
    let mut copy = Copy { is_synced: true, ..Copy::default() };
    copy.follow_until(&reader, &mut stream, b"d.end", b"v").await;
    writes.await;
    for (key, value) in &copy.values {
        let found = loop {
            if let Ok(found) = end.get(key).await {
                break found;
            }
        };
        assert_eq!(found.unwrap().value, *value);
    }
    assert!(copy.values.len() == 8 && copy.told.len() > 50, "{} changes", copy.told.len());
    let acknowledged = acknowledged.borrow();
    let missed = acknowledged.iter().find(|index| !copy.told.contains(index));
    assert!(copy.resyncs > 0 || missed.is_none(), "{missed:?} was not told");
}

#[test]
fn readers_beyond_the_limit_are_refused() {
    let mut config = simulated::config(1, 1);
    config.watch.followers_max = 2;
    run(24, &config, |shard, address| async move {
        let clients: Vec<_> = (0..3).map(|_| open(&shard, address, 0)).collect();
        let index = clients[0].put(b"k", b"v").await.unwrap().raft_index;
        for client in &clients[..2] {
            let client = client.clone();
            shard.fibers().spawn_daemon("reader", async move {
                let mut stream = Stream::new(&[b"k"], index + 1).unwrap();
                let _ = client.follow(&mut stream, LIMIT).await;
            });
        }
        shard.clock().sleep(WAIT).await;
        let mut stream = Stream::new(&[b"k"], index + 1).unwrap();
        let refused = clients[2].follow(&mut stream, WAIT).await.unwrap_err();
        assert!(refused.to_string().contains("watch.followers_max"), "{refused}");
        // One connection goes, and with it its request.
        clients[0].put(b"k", b"w").await.unwrap();
        assert_eq!(clients[2].follow(&mut stream, WAIT).await.unwrap().len(), 1);
    });
}
