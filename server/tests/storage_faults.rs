//! Disks that are full or fail, under whole nodes in the simulated runtime: what cannot be stored is
//! refused or ends the node with its cause, and nothing that was acknowledged is lost.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/counters.rs"]
mod counters;
#[path = "support/simulated.rs"]
mod simulated;

use std::time::Duration;

use client::{Error, Reason, RespCode};
use raft_core::GroupId;
use raft_host::GroupError;
use runtime::sim::{CrashKind, DiskEffect, DiskFault, DiskOperation, EIO, Ending, World};
use server::config::Config;
use server::node::NodeError;

use crate::counters::Ledger;
use crate::simulated::{LIMIT, Process, config, key, world};

/// A node under load that has acknowledged something in its present life.
fn start_loaded(world: &World, config: &Config, ledger: &Ledger) -> Process {
    let process = Process::start(world, config);
    ledger.start(world, config);
    let is_loaded = |_: &World| ledger.acknowledged() > 100;
    assert_eq!(world.run_until(is_loaded, LIMIT), Ok(true));
    process
}

/// After a power loss on top, a node on a disk that works again has all that was acknowledged.
fn check_next_start(world: &World, config: &Config, ledger: &Ledger) {
    ledger.stop(world);
    world.disk(key(config)).clear_faults();
    world.crash(key(config), CrashKind::PowerLoss);
    let process = Process::start(world, config);
    assert_eq!(world.run_until(|_| process.is_ready(), LIMIT), Ok(true));
    ledger.verify(world, config);
    world.stop(key(config));
    assert!(matches!(process.ending(world), Ending::Good));
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    for seed in 1..=3 {
        let (world, config, ledger) = (world(seed), config(1, 2), Ledger::default());
        let process = start_loaded(&world, &config, &ledger);
        let disk = world.disk(key(&config));
        let roomy = disk.options();
        let used: usize = disk.paths().iter().map(|path| disk.read(path).unwrap().len()).sum();
        disk.set_options(runtime::sim::DiskOptions { capacity: used as u64 + 4096, ..roomy });
        ledger.take_refusals();
        world.run_for(Duration::from_millis(500)).unwrap();
        let refusals = ledger.take_refusals();
        assert!(refusals.len() > 50, "seed {seed}: {} refusals", refusals.len());
        for refusal in refusals {
            let Error::Unavailable(Reason::Server(error)) = refusal else { panic!("{refusal}") };
            assert_eq!(error.resp_code(), Some(RespCode::FlowControl), "{error}");
            assert!(error.message.contains("no space left for the log"), "{error}");
        }
        // Everything that was taken has been answered, and can be read.
        ledger.stop(&world);
        ledger.verify(&world, &config);
        let before = ledger.acknowledged();
        world.run_for(Duration::from_secs(1)).unwrap();
        assert_eq!(ledger.acknowledged(), before);
        disk.set_options(roomy);
        ledger.start(&world, &config);
        let goes_on = |_: &World| ledger.acknowledged() > before + 100;
        assert_eq!(world.run_until(goes_on, LIMIT), Ok(true), "seed {seed}");
        ledger.stop(&world);
        world.stop(key(&config));
        assert!(matches!(process.ending(&world), Ending::Good));
        check_next_start(&world, &config, &ledger);
    }
}

/// What a fault does to a node.
enum Outcome {
    /// It ends, and says that it could not do this to a file of the group.
    Ends(&'static str),
    /// It goes on.
    GoesOn,
}

/// A fault under load.
fn strike(seed: u64, fault: DiskFault, outcome: &Outcome) {
    let (world, config, ledger) = (world(seed), config(1, 2), Ledger::default());
    let process = start_loaded(&world, &config, &ledger);
    world.disk(key(&config)).add_fault(fault);
    match outcome {
        Outcome::Ends(what) => {
            let Ending::Failed(error) = process.ending(&world) else { panic!("it goes on") };
            let NodeError::Group { group: GroupId(1), error } = error else { panic!("{error}") };
            let GroupError::Io { action, path, message, .. } = error else { panic!("{error}") };
            assert!(path.starts_with("group-1/"), "{path}");
            assert_eq!(action, *what, "{path}: {message}");
            let before = ledger.acknowledged();
            world.run_for(Duration::from_millis(200)).unwrap();
            assert_eq!(ledger.acknowledged(), before, "nobody acknowledges any more");
        }
        Outcome::GoesOn => {
            let before = ledger.acknowledged();
            let goes_on = |_: &World| ledger.acknowledged() > before + 300;
            assert_eq!(world.run_until(goes_on, LIMIT), Ok(true));
            world.stop(key(&config));
            assert!(matches!(process.ending(&world), Ending::Good));
        }
    }
    check_next_start(&world, &config, &ledger);
}

#[test]
fn a_failed_write_ends_the_node_with_its_cause_and_loses_nothing() {
    for seed in 1..=3 {
        let fault = |operation| DiskFault::new(operation, DiskEffect::Error(EIO)).times(1);
        let write = || fault(DiskOperation::Write);
        // Blocks of a segment in the making are zeros or its first one: they are written again.
        let behind_header = 4096..u64::MAX;
        strike(seed, write().path("group-1/log").range(behind_header), &Outcome::Ends("write"));
        strike(seed, write().path("group-1/hard-state"), &Outcome::Ends("write"));
        strike(seed, fault(DiskOperation::Sync).path(".log.new"), &Outcome::GoesOn);
        strike(seed, fault(DiskOperation::Directory).path("group-1/log"), &Outcome::GoesOn);
    }
}

#[test]
fn a_fault_at_the_start_ends_it_and_the_next_start_has_everything() {
    use DiskOperation::{Directory, Read, Sync, Write};
    let (world, config, ledger) = (world(7), config(1, 2), Ledger::default());
    let process = start_loaded(&world, &config, &ledger);
    ledger.stop(&world);
    world.crash(key(&config), CrashKind::Kill);
    assert!(process.take_ending().is_none());
    for (operation, path) in [
        (Read, "identity"),
        (Sync, "identity"),
        (Directory, "identity"),
        (Directory, "group-0"),
        (Read, "group-1/hard-state"),
        (Write, "group-1/hard-state"),
        (Read, "group-1/log"),
        (Sync, "group-1/log"),
        (Directory, "group-1/log"),
    ] {
        let fault = DiskFault::new(operation, DiskEffect::Error(EIO)).path(path).times(1);
        world.disk(key(&config)).add_fault(fault);
        let process = Process::start(&world, &config);
        let ending = process.ending(&world);
        let Ending::Failed(error) = ending else { panic!("{operation:?} {path}: it started") };
        assert!(!process.is_ready(), "{operation:?} {path}");
        assert!(!error.is_integrity(), "{operation:?} {path}: {error}");
        assert!(error.to_string().contains("os error 5"), "{operation:?} {path}: {error}");
    }
    check_next_start(&world, &config, &ledger);
}
