//! A group of one on a disk that fails, lies, fills up or was damaged.

use std::time::Duration;

use raft_host::{Group, GroupError, GroupOptions, Refusal};
use runtime::Shard;
use runtime::sim::{
    CrashKind, DiskEffect, DiskFault, DiskHandle, DiskOperation, EIO, Ending, NodeKey, Run, World,
    WorldOptions,
};

use crate::ledger::{Ledger, LifeError, Machine, live, payload_of, small_options};

const NODE: NodeKey = NodeKey(1);
const LONG: Duration = Duration::from_secs(60);
const HARD_STATE: &str = "groups/7/hard-state";

fn start(world: &World, ledger: &Ledger, rounds: u64) -> Run<LifeError> {
    let ledger = ledger.clone();
    world.start(NODE, 1, move |shard| live(shard, small_options(), ledger.clone(), rounds))
}

/// How a run ended: nothing, or what the group failed with.
fn end(world: &World, run: &Run<LifeError>) -> Result<(), GroupError> {
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap(), "the process does not end");
    match run.take_ending() {
        Some(Ending::Good) => Ok(()),
        Some(Ending::Failed(LifeError::Group(error))) => Err(error),
        _ => panic!("the process failed"),
    }
}

/// A world whose node has lived and stopped.
fn lived(seed: u64) -> (World, Ledger) {
    let world = World::new(WorldOptions::new(seed));
    let ledger = Ledger::default();
    end(&world, &start(&world, &ledger, 30)).unwrap();
    (world, ledger)
}

fn segments(disk: &DiskHandle) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.ends_with(".log")).collect()
}

/// Pitfall 23, trap G3, invariant I22: a write that failed once is not tried again, and nothing is
/// acknowledged after it, although the disk would work again.
#[test]
fn pitfall_23_g3_a_failed_write_ends_all_acknowledgements() {
    for fault in 0..12 {
        let world = World::new(WorldOptions::new(20 + fault));
        let ledger = Ledger::default();
        let run = start(&world, &ledger, 200);
        world.run_until(|_| ledger.book().acknowledged.len() as u64 > 9 * fault, LONG).unwrap();
        let rule = DiskFault::new(DiskOperation::Write, DiskEffect::Error(EIO));
        world.disk(NODE).add_fault(rule.path(".log").range(4096..u64::MAX).times(1));
        let failed = |ledger: &Ledger| {
            let book = ledger.book();
            book.refused.iter().any(|(_, refusal)| *refusal == Refusal::OutcomeUnknown)
        };
        world.run_until(|_| failed(&ledger) || run.has_ended(), LONG).unwrap();
        let at_failure = ledger.book().acknowledged.len();
        match end(&world, &run) {
            Err(GroupError::Io { action: "write", path, .. }) => assert!(path.contains(".log")),
            // The fault hit a segment in the making, which is made anew.
            Ok(()) => continue,
            other => panic!("{other:?}"),
        }
        {
            let book = ledger.book();
            assert_eq!(book.acknowledged.len(), at_failure, "an acknowledgement after the failure");
            let told = book.acknowledged.len() + book.refused.len();
            assert_eq!(told as u64, book.proposed, "everybody is told something");
        }
        end(&world, &start(&world, &ledger, 1)).unwrap();
    }
}

#[test]
fn a_failed_hard_state_write_ends_the_group() {
    let (world, ledger) = lived(3);
    let rule = DiskFault::new(DiskOperation::Write, DiskEffect::Error(EIO));
    world.disk(NODE).add_fault(rule.path("hard-state").times(1));
    let error = end(&world, &start(&world, &ledger, 5)).unwrap_err();
    assert!(matches!(error, GroupError::Io { .. }), "{error}");
    end(&world, &start(&world, &ledger, 5)).unwrap();
}

#[test]
fn a_spare_segment_that_cannot_be_synced_is_made_anew() {
    let world = World::new(WorldOptions::new(4));
    let ledger = Ledger::default();
    let run = start(&world, &ledger, 60);
    world.run_until(|_| ledger.book().acknowledged.len() > 5, LONG).unwrap();
    let rule = DiskFault::new(DiskOperation::Sync, DiskEffect::Error(EIO));
    world.disk(NODE).add_fault(rule.path(".new").times(2));
    end(&world, &run).unwrap();
    end(&world, &start(&world, &ledger, 1)).unwrap();
}

