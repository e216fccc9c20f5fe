//! Segments behind a snapshot are used again, and what is left in them is never taken for log.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_host::{Group, SnapshotBoundary};
use runtime::Shard;
use runtime::sim::{CrashKind, Ending, NodeKey, World, WorldOptions};

use crate::ledger::{Ledger, LifeError, Machine, payload_of, small_options};

const NODE: NodeKey = NodeKey(1);
const LONG: Duration = Duration::from_secs(60);

/// A snapshot as a store would keep it: where it stands, and what is in it.
type Snapshot = Arc<Mutex<Option<(SnapshotBoundary, Vec<(u64, u64)>)>>>;

/// Like `ledger::live`, with a snapshot and a compaction now and then.
async fn live(
    shard: Shard,
    ledger: Ledger,
    snapshot: Snapshot,
    rounds: u64,
) -> Result<(), LifeError> {
    let mut options = small_options();
    let machine = Machine::new(&ledger);
    let taken = snapshot.lock().unwrap().clone();
    if let Some((boundary, applied)) = taken {
        options.snapshot = boundary;
        ledger.book().applied = applied;
    }
    let group = Group::open(&shard, options, machine).await?;
    group.serving().await?;
    {
        let mut book = ledger.book();
        book.recovered = book.applied.clone();
        crate::ledger::check_recovered(&book);
    }
    for round in 0..rounds {
        for _ in 0..20 {
            let number = {
                let mut book = ledger.book();
                book.proposed += 1;
                book.proposed
            };
            group.propose([&payload_of(number), &[]], number).map_err(|_| ()).unwrap();
        }
        shard.clock().sleep(Duration::from_millis(2)).await;
        if round % 7 == 6 {
            let boundary = group.boundary().unwrap();
            let index = boundary.position.index;
            let applied = ledger.book().applied.clone();
            *snapshot.lock().unwrap() = Some((boundary, applied));
            group.compact(index);
        }
    }
    group.stop().await?;
    Ok(())
}

fn start(
    world: &World,
    ledger: &Ledger,
    snapshot: &Snapshot,
    rounds: u64,
) -> runtime::sim::Run<LifeError> {
    let (ledger, snapshot) = (ledger.clone(), Arc::clone(snapshot));
    world.start(NODE, 1, move |shard| live(shard, ledger.clone(), Arc::clone(&snapshot), rounds))
}

fn finish(world: &World, run: &runtime::sim::Run<LifeError>) {
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap());
    match run.take_ending() {
        Some(Ending::Good) => {}
        Some(Ending::Failed(LifeError::Group(error))) => panic!("{error}"),
        _ => panic!("the process failed"),
    }
}

fn segments(world: &World) -> Vec<String> {
    world.disk(NODE).paths().into_iter().filter(|path| path.ends_with(".log")).collect()
}

#[test]
fn the_log_stays_small_and_goes_on_after_restarts() {
    let world = World::new(WorldOptions::new(1));
    let (ledger, snapshot) = (Ledger::default(), Snapshot::default());
    for _ in 0..4 {
        finish(&world, &start(&world, &ledger, &snapshot, 80));
        let names = segments(&world);
        assert!(names.len() <= 12, "{names:?}");
    }
    let newest = segments(&world).pop().unwrap();
    assert!(*newest > *"groups/7/log/00000000000000000040.log", "{newest}");
    let book = ledger.book();
    assert_eq!(book.acknowledged.len() as u64, book.proposed);
}

/// Pitfall 25: a recycled file's old frames are intact, and void.
#[test]
fn pitfall_25_dies_at_any_event_while_segments_are_recycled() {
    let events = {
        let world = World::new(WorldOptions::new(2));
        finish(&world, &start(&world, &Ledger::default(), &Snapshot::default(), 60));
        world.events()
    };
    for death in (1..events).step_by(5) {
        let world = World::new(WorldOptions::new(2));
        let (ledger, snapshot) = (Ledger::default(), Snapshot::default());
        drop(start(&world, &ledger, &snapshot, 60));
        world.run_until(|world| world.events() >= death, LONG).unwrap();
        world.crash(NODE, CrashKind::PowerLoss);
        finish(&world, &start(&world, &ledger, &snapshot, 10));
        finish(&world, &start(&world, &ledger, &snapshot, 1));
    }
}
