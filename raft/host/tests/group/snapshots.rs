//! A group of one that saves snapshots: it dies at any moment, its disk fills up, its files go bad.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_host::{Group, GroupError, GroupOptions, SaveFailed, SnapshotStatus};
use runtime::Shard;
use runtime::sim::{
    CrashKind, DiskEffect, DiskFault, DiskHandle, DiskOperation, EIO, Ending, NodeKey, Run, World,
    WorldOptions,
};

use crate::ledger::{Ledger, LifeError, Machine, check_recovered, payload_of, small_options};

const NODE: NodeKey = NodeKey(1);
const LONG: Duration = Duration::from_secs(60);

/// When snapshots are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Asked,
    LogGrows,
    TimePasses,
    Stop,
}

/// What a life has seen of its snapshots.
#[derive(Default)]
struct Seen {
    status: SnapshotStatus,
    failed: Vec<SaveFailed>,
}

type Notes = Arc<Mutex<Seen>>;

fn options(when: When) -> GroupOptions {
    let mut options = small_options();
    options.snapshots.log_delete_delay = Duration::from_millis(5);
    match when {
        When::Asked => {}
        When::LogGrows => options.snapshots.log_bytes = 256 << 10,
        When::TimePasses => options.snapshots.interval = Duration::from_millis(20),
        When::Stop => options.snapshots.at_stop = true,
    }
    options
}

/// Like `ledger::live`, with snapshots.
async fn live(
    shard: Shard,
    options: GroupOptions,
    when: When,
    (ledger, notes): (Ledger, Notes),
    rounds: u64,
) -> Result<(), LifeError> {
    let is_synced = options.sync_force;
    let group = Group::open(&shard, options, Machine::new(&ledger)).await?;
    group.serving().await?;
    {
        let mut book = ledger.book();
        book.opened += 1;
        book.recovered = book.applied.clone();
        if !is_synced {
            // Nobody was promised the newest ones.
            let newest = book.recovered.last().map_or(0, |(_, number)| *number);
            book.acknowledged.retain(|number| *number <= newest);
        }
        check_recovered(&book);
    }
    for round in 0..rounds {
        for _ in 0..20 {
            let number = {
                let mut book = ledger.book();
                book.proposed += 1;
                book.proposed
            };
            if let Err(refused) = group.propose([&payload_of(number), &[]], number) {
                ledger.book().refused.push(refused);
            }
        }
        shard.clock().sleep(Duration::from_millis(2)).await;
        if when == When::Asked && round % 7 == 6 {
            // The group goes on while it is saved.
            let (saving, notes) = (group.clone(), notes.clone());
            drop(shard.fibers().spawn("save", async move {
                if let Err(error) = saving.save_snapshot().await {
                    notes.lock().unwrap().failed.push(error);
                }
            }));
        }
        notes.lock().unwrap().status = group.snapshots();
    }
    let stopped = group.stop().await;
    notes.lock().unwrap().status = group.snapshots();
    Ok(stopped?)
}

struct Node {
    world: World,
    ledger: Ledger,
    notes: Notes,
    when: When,
    options: GroupOptions,
}

impl Node {
    fn new(seed: u64, when: When) -> Node {
        Node {
            world: World::new(WorldOptions::new(seed)),
            ledger: Ledger::default(),
            notes: Notes::default(),
            when,
            options: options(when),
        }
    }

    fn start(&self, rounds: u64) -> Run<LifeError> {
        let (options, when) = (self.options.clone(), self.when);
        let books = (self.ledger.clone(), self.notes.clone());
        self.world
            .start(NODE, 1, move |shard| live(shard, options.clone(), when, books.clone(), rounds))
    }

    fn end(&self, run: &Run<LifeError>) -> Result<(), GroupError> {
        let ended = self.world.run_until(|_| run.has_ended(), LONG).unwrap();
        assert!(ended, "the process does not end");
        match run.take_ending() {
            Some(Ending::Good) => Ok(()),
            Some(Ending::Failed(LifeError::Group(error))) => Err(error),
            _ => panic!("the process failed"),
        }
    }

    fn lives(&self, rounds: u64) {
        self.end(&self.start(rounds)).unwrap();
    }

    fn disk(&self) -> DiskHandle {
        self.world.disk(NODE)
    }

    fn files(&self, end: &str) -> Vec<String> {
        self.disk().paths().into_iter().filter(|path| path.ends_with(end)).collect()
    }

    /// The last entries of the snapshots, as the group says.
    fn covered(&self) -> Vec<u64> {
        let seen = self.notes.lock().unwrap();
        let stored = &seen.status.stored;
        stored.iter().map(|stored| stored.header.boundary.position.index.0).collect()
    }
}

