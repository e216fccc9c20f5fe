//! The real binary, killed at random moments under load: every acknowledged put is there afterwards.
//!
//! `DONGTING_CRASH_ROUNDS` says how often, `DONGTING_CRASH_LOG_MIB` how much log a restart reads.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/development.rs"]
mod development;
#[path = "support/load.rs"]
mod load;
#[path = "support/process.rs"]
mod process;

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use crate::development::dev;
use crate::load::Acknowledged;
use crate::process::{DEADLINE, NodeProcess, Ports, directory};

fn setting(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// A number below `n` that nobody can foresee.
fn below(n: u64) -> u64 {
    RandomState::new().build_hasher().finish() % n
}

fn end_well(node: NodeProcess) {
    let ended = node.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
}

#[test]
fn acknowledged_puts_survive_kill_9_at_any_moment() {
    let rounds = setting("DONGTING_CRASH_ROUNDS", 5);
    let (directory, ports) = (directory(), Ports::choose());
    let acknowledged = Acknowledged::default();
    let (mut checked, mut slowest, mut interrupted) = (0, Duration::ZERO, 0);
    for _ in 0..rounds {
        let started = Instant::now();
        let mut node = dev(directory.path(), ports);
        // Now and then the start is what is interrupted.
        if below(4) == 0 && !node.wait_ready_for(Duration::from_micros(below(60_000))) {
            interrupted += 1;
            drop(node);
            continue;
        }
        node.wait_ready();
        slowest = slowest.max(started.elapsed());
        checked += acknowledged.verify(ports);
        // Small and large values, so that some rounds fill several log files.
        let load = acknowledged.load(ports, 64 << below(8), DEADLINE);
        acknowledged.wait_for(acknowledged.count() + 1 + below(20_000));
        // What is in flight gets no answer and no second try, so that the load ends with the node.
        load.stop();
        drop(node);
        load.end();
    }
    let mut node = dev(directory.path(), ports);
    node.wait_ready();
    checked += acknowledged.verify(ports);
    end_well(node);
    eprintln!(
        "{rounds} rounds, {interrupted} of them killed while starting; {} puts acknowledged, \
         {checked} keys read back, none lost; slowest start {slowest:?}",
        acknowledged.count()
    );
}

#[test]
fn a_long_log_is_read_back_at_the_start() {
    const VALUE_BYTES: u64 = 256;
    let log_bytes = setting("DONGTING_CRASH_LOG_MIB", 16) << 20;
    let (directory, ports) = (directory(), Ports::choose());
    let acknowledged = Acknowledged::default();
    let mut node = dev(directory.path(), ports);
    node.wait_ready();
    let started = Instant::now();
    let load = acknowledged.load(ports, VALUE_BYTES as usize, DEADLINE);
    acknowledged.wait_for(log_bytes / VALUE_BYTES);
    let written = started.elapsed();
    load.end();
    drop(node);
    let started = Instant::now();
    let mut node = dev(directory.path(), ports);
    node.wait_ready();
    let restarted = started.elapsed();
    acknowledged.verify(ports);
    let puts = acknowledged.count();
    assert_eq!(node.terminate().code, Some(0));
    eprintln!(
        "{puts} puts of {VALUE_BYTES} bytes written in {written:?}, ready after {restarted:?}"
    );
}
