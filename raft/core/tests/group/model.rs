//! Whole groups under random faults, in one thread, from one seed.
//!
//! Messages are lost, doubled, delayed and reordered, links are cut in one direction, clocks drift,
//! nodes pause, crash and lose what was not durable yet. After every step the checker compares all
//! nodes; at the end everything heals and the group must serve again and agree.
//!
//! `SEED=n cargo test -p raft-core --test group NAME -- --nocapture` repeats one run of a test and
//! prints its trace; `SEEDS=n` runs more of them.

use crate::faults::Faults;
use crate::world::World;

fn run(seed: u64, trace: bool, faults: Faults) {
    let mut world = World::new(seed, trace, faults);
    world.run_with_faults();
    world.heal_and_settle();
    if trace || std::env::var("COUNTS").is_ok() {
        println!("{:?}", world.counts());
    }
}

fn run_seeds(seeds: std::ops::Range<u64>, faults: fn(u64) -> Faults) {
    if let Ok(seed) = std::env::var("SEED") {
        let seed = seed.parse().unwrap();
        return run(seed, true, faults(seed));
    }
    let count =
        std::env::var("SEEDS").map_or(seeds.end - seeds.start, |text| text.parse().unwrap());
    for seed in seeds.start..seeds.start + count {
        let result = std::panic::catch_unwind(|| run(seed, false, faults(seed)));
        assert!(result.is_ok(), "seed {seed} failed");
    }
}

#[test]
fn one_and_two_nodes_keep_every_promise() {
    run_seeds(60_000..60_060, |seed| Faults { snapshots: true, ..Faults::new(1 + seed % 2) });
}

#[test]
fn three_nodes_keep_every_promise() {
    run_seeds(0..150, |_| Faults::new(3));
}

#[test]
fn five_nodes_keep_every_promise() {
    run_seeds(10_000..10_100, |_| Faults::new(5));
}

#[test]
fn changing_members_keep_every_promise() {
    run_seeds(20_000..20_100, |_| Faults { changes: true, ..Faults::new(5) });
}

#[test]
fn snapshots_keep_every_promise() {
    run_seeds(30_000..30_100, |_| Faults { snapshots: true, ..Faults::new(3) });
}

#[test]
fn leases_keep_every_promise() {
    run_seeds(50_000..50_150, |seed| Faults { leases: true, ..Faults::new(3 + seed % 2 * 2) });
}

#[test]
fn everything_at_once_keeps_every_promise() {
    run_seeds(40_000..40_100, |seed| Faults {
        changes: true,
        snapshots: true,
        transfers: true,
        read_index_only: seed % 3 == 0,
        ..Faults::new(3 + seed % 3)
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let hash = |seed| {
        let faults = Faults { snapshots: true, changes: true, transfers: true, ..Faults::new(3) };
        let mut world = World::new(seed, false, faults);
        world.run_with_faults();
        world.heal_and_settle();
        world.trace_hash()
    };
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}