#[test]
fn the_log_stays_small_and_goes_on_after_restarts() {
    for when in [When::Asked, When::LogGrows, When::TimePasses] {
        let node = Node::new(1, when);
        for life in 0..4 {
            node.lives(80);
            let (segments, snapshots) = (node.files(".log"), node.files(".snapshot"));
            assert!(segments.len() <= 50, "{segments:?}");
            assert_eq!(snapshots.len(), 2, "{snapshots:?}");
            assert_eq!(node.ledger.book().loads, life);
        }
        let newest = node.files(".log").pop().unwrap();
        assert!(*newest > *"groups/7/log/00000000000000000060.log", "{newest}");
        let book = node.ledger.book();
        assert_eq!(book.acknowledged.len() as u64, book.proposed);
    }
}

/// Files of log that is not needed any more are used again, and removed when there are more of them
/// than the log has need of.
#[test]
fn a_long_log_that_is_dropped_leaves_few_files() {
    let node = Node::new(11, When::Stop);
    node.lives(150);
    assert!(node.files(".log").len() > 20, "{:?}", node.files(".log"));
    node.lives(1);
    node.lives(30);
    let segments = node.files(".log");
    assert!(segments.len() <= 12, "{segments:?}");
    node.lives(1);
    let book = node.ledger.book();
    assert_eq!(book.recovered.len() as u64, book.proposed - 20);
}

#[test]
fn a_stop_saves_and_a_restart_reads_no_entry_twice() {
    let node = Node::new(2, When::Stop);
    node.lives(30);
    node.lives(0);
    assert_eq!(node.ledger.book().loads, 1);
    // Only the first entry of its term came since.
    let covered = node.covered();
    assert_eq!(covered.len(), 2, "{covered:?}");
    assert_eq!(covered[0] + 1, covered[1]);
    let book = node.ledger.book();
    assert_eq!(book.recovered.len() as u64, book.proposed);
}

/// Pitfalls 20 and 25: a power failure at any event while snapshots are saved, old ones removed and
/// segments used again costs nothing that was acknowledged.
#[test]
fn pitfall_25_dies_at_any_event_while_snapshots_are_saved_and_segments_recycled() {
    let events = {
        let node = Node::new(3, When::Asked);
        node.lives(60);
        assert!(node.covered().len() == 2);
        node.world.events()
    };
    for (number, death) in (1..events).step_by(7).enumerate() {
        let node = Node::new(3, When::Asked);
        drop(node.start(60));
        node.world.run_until(|world| world.events() >= death, LONG).unwrap();
        let kind = if number % 3 == 0 { CrashKind::Kill } else { CrashKind::PowerLoss };
        node.world.crash(NODE, kind);
        node.lives(10);
        assert!(node.files(".new").iter().all(|path| path.contains("/log/")), "left over");
        node.lives(1);
    }
}

/// Without syncs a power failure may take the newest entries, and never one in front of another that
/// stays; what a snapshot was said to have is there. Snapshots cover entries that the log has not
/// made durable yet.
#[test]
fn pitfall_20_without_syncs_a_power_failure_leaves_a_beginning_of_what_was_applied() {
    let events = {
        let mut node = Node::new(12, When::Asked);
        node.options.sync_force = false;
        node.lives(60);
        node.world.events()
    };
    let mut lost = 0;
    for death in (1..events).step_by(11) {
        let mut node = Node::new(12, When::Asked);
        node.options.sync_force = false;
        drop(node.start(60));
        node.world.run_until(|world| world.events() >= death, LONG).unwrap();
        node.world.crash(NODE, CrashKind::PowerLoss);
        let applied = node.ledger.book().applied.clone();
        let covered = node.covered().last().copied().unwrap_or_default();
        node.lives(0);
        let recovered = node.ledger.book().recovered.clone();
        let differs = applied.iter().zip(&recovered).find(|(one, two)| one != two);
        assert_eq!(differs, None, "event {death}");
        // The first entry of the term is none of them.
        let last = recovered.last().map_or(1, |(index, _)| *index);
        assert!(last >= covered, "event {death}: a snapshot up to {covered} came to {last}");
        lost += applied.len().saturating_sub(recovered.len());
        node.lives(2);
    }
    assert!(lost > 0, "something is lost in some of them");
}