/// Whichever step fails on the way from a finished file to an open spare segment, the segment that is
/// made anew has the next number.
#[test]
fn a_spare_segment_that_cannot_be_named_or_opened_is_made_anew() {
    for fault in 0..24 {
        let world = World::new(WorldOptions::new(40 + fault));
        let ledger = Ledger::default();
        let run = start(&world, &ledger, 60);
        world.run_until(|_| ledger.book().acknowledged.len() > 5, LONG).unwrap();
        let rule = DiskFault::new(DiskOperation::Directory, DiskEffect::Error(EIO));
        let rule = rule.path(if fault % 2 == 0 { "" } else { ".log" });
        world.disk(NODE).add_fault(rule.one_in(1 + fault / 4).times(2));
        end(&world, &run).unwrap();
        world.disk(NODE).clear_faults();
        end(&world, &start(&world, &ledger, 1)).unwrap();
    }
}

/// Pitfall 24: the disk said that it wrote, and did not, or wrote elsewhere.
#[test]
fn pitfall_24_lost_and_misdirected_writes_are_found_at_the_next_start() {
    let mut found = 0;
    for seed in 0..20 {
        let effect = if seed % 2 == 0 { DiskEffect::Lose } else { DiskEffect::Misdirect };
        let world = World::new(WorldOptions::new(seed));
        let ledger = Ledger::default();
        let run = start(&world, &ledger, 30);
        world.run_until(|_| ledger.book().acknowledged.len() as u64 > 5 * seed, LONG).unwrap();
        let rule = DiskFault::new(DiskOperation::Write, effect);
        world.disk(NODE).add_fault(rule.path(".log").range(4096..u64::MAX).times(1));
        end(&world, &run).unwrap();
        let struck = ledger.book().acknowledged.len();
        match end(&world, &start(&world, &ledger, 0)) {
            Err(GroupError::Damaged { path, index, .. }) => {
                assert!(path.contains("groups/7/log/"), "{path}");
                assert!(index.is_none_or(|index| index.0 as usize <= struck + 10));
                found += 1;
            }
            // Every check of `live` held: the write that was struck did not matter.
            Ok(()) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(found > 10, "{found}");
}

/// A full disk refuses at once, serves what it has accepted, and serves on when there is room.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let world = World::new(WorldOptions::new(5));
    let ledger = Ledger::default();
    let disk = world.disk(NODE);
    let mut options = disk.options();
    options.capacity = (5 * 64 + 10) << 10;
    disk.set_options(options);
    let run = start(&world, &ledger, 4000);
    let refused = |ledger: &Ledger| {
        ledger.book().refused.iter().filter(|(_, why)| *why == Refusal::DiskFull).count()
    };
    assert!(world.run_until(|_| refused(&ledger) > 20, LONG).unwrap());
    world.run_for(Duration::from_millis(300)).unwrap();
    {
        let book = ledger.book();
        let told = book.acknowledged.len() + book.refused.len();
        assert!(book.proposed - told as u64 <= 30, "what was accepted is answered");
        assert!(book.refused.iter().all(|(_, why)| *why == Refusal::DiskFull));
    }
    options.capacity = u64::MAX;
    disk.set_options(options);
    let before = ledger.book().acknowledged.len();
    assert!(world.run_until(|_| ledger.book().acknowledged.len() > before + 50, LONG).unwrap());
    end(&world, &run).unwrap();
    end(&world, &start(&world, &ledger, 1)).unwrap();
}

#[test]
fn one_damaged_slot_is_mended_and_two_are_an_error() {
    let (world, ledger) = lived(6);
    let disk = world.disk(NODE);
    for slot in [0, 1, 0] {
        assert!(disk.flip_bit(HARD_STATE, (slot * 4096 + 40) * 8));
        end(&world, &start(&world, &ledger, 2)).unwrap();
    }
    assert!(disk.flip_bit(HARD_STATE, 999) && disk.flip_bit(HARD_STATE, 4096 * 8 + 999));
    let error = end(&world, &start(&world, &ledger, 2)).unwrap_err();
    assert!(matches!(&error, GroupError::Damaged { path, .. } if path == HARD_STATE), "{error}");
}

#[test]
fn missing_files_are_errors() {
    let (world, ledger) = lived(7);
    let disk = world.disk(NODE);
    let whole = disk.snapshot();
    let names = segments(&disk);
    assert!(names.len() > 4);
    // Segments that were never written may be missing: nothing was in them.
    for name in names.iter().take(names.len() - 2).map(String::as_str).chain([HARD_STATE]) {
        disk.restore(&whole);
        assert!(disk.remove(name));
        let error = end(&world, &start(&world, &ledger, 0)).expect_err(name);
        assert!(matches!(error, GroupError::Damaged { .. }), "{error}");
    }
    disk.restore(&whole);
    end(&world, &start(&world, &ledger, 1)).unwrap();
}

#[test]
fn another_groups_files_are_refused() {
    let (world, ledger) = lived(8);
    for (cluster, group) in [(0xD1, 7), (0xD0, 8)] {
        let mut options = small_options();
        options.identity.cluster = cluster;
        options.identity.group = raft_core::GroupId(group);
        let ledger = ledger.clone();
        let run =
            world.start(NODE, 1, move |shard| live(shard, options.clone(), ledger.clone(), 0));
        let error = end(&world, &run).unwrap_err();
        assert!(matches!(error, GroupError::Damaged { .. }), "{error}");
    }
}

/// Invariant I21: whichever block of the log goes bad, the group does not start without it.
#[test]
fn damage_below_the_durable_mark_stops_the_group() {
    let (world, ledger) = lived(9);
    let disk = world.disk(NODE);
    let whole = disk.snapshot();
    let mut damaged = 0;
    for path in segments(&disk) {
        let bytes = disk.read(&path).unwrap();
        for block in 0..bytes.len() / 4096 {
            if bytes[block * 4096..][..4096].iter().all(|byte| *byte == 0) {
                continue;
            }
            disk.restore(&whole);
            assert!(disk.flip_bit(&path, (block * 4096 + 20) as u64 * 8));
            match end(&world, &start(&world, &ledger, 0)).unwrap_err() {
                GroupError::Damaged { path: named, offset, .. } => {
                    assert_eq!(named, path);
                    assert!(offset <= (block * 4096 + 4096) as u64);
                }
                other => panic!("{other}"),
            }
            damaged += 1;
        }
    }
    assert!(damaged > 30, "{damaged}");
}

/// Pitfall 30: what waits has a bound; over it there is a refusal at once and nothing else.
#[test]
fn pitfall_30_proposals_over_the_bound_are_refused() {
    let world = World::new(WorldOptions::new(10));
    let ledger = Ledger::default();
    let seen = ledger.clone();
    let run = world.start(NODE, 1, move |shard| fill_up(shard, seen.clone()));
    end(&world, &run).unwrap();
    let book = ledger.book();
    assert_eq!(book.acknowledged.len(), 50_000);
    assert_eq!(book.refused, [(50_001, Refusal::FlowControl), (1, Refusal::TooLarge)]);
}

async fn fill_up(shard: Shard, ledger: Ledger) -> Result<(), LifeError> {
    let small = small_options();
    let members = small.founding;
    let options = GroupOptions::new("g", small.identity, small.raft, members);
    let group = Group::open(&shard, options, Machine::new(&ledger)).await?;
    group.serving().await?;
    // The entry that the leader began with is applied: nothing waits.
    assert_eq!(group.status().pending, 0);
    for number in 1..=50_001 {
        if let Err(refused) = group.propose([&payload_of(number), &[]], number) {
            ledger.book().refused.push(refused);
        }
    }
    let large = vec![0; (8 << 20) + 1];
    let refused = group.propose([&large, &[]], 1).unwrap_err();
    ledger.book().refused.push(refused);
    group.stop().await?;
    let refused = group.propose([b"late", &[]], 1).unwrap_err();
    assert_eq!(refused, (1, Refusal::Stopping));
    Ok(())
}

/// A damaged frame that nobody vouches for is cut, once; the group goes on in its place.
#[test]
fn a_torn_tail_is_cut_and_written_over() {
    for seed in 30..50 {
        let world = World::new(WorldOptions::new(seed));
        let ledger = Ledger::default();
        drop(start(&world, &ledger, 30));
        let acknowledged = (seed * 7 % 150) as usize;
        world.run_until(|_| ledger.book().acknowledged.len() > acknowledged, LONG).unwrap();
        world.crash(NODE, CrashKind::PowerLoss);
        for rounds in [3, 0, 1] {
            end(&world, &start(&world, &ledger, rounds)).unwrap();
        }
    }
}

/// Trap G3: a sync that failed is told once, and the next one succeeds without the data. So a restart
/// writes what it found at the end of the log again, and does not only sync it.
#[test]
fn g3_what_a_failed_sync_gave_up_is_written_again() {
    for seed in 0..200 {
        let world = World::new(WorldOptions::new(300 + seed));
        let ledger = Ledger::default();
        let run = start(&world, &ledger, 200);
        world.run_until(|_| ledger.book().acknowledged.len() as u64 > 3 + seed % 20, LONG).unwrap();
        // Mostly into the middle of a write.
        world.run_for(Duration::from_micros(7 * seed)).unwrap();
        world.crash(NODE, CrashKind::Kill);
        drop(run);
        let rule = DiskFault::new(DiskOperation::Sync, DiskEffect::Error(EIO));
        world.disk(NODE).add_fault(rule.path(".log").times(1));
        // The first start meets the failing sync, the second one does not.
        let _ = end(&world, &start(&world, &ledger, 5));
        end(&world, &start(&world, &ledger, 5)).unwrap();
        world.crash(NODE, CrashKind::PowerLoss);
        end(&world, &start(&world, &ledger, 1)).unwrap();
    }
}
