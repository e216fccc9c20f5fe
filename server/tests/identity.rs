//! The identity of a data directory through deaths at every moment, in a simulated world.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{
    CrashKind, DiskEffect, DiskFault, DiskOperation, EIO, NodeKey, World, WorldOptions,
};
use runtime::{BootError, Shard};
use server::identity::{Identity, IdentityError, open_or_create};

const NODE: NodeKey = NodeKey(1);
const LIMIT: Duration = Duration::from_secs(10);

type Found = Arc<Mutex<Option<Result<Identity, IdentityError>>>>;

/// Starts a process that opens the identity and then makes a group's directory, as a node does.
fn start(world: &World) -> Found {
    let found = Found::default();
    let result = found.clone();
    drop(world.start(NODE, 1, move |shard: Shard| {
        let result = result.clone();
        async move {
            let opened = open_or_create(&shard, "orders", 1).await;
            if opened.is_ok() {
                shard.storage().create_dir_all("group-0").await.unwrap();
                shard.storage().sync_dir("").await.unwrap();
            }
            *result.lock().unwrap() = Some(opened);
            Ok::<(), BootError>(())
        }
    }));
    found
}

fn finish(world: &World) -> Identity {
    let found = start(world);
    assert_eq!(world.run_until(|world| !world.is_running(NODE), LIMIT), Ok(true));
    found.lock().unwrap().take().unwrap().unwrap()
}

#[test]
fn an_identity_that_was_used_is_durable_whatever_ended_the_lives_before() {
    let kinds = [CrashKind::Kill, CrashKind::PowerLoss];
    for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for seed in 0..20 {
            for last_event in 0.. {
                let world = World::new(WorldOptions::new(seed));
                drop(start(&world));
                let dies = |world: &World| world.events() >= last_event || !world.is_running(NODE);
                assert_eq!(world.run_until(dies, LIMIT), Ok(true));
                if !world.is_running(NODE) {
                    break;
                }
                world.crash(NODE, kinds[first]);
                let used = finish(&world);
                world.crash(NODE, kinds[second]);
                assert_eq!(finish(&world), used, "seed {seed}, event {last_event}");
            }
        }
    }
}

/// Trap G3: the sync that failed said so once, and the next one has nothing to do.
#[test]
fn an_identity_whose_sync_failed_is_written_again_before_it_is_used() {
    for seed in 0..20 {
        let world = World::new(WorldOptions::new(seed));
        world.add_node(NODE);
        let failure = DiskFault::new(DiskOperation::Sync, DiskEffect::Error(EIO));
        world.disk(NODE).add_fault(failure.times(1));
        let found = start(&world);
        assert_eq!(world.run_until(|world| !world.is_running(NODE), LIMIT), Ok(true));
        let found = found.lock().unwrap().take();
        assert!(matches!(found, Some(Err(IdentityError::Io(_)))), "{found:?}");
        let used = finish(&world);
        world.crash(NODE, CrashKind::PowerLoss);
        assert_eq!(finish(&world), used, "seed {seed}");
    }
}

#[test]
fn a_missing_identity_beside_data_is_not_made_again() {
    let world = World::new(WorldOptions::new(1));
    finish(&world);
    assert!(world.disk(NODE).remove("identity"));
    let found = start(&world);
    assert_eq!(world.run_until(|world| !world.is_running(NODE), LIMIT), Ok(true));
    let found = found.lock().unwrap().take();
    assert!(matches!(found, Some(Err(IdentityError::Damaged))), "{found:?}");
}
