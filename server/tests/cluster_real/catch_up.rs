//! A node that was away for a part of the log, or comes back with an empty disk, catches up while
//! clients write, and the others go on nearly as fast as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use client::NodeId;
use wire::QueryStatusResp;

use crate::cluster::{Cluster, NODES};
use crate::process::DEADLINE;
use crate::{alone, setting};

const VALUE_BYTES: usize = 4096;
/// From so much log on the share of the rate counts that is left while a node catches up.
const MEASURED_MIB: u64 = 512;
/// A rate that is measured needs so many seconds; a short run shows none.
const SECONDS: u64 = 4;

/// What the node that was away finds.
enum Finds {
    /// All the log that it lacks.
    Log,
    /// Its disk is empty, and the log of the others does not reach back.
    Nothing,
}

/// Puts in the background, counted when they are acknowledged.
struct Puts {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<bench::Report, bench::BenchError>>,
}

impl Puts {
    fn start(cluster: &Cluster) -> Puts {
        let (count, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let counter = count.clone();
        let record = bench::Record::new(move |acknowledged| {
            counter.fetch_add(acknowledged.len() as u64, Ordering::Relaxed);
        });
        let options = client::Options {
            call_timeout: DEADLINE,
            ..client::Options::new(cluster.servers.clone(), client::new_process_id())
        };
        let options = bench::Options {
            value_bytes: VALUE_BYTES,
            keys: 20_000,
            in_flight: setting("DONGTING_CLUSTER_IN_FLIGHT", 64) as usize,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(3600),
            record: Some(record),
            stop: stop.clone(),
            ..bench::Options::new(options)
        };
        Puts { count, stop, thread: spawn(move || bench::run(&options, &mut |_| {})) }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn wait_for(&self, count: u64) {
        let begun = Instant::now();
        while self.count() < count {
            assert!(begun.elapsed() < 10 * DEADLINE && !self.thread.is_finished(), "puts go on");
            sleep(Duration::from_millis(20));
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap().unwrap();
    }
}

/// Puts a second, since a moment at which there were so many.
struct Rate(Instant, u64);

impl Rate {
    fn begin(puts: &Puts) -> Rate {
        Rate(Instant::now(), puts.count())
    }

    fn per_second(&self, puts: &Puts) -> u64 {
        ((puts.count() - self.1) as f64 / self.0.elapsed().as_secs_f64()) as u64
    }
}

fn status(cluster: &Cluster, node: u32) -> Option<QueryStatusResp> {
    cluster.client(Duration::from_secs(1)).query_status(NodeId(node as i32)).ok()
}

/// Whether a node lacks no more than what is always on its way.
fn has_caught_up(cluster: &Cluster, leader: u32, node: u32) -> bool {
    let Some(leads) = status(cluster, leader) else { return false };
    status(cluster, node).is_some_and(|follows| follows.last_applied + 2_000 > leads.commit_index)
}

fn catch_up(finds: &Finds) {
    let _alone = alone();
    let mib = setting("DONGTING_CLUSTER_AWAY_MIB", 16);
    let puts_away = (mib << 20) / VALUE_BYTES as u64;
    let short = format!(
        "[log]\nsegment_bytes = \"8MiB\"\nbatch_bytes_max = \"256KiB\"\ndelete_delay = \"0s\"\n\
         [rpc]\npacket_bytes_max = \"2MiB\"\n\
         [snapshot]\nkeep = 1\nlog_bytes = \"{}MiB\"",
        mib.div_ceil(4)
    );
    let settings = if matches!(finds, Finds::Nothing) { &short } else { "" };
    let mut cluster = Cluster::start(settings);
    let leader = cluster.wait_for_leader();
    let node = NODES[leader as usize % NODES.len()];
    let puts = Puts::start(&cluster);
    let is_measured = mib >= MEASURED_MIB;
    let time = if is_measured { Duration::from_secs(SECONDS) } else { Duration::ZERO };
    puts.wait_for(500);
    let all = Rate::begin(&puts);
    sleep(time);
    let all = all.per_second(&puts);
    cluster.kill(node);
    puts.wait_for(puts.count() + puts_away - puts_away / 4);
    let two = Rate::begin(&puts);
    puts.wait_for(puts.count() + puts_away / 4);
    let two = two.per_second(&puts);
    if matches!(finds, Finds::Nothing) {
        cluster.lose_disk(node);
    }
    let catching_up = Rate::begin(&puts);
    cluster.start_node(node);
    let begun = Instant::now();
    while !has_caught_up(&cluster, leader, node) {
        assert!(begun.elapsed() < 10 * DEADLINE, "{}", cluster.all_said());
        sleep(Duration::from_millis(100));
    }
    let (elapsed, catching_up) = (begun.elapsed(), catching_up.per_second(&puts));
    puts.end();
    cluster.wait_for_leader();
    let is_sent = cluster.said(node).contains("installed a snapshot");
    assert_eq!(is_sent, matches!(finds, Finds::Nothing), "{}", cluster.said(node));
    eprintln!(
        "away for {mib} MiB of log: caught up after {elapsed:.1?}, by {}; puts a second with three \
         nodes {all}, with two {two}, while the third catches up {catching_up}",
        if is_sent { "a snapshot" } else { "the log" }
    );
    assert!(!is_measured || catching_up * 10 >= two.min(all) * 7, "the others go on");
}

#[test]
fn a_node_that_was_away_catches_up_under_load() {
    catch_up(&Finds::Log);
}

#[test]
fn a_node_with_an_empty_disk_catches_up_under_load() {
    catch_up(&Finds::Nothing);
}
