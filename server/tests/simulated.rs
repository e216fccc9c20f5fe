//! Whole nodes in the simulated runtime, with clients that use the real client core: what they do is
//! decided by the seed alone, and what they acknowledge survives kills and power losses.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/counters.rs"]
mod counters;
#[path = "support/simulated.rs"]
mod simulated;

use std::time::Duration;

use client::fiber::Client;
use client::{BizCode, Error, Reason};
use runtime::Shard;
use runtime::sim::{CrashKind, Ending, NodeKey, World};
use server::config::ByteSize;

use crate::counters::Ledger;
use crate::simulated::{LIMIT, PROGRAMS, Process, client, config, key, start_program, world};

/// Every operation of a group once or more. `place` tells groups apart.
async fn use_all_operations(client: Client, place: i32) {
    let value = format!("value {place}").into_bytes();
    assert!(client.mkdir(b"d").await.unwrap().created);
    assert!(!client.put(b"d.a", &value).await.unwrap().overwritten);
    assert!(client.put(b"d.a", b"other").await.unwrap().overwritten);
    assert_eq!(client.get(b"d.a").await.unwrap().unwrap().value, b"other");
    assert_eq!(client.get(b"d.none").await.unwrap(), None);
    let mismatch = client.compare_and_set(b"d.a", Some(&value), Some(b"no")).await;
    assert!(!mismatch.unwrap().swapped);
    assert!(client.compare_and_set(b"d.a", Some(b"other"), Some(&value)).await.unwrap().swapped);
    let keys: [&[u8]; 3] = [b"d.a", b"d.b", b"none.c"];
    let put = client.batch_put(&keys, &[&value, b"b", b"c"]).await.unwrap();
    assert_eq!(put.overwritten, [Ok(true), Ok(false), Err(BizCode::ParentDirNotExists)]);
    let names = client.list(b"d").await.unwrap().into_iter().map(|child| child.name);
    assert_eq!(names.collect::<Vec<_>>(), [b"a", b"b"]);
    let read = client.batch_get(&keys).await.unwrap();
    assert_eq!(read[0].as_ref().unwrap().as_ref().unwrap().value, value);
    assert_eq!(client.batch_remove(&[b"d.b"]).await.unwrap().existed, [Ok(true)]);
    assert!(client.remove(b"d.a").await.unwrap().existed);
    assert_eq!(client.list(b"d").await.unwrap(), []);
}

/// Three nodes of their own, the first with two shards and a group on each, and a client of every
/// group. Returns the trace of all that happened.
fn run_three_nodes(seed: u64) -> (u64, u64) {
    let world = world(seed);
    let configs = [config(1, 2), config(2, 1), config(3, 1)];
    let processes: Vec<_> = configs.iter().map(|config| Process::start(&world, config)).collect();
    let mut programs = Vec::new();
    for config in &configs {
        for group in 0..config.groups.len() as i32 {
            let program = NodeKey(PROGRAMS.0 + programs.len() as u16);
            programs.push(program);
            let config = config.clone();
            start_program(&world, program, move |shard: Shard| {
                // One connection to each shard: half of the calls reach the group by way of the
                // other one.
                let client = client(&shard, &config, group, config.node.shards.count());
                use_all_operations(client, group)
            });
        }
    }
    let have_ended = |world: &World| programs.iter().all(|program| !world.is_running(*program));
    assert_eq!(world.run_until(have_ended, LIMIT), Ok(true));
    for (config, process) in configs.iter().zip(processes) {
        assert!(process.is_ready());
        world.stop(key(config));
        assert!(matches!(process.ending(&world), Ending::Good));
    }
    (world.trace_hash(), world.events())
}

#[test]
fn three_nodes_serve_all_operations_and_the_seed_decides_everything() {
    let traces: Vec<_> = (1..=8).map(run_three_nodes).collect();
    for (seed, trace) in (1..).zip(&traces) {
        assert_eq!(*trace, run_three_nodes(seed), "seed {seed}");
        assert_eq!(traces.iter().filter(|other| *other == trace).count(), 1, "seed {seed}");
    }
}

/// Lets a node die several times at any moment, the starts included. Returns what was acknowledged.
fn survive(seed: u64, lives: u32) -> u64 {
    let world = world(seed);
    let mut config = config(1, 2);
    if seed.is_multiple_of(2) {
        config.snapshot.log_bytes = ByteSize::kib(64);
        config.log.delete_delay = Duration::from_millis(20);
    }
    let ledger = Ledger::default();
    let mut process = Process::start(&world, &config);
    ledger.start(&world, &config);
    for _ in 0..lives {
        // Mostly short lives, so that starting is hit as often as serving.
        let micros = 64 << world.choose("test.life", 10);
        let life = micros + world.choose("test.life", micros);
        world.run_for(Duration::from_micros(life)).unwrap();
        let kinds = [CrashKind::Kill, CrashKind::PowerLoss];
        world.crash(key(&config), kinds[world.choose("test.crash", 2) as usize]);
        process = Process::start(&world, &config);
    }
    for refusal in ledger.take_refusals() {
        if let Error::Unavailable(Reason::Server(error)) = &refusal {
            let code = error.resp_code().unwrap();
            assert!(code.proves_not_executed(), "seed {seed}: {refusal}");
        }
    }
    let before = ledger.acknowledged();
    let goes_on = |_: &World| process.is_ready() && ledger.acknowledged() > before + 50;
    let went_on = world.run_until(goes_on, LIMIT);
    assert_eq!(went_on, Ok(true), "seed {seed}: {:?}", process.take_ending());
    ledger.stop(&world);
    world.stop(key(&config));
    assert!(matches!(process.ending(&world), Ending::Good));
    let process = Process::start(&world, &config);
    ledger.verify(&world, &config);
    assert!(process.is_ready());
    ledger.acknowledged()
}

#[test]
fn what_was_acknowledged_survives_kills_and_power_losses() {
    let acknowledged: u64 = (1..=100).map(|seed| survive(seed, 5)).sum();
    assert!(acknowledged > 15_000, "{acknowledged} show little");
}