/// Whichever block of the newest snapshot goes bad, the one before and the log behind it have all.
#[test]
fn a_damaged_newest_snapshot_costs_nothing() {
    let node = Node::new(4, When::Asked);
    node.lives(60);
    let snapshots = node.files(".snapshot");
    let [older, newest] = &snapshots[..] else { panic!("{snapshots:?}") };
    let (disk, whole) = (node.disk(), node.disk().snapshot());
    let blocks = disk.read(newest).unwrap().len() as u64 / 4096;
    let damages = (0..blocks).map(Some).chain([None]);
    for block in damages {
        disk.restore(&whole);
        match block {
            Some(block) => assert!(disk.flip_bit(newest, block * 4096 * 8 + 12_345)),
            None => assert!(disk.truncate(newest, blocks * 4096 - 100)),
        }
        node.lives(0);
        assert!(node.files(".damaged") == [format!("{newest}.damaged")]);
        let book = node.ledger.book();
        assert_eq!(book.recovered.len() as u64, book.proposed);
    }
    // The other one as well: nobody pretends that there is something.
    assert!(disk.flip_bit(older, 5));
    let error = node.end(&node.start(0)).unwrap_err();
    let GroupError::Damaged { path, what, .. } = &error else { panic!("{error}") };
    assert!(path.contains("/log/") && what.contains("no snapshot is intact"), "{error}");
}

/// A restart reads nothing of the log that the snapshot has, whatever became of it; an older snapshot
/// needs it, and then damage in it is found.
#[test]
fn a_restart_leaves_out_what_the_snapshot_has() {
    let mut node = Node::new(10, When::Asked);
    node.options.snapshots.keep = 5;
    node.lives(90);
    let snapshots = node.files(".snapshot");
    assert_eq!(snapshots.len(), 5, "{snapshots:?}");
    let segment = node.files(".log").swap_remove(3);
    // In a record of its first frame.
    assert!(node.disk().flip_bit(&segment, (4096 + 96 + 34) * 8));
    node.lives(0);
    let book = node.ledger.book();
    assert_eq!(book.recovered.len() as u64, book.proposed);
    drop(book);
    for newer in &snapshots[1..] {
        assert!(node.disk().flip_bit(newer, 5));
    }
    let error = node.end(&node.start(0)).unwrap_err();
    let GroupError::Damaged { path, .. } = &error else { panic!("{error}") };
    assert_eq!(*path, segment);
}

#[test]
fn a_snapshot_of_a_newer_version_is_not_passed_over() {
    let node = Node::new(5, When::Asked);
    node.lives(30);
    let newest = node.files(".snapshot").pop().unwrap();
    let mut block = node.disk().read(&newest).unwrap()[..4096].to_vec();
    block[8] = 2;
    let checksum = node.options.identity.seed().checksum(&block[8..]);
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    assert!(node.disk().overwrite(&newest, 0, &block));
    let error = node.end(&node.start(0)).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
    assert!(node.files(".damaged").is_empty());
}

/// A disk that is full, fails or lies while a snapshot is saved: the group goes on, says so, and
/// saves the next one when it can.
#[test]
fn a_disk_that_fails_while_saving_stops_nobody() {
    let operations = [DiskOperation::Write, DiskOperation::Sync, DiskOperation::Directory];
    for (seed, operation) in operations.into_iter().enumerate() {
        let node = Node::new(6 + seed as u64, When::Asked);
        let run = node.start(100);
        let serves = |_: &World| node.ledger.book().opened > 0;
        assert!(node.world.run_until(serves, LONG).unwrap());
        node.disk().add_fault(DiskFault::new(operation, DiskEffect::Error(EIO)).path("snapshot"));
        let has_failed = |_: &World| node.notes.lock().unwrap().failed.len() > 2;
        assert!(node.world.run_until(has_failed, LONG).unwrap());
        assert!(node.notes.lock().unwrap().status.problem.is_some());
        assert!(node.files(".snapshot").is_empty());
        node.disk().clear_faults();
        node.end(&run).unwrap();
        assert!(node.notes.lock().unwrap().status.problem.is_none());
        assert_eq!(node.files(".snapshot").len(), 2);
        assert_eq!(node.ledger.book().refused, []);
        node.lives(1);
    }
}

#[test]
fn a_full_disk_while_saving_stops_nobody() {
    let node = Node::new(9, When::Asked);
    let run = node.start(100);
    let is_saving = |_: &World| !node.files(".snapshot.new").is_empty();
    assert!(node.world.run_until(is_saving, LONG).unwrap());
    let (disk, mut small) = (node.disk(), node.disk().options());
    let whole = small;
    // Room for nothing more.
    small.capacity = 1;
    disk.set_options(small);
    let has_failed = |_: &World| !node.notes.lock().unwrap().failed.is_empty();
    assert!(node.world.run_until(has_failed, LONG).unwrap());
    let SaveFailed::Failed(error) = node.notes.lock().unwrap().failed[0].clone() else { panic!() };
    assert!(error.to_string().contains("snapshot"), "{error}");
    disk.set_options(whole);
    node.end(&run).unwrap();
    assert_eq!(node.files(".snapshot").len(), 2);
    node.lives(1);
}
