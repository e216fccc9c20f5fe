//! A group of one that dies at any moment, in the simulator.

use std::time::Duration;

use raft_core::NodeId;
use raft_host::{GroupOptions, hard_state};
use runtime::sim::{CrashKind, Ending, NodeKey, Run, World, WorldOptions};

use crate::ledger::{IDENTITY, Ledger, LifeError, live, small_options};

const NODE: NodeKey = NodeKey(1);
const LONG: Duration = Duration::from_secs(60);

fn start(world: &World, ledger: &Ledger, rounds: u64) -> Run<LifeError> {
    start_with(world, ledger, rounds, true)
}

fn start_with(world: &World, ledger: &Ledger, rounds: u64, sync_force: bool) -> Run<LifeError> {
    let ledger = ledger.clone();
    let options = GroupOptions { sync_force, ..small_options() };
    world.start(NODE, 1, move |shard| live(shard, options.clone(), ledger.clone(), rounds))
}

fn finish(world: &World, run: &Run<LifeError>) {
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap(), "the group does not stop");
    match run.take_ending() {
        Some(Ending::Good) => {}
        Some(Ending::Failed(LifeError::Group(error))) => panic!("{error}"),
        _ => panic!("the process failed"),
    }
}

#[test]
fn a_group_of_one_serves_stops_and_restarts_with_everything() {
    let world = World::new(WorldOptions::new(1));
    let ledger = Ledger::default();
    for life in 1..=3 {
        let run = start(&world, &ledger, 40);
        finish(&world, &run);
        let book = ledger.book();
        assert_eq!(book.opened, life);
        assert_eq!(book.acknowledged.len() as u64, book.proposed, "a stop answers everybody");
        assert_eq!(book.refused, []);
    }
    let segments =
        world.disk(NODE).paths().into_iter().filter(|path| path.ends_with(".log")).count();
    assert!(segments > 4, "the log has rolled: {segments}");
}

/// Invariants I7, I14 and I25: whenever the node dies, what was acknowledged is there after the
/// restart, also when it dies again while it recovers, and it leads in a new term.
fn dies_everywhere(kind: CrashKind, seed: u64, stride: u64) {
    let events = {
        let world = World::new(WorldOptions::new(seed));
        let run = start(&world, &Ledger::default(), 25);
        finish(&world, &run);
        world.events()
    };
    let mut deaths = 0;
    for death in (1..events).step_by(stride as usize) {
        let world = World::new(WorldOptions::new(seed));
        let ledger = Ledger::default();
        drop(start(&world, &ledger, 25));
        world.run_until(|world| world.events() >= death, LONG).unwrap();
        world.crash(NODE, kind);
        drop(start(&world, &ledger, 0));
        let again = world.events() + death % 97;
        world.run_until(|world| world.events() >= again, LONG).unwrap();
        world.crash(NODE, kind);
        let run = start(&world, &ledger, 5);
        finish(&world, &run);
        let run = start(&world, &ledger, 1);
        finish(&world, &run);
        deaths += 1;
    }
    assert!(deaths > 50, "only {deaths} deaths in {events} events");
}

#[test]
fn killed_at_any_event_nothing_acknowledged_is_lost() {
    dies_everywhere(CrashKind::Kill, 11, 1);
}

/// Pitfall 3, trap G4: an acknowledged entry survives the loss of everything that no sync covered.
#[test]
fn pitfall_03_g4_without_power_at_any_event_nothing_acknowledged_is_lost() {
    dies_everywhere(CrashKind::PowerLoss, 12, 1);
    dies_everywhere(CrashKind::PowerLoss, 13, 1);
}

/// Pitfalls 1 and 2, trap G2: the term in which a node leads, and its own vote, are durable before
/// it leads, in a file that no later rename can bring back to an older state.
#[test]
fn pitfall_01_g2_term_and_vote_are_durable_before_a_node_leads() {
    let world = World::new(WorldOptions::new(14));
    let ledger = Ledger::default();
    for life in 1..=5 {
        drop(start(&world, &ledger, 25));
        assert!(world.run_until(|_| ledger.book().opened == life, LONG).unwrap());
        let bytes = world.disk(NODE).read_durable("groups/7/hard-state").unwrap();
        let saved = hard_state::newest(IDENTITY, &bytes).unwrap();
        assert_eq!(saved.state.hard_state.term.0, ledger.book().term);
        assert_eq!(saved.state.hard_state.vote, Some(NodeId(1)));
        assert!(saved.is_mirrored);
        world.crash(NODE, CrashKind::PowerLoss);
        assert_eq!(world.disk(NODE).read("groups/7/hard-state").unwrap(), bytes);
    }
}

/// What a restart reads after a kill may not be durable yet, and is before anything builds on it.
#[test]
fn what_a_kill_left_undone_is_durable_after_the_next_start() {
    for seed in 21..24 {
        for death in (1..).step_by(7) {
            let world = World::new(WorldOptions::new(seed));
            let ledger = Ledger::default();
            let run = start(&world, &ledger, 25);
            let dies = |world: &World| world.events() >= death || run.has_ended();
            world.run_until(dies, LONG).unwrap();
            if run.has_ended() {
                break;
            }
            world.crash(NODE, CrashKind::Kill);
            let run = start(&world, &ledger, 5);
            finish(&world, &run);
            world.crash(NODE, CrashKind::PowerLoss);
            let run = start(&world, &ledger, 1);
            finish(&world, &run);
        }
    }
}

/// With `sync_force` off a kill loses nothing, a power failure loses at most the newest entries and no
/// vote, and neither leaves files that cannot be used.
#[test]
fn without_forced_syncs_only_a_power_loss_takes_what_is_new() {
    let mut lost = 0;
    for death in (200..2200).step_by(9) {
        let world = World::new(WorldOptions::new(31));
        let ledger = Ledger::default();
        drop(start_with(&world, &ledger, 25, false));
        world.run_until(|world| world.events() >= death, LONG).unwrap();
        world.crash(NODE, CrashKind::Kill);
        let run = start_with(&world, &ledger, 5, false);
        finish(&world, &run);
        drop(start_with(&world, &ledger, 25, false));
        world.run_until(|world| world.events() >= death * 2, LONG).unwrap();
        let before = ledger.book().acknowledged.len();
        world.crash(NODE, CrashKind::PowerLoss);
        ledger.book().acknowledged.clear();
        // What is left is checked as after any other restart.
        let run = start_with(&world, &ledger, 5, false);
        finish(&world, &run);
        lost += usize::from(ledger.book().recovered.len() < before);
        // A stop leaves nothing behind that is not durable.
        world.crash(NODE, CrashKind::PowerLoss);
        let run = start_with(&world, &ledger, 1, true);
        finish(&world, &run);
    }
    assert!(lost > 0, "no entry was ever acknowledged before it was durable");
}

/// Nothing stays undurable for much longer than a second.
#[test]
fn without_forced_syncs_entries_are_durable_a_little_later() {
    let world = World::new(WorldOptions::new(32));
    let ledger = Ledger::default();
    // So many that it still proposes when it dies.
    drop(start_with(&world, &ledger, 100_000, false));
    world.run_for(Duration::from_millis(500)).unwrap();
    let early = ledger.book().acknowledged.clone();
    assert!(early.len() > 100);
    world.run_for(Duration::from_millis(1500)).unwrap();
    world.crash(NODE, CrashKind::PowerLoss);
    ledger.book().acknowledged = early;
    let run = start_with(&world, &ledger, 1, false);
    finish(&world, &run);
}
