//! Disks of the simulated world, as programs see them.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::time::Duration;

use runtime::sim::{
    CrashKind, DirectoryOrder, DiskEffect, DiskFault, DiskOperation, DiskOptions, EIO, ENOSPC,
    NodeKey, World, WorldOptions,
};
use runtime::{BLOCK, BootError, DirectFile, OpenOptions, Shard, SharedBuffer};

const NODE: NodeKey = NodeKey(1);
const MINUTE: Duration = Duration::from_secs(60);

const CREATE: OpenOptions = OpenOptions { write: true, create: true, dsync: false };
const CREATE_DSYNC: OpenOptions = OpenOptions { write: true, create: true, dsync: true };
const READ: OpenOptions = OpenOptions { write: false, create: false, dsync: false };

fn world(seed: u64) -> World {
    World::new(WorldOptions::new(seed))
}

/// Runs a program on the node to its end.
fn program<Fut>(world: &World, main: impl Fn(Shard) -> Fut + Send + Sync + Clone + 'static)
where
    Fut: Future<Output = io::Result<()>> + 'static,
{
    let run = world.start::<BootError, _, _>(NODE, 1, move |shard| {
        let life = main(shard);
        async move {
            if let Err(error) = life.await {
                panic!("{error}");
            }
            Ok(())
        }
    });
    assert_eq!(world.run_until(|_| run.has_ended(), MINUTE), Ok(true));
}

fn blocks(shard: &Shard, fills: &[u8]) -> SharedBuffer {
    let mut buffer = shard.buffer(fills.len() * BLOCK);
    for (block, fill) in buffer.chunks_mut(BLOCK).zip(fills) {
        block.fill(*fill);
    }
    buffer.freeze()
}

async fn write(shard: &Shard, file: &DirectFile, block: u64, fills: &[u8]) -> io::Result<()> {
    let data = blocks(shard, fills);
    file.write_at(&data, 0..data.len(), block * BLOCK as u64).await
}

fn first_bytes(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(BLOCK).map(|block| block[0]).collect()
}

#[test]
fn what_is_written_is_read_again() {
    let world = world(1);
    program(&world, |shard| async move {
        let storage = shard.storage();
        storage.create_dir_all("a/b").await?;
        let file = storage.open("a/b/file", CREATE).await?;
        write(&shard, &file, 0, &[1, 2]).await?;
        write(&shard, &file, 3, &[4]).await?;
        assert_eq!(file.len(), 4 * BLOCK as u64);
        let bytes = file.read_at(BLOCK as u64, 8 * BLOCK).await?;
        assert_eq!(first_bytes(&bytes), [2, 0, 4]);
        assert!(file.read_at(4 * BLOCK as u64, BLOCK).await?.is_empty());
        assert_eq!(storage.list("a").await?, ["b"]);
        assert!(storage.exists("a/b/file").await? && !storage.exists("a/c").await?);

        let again = storage.open("a/b/file", CREATE).await.err().map(|error| error.kind());
        assert_eq!(again, Some(io::ErrorKind::AlreadyExists));
        let missing = storage.open("a/other", READ).await.err().map(|error| error.kind());
        assert_eq!(missing, Some(io::ErrorKind::NotFound));
        let reader = storage.open("a/b/file", READ).await?;
        assert!(write(&shard, &reader, 0, &[1]).await.is_err());

        storage.rename("a/b/file", "a/moved").await?;
        assert_eq!(first_bytes(&file.read_at(0, BLOCK).await?), [1]);
        storage.remove_dir_all("a/b").await?;
        assert_eq!(storage.list("a").await?, ["moved"]);
        storage.remove_file("a/moved").await?;
        assert_eq!(first_bytes(&file.read_at(0, BLOCK).await?), [1], "open files outlive names");
        file.close().await
    });
    assert!(world.disk(NODE).paths().is_empty());
}

#[test]
fn power_loss_keeps_what_was_synced_and_any_part_of_the_rest() {
    let mut lost = BTreeSet::new();
    for seed in 0..60 {
        let world = world(seed);
        program(&world, |shard| async move {
            let file = shard.storage().open("file", CREATE).await?;
            write(&shard, &file, 0, &[1, 1, 1]).await?;
            file.sync_data().await?;
            shard.storage().sync_dir("").await?;
            write(&shard, &file, 1, &[2, 2]).await?;
            Ok(())
        });
        let disk = world.disk(NODE);
        assert_eq!(first_bytes(&disk.read_durable("file").unwrap()), [1, 1, 1]);
        assert_eq!(disk.unsynced_blocks(), 2);
        world.crash(NODE, CrashKind::PowerLoss);
        let bytes = disk.read("file").unwrap();
        assert_eq!(bytes.len(), 3 * BLOCK);
        assert!(bytes[..BLOCK].iter().all(|byte| *byte == 1));
        let sectors: Vec<u8> = bytes[BLOCK..].chunks(512).map(|sector| sector[0]).collect();
        assert!(sectors.iter().all(|byte| [1, 2].contains(byte)));
        lost.insert(sectors.iter().filter(|byte| **byte == 1).count());
        assert_eq!(disk.unsynced_blocks(), 0);
    }
    assert!(lost.contains(&0) && lost.contains(&16) && lost.len() > 5, "{lost:?}");
}

#[test]
fn kill_keeps_what_was_written_and_dsync_needs_no_sync() {
    for seed in 0..20 {
        let world = world(seed);
        program(&world, |shard| async move {
            let file = shard.storage().open("plain", CREATE).await?;
            write(&shard, &file, 0, &[1]).await?;
            let file = shard.storage().open("dsync", CREATE_DSYNC).await?;
            write(&shard, &file, 0, &[2]).await?;
            shard.storage().sync_dir("").await
        });
        let disk = world.disk(NODE);
        world.crash(NODE, CrashKind::Kill);
        assert_eq!(first_bytes(&disk.read("plain").unwrap()), [1]);
        world.crash(NODE, CrashKind::PowerLoss);
        assert_eq!(first_bytes(&disk.read("dsync").unwrap()), [2]);
    }
}

#[test]
fn a_write_in_flight_is_torn_by_either_crash() {
    for kind in [CrashKind::Kill, CrashKind::PowerLoss] {
        let mut seen = BTreeSet::new();
        for seed in 0..60 {
            let world = world(seed);
            drop(world.start::<BootError, _, _>(NODE, 1, |shard: Shard| async move {
                let file = shard.storage().open("file", CREATE_DSYNC).await.unwrap();
                write(&shard, &file, 0, &[1, 1]).await.unwrap();
                shard.storage().sync_dir("").await.unwrap();
                loop {
                    write(&shard, &file, 0, &[2, 2]).await.unwrap();
                    write(&shard, &file, 0, &[1, 1]).await.unwrap();
                }
            }));
            world.run_for(Duration::from_millis(50)).unwrap();
            let disk = world.disk(NODE);
            assert_eq!(world.run_until(|_| disk.writes_in_flight() > 0, MINUTE), Ok(true));
            world.crash(NODE, kind);
            let bytes = disk.read("file").unwrap();
            let twos = bytes.chunks(512).filter(|sector| sector[0] == 2).count();
            seen.insert(twos);
        }
        assert!(seen.len() > 4, "{kind:?}: {seen:?}");
    }
}

#[test]
fn names_are_safe_after_sync_dir_only() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut options = WorldOptions::new(seed);
        if seed >= 100 {
            options.disk.directory_order = DirectoryOrder::Any;
        }
        let world = World::new(options);
        program(&world, |shard| async move {
            let storage = shard.storage();
            for name in ["old", "kept"] {
                let file = storage.open(name, CREATE).await?;
                write(&shard, &file, 0, &[1]).await?;
                file.sync_data().await?;
            }
            storage.sync_dir("/").await?;
            storage.rename("old", "new").await?;
            let file = storage.open("later", CREATE_DSYNC).await?;
            write(&shard, &file, 0, &[2]).await?;
            storage.remove_file("kept").await
        });
        let disk = world.disk(NODE);
        assert_eq!(disk.paths(), ["later", "new"]);
        world.crash(NODE, CrashKind::PowerLoss);
        seen.insert((seed >= 100, disk.paths().join(" ")));
    }
    let journal = ["kept old", "kept new", "kept later new", "later new"];
    let any = ["later old", "old", "new", "kept later old"];
    let mut expected: BTreeSet<_> = journal.map(|paths| (false, paths.to_owned())).into();
    for paths in journal.iter().chain(&any) {
        expected.insert((true, (*paths).to_owned()));
    }
    assert_eq!(seen, expected);
}

#[test]
fn directories_and_renames_between_them_become_durable_with_their_sync() {
    for seed in 0..50 {
        let world = world(seed);
        program(&world, |shard| async move {
            let storage = shard.storage();
            storage.create_dir_all("spare").await?;
            storage.create_dir_all("log").await?;
            storage.sync_dir("").await?;
            let file = storage.open("spare/1", CREATE_DSYNC).await?;
            write(&shard, &file, 0, &[1]).await?;
            storage.rename("spare/1", "log/1").await?;
            storage.sync_dir("log").await?;
            storage.create_dir_all("log/lost/below").await
        });
        world.crash(NODE, CrashKind::PowerLoss);
        assert_eq!(world.disk(NODE).paths(), ["log/1"]);
        assert_eq!(first_bytes(&world.disk(NODE).read("log/1").unwrap()), [1]);
    }
}

#[test]
fn errors_strike_by_rule_and_a_failed_sync_loses_data_once() {
    let world = world(3);
    let disk = world.disk(NODE);
    disk.add_fault(DiskFault::new(DiskOperation::Sync, DiskEffect::Error(EIO)).times(1));
    let broken = DiskFault::new(DiskOperation::Read, DiskEffect::Error(EIO));
    disk.add_fault(broken.path("file").range(8192..12_288));
    let slow = DiskEffect::Delay(Duration::from_secs(5));
    disk.add_fault(DiskFault::new(DiskOperation::Directory, slow).path("slow"));
    disk.set_options(DiskOptions { capacity: 3 * BLOCK as u64, ..disk.options() });
    program(&world, |shard| async move {
        let storage = shard.storage();
        let file = storage.open("file", CREATE).await?;
        write(&shard, &file, 0, &[1, 2, 3]).await?;
        assert_eq!(errno(file.sync_data().await), Some(EIO));
        file.sync_data().await?;
        storage.sync_dir("").await?;
        file.read_at(0, 2 * BLOCK).await?;
        assert_eq!(errno(file.read_at(0, 3 * BLOCK).await), Some(EIO));
        assert_eq!(errno(write(&shard, &file, 3, &[4]).await), Some(ENOSPC));
        write(&shard, &file, 0, &[5]).await?;
        let start = shard.clock().now();
        storage.create_dir_all("slow").await?;
        assert!(shard.clock().now().since(start) > Duration::from_secs(5));
        file.sync_data().await
    });
    world.crash(NODE, CrashKind::PowerLoss);
    assert_eq!(first_bytes(&disk.read("file").unwrap()), [5], "blocks 1 and 2 were lost");
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn silent_faults_lie_to_the_program() {
    let table = [
        (DiskOperation::Write, DiskEffect::Lose, [1, 2, 3]),
        (DiskOperation::Read, DiskEffect::Stale, [0, 0, 0]),
        (DiskOperation::Write, DiskEffect::Misdirect, [0, 0, 0]),
        (DiskOperation::Read, DiskEffect::Misdirect, [0, 0, 0]),
    ];
    for (operation, effect, expected) in table {
        let world = world(1);
        program(&world, |shard| async move {
            let file = shard.storage().open("file", CREATE).await?;
            write(&shard, &file, 0, &[1, 2, 3]).await
        });
        world.disk(NODE).add_fault(DiskFault::new(operation, effect));
        program(&world, move |shard| async move {
            let options = OpenOptions { write: true, create: false, dsync: false };
            let file = shard.storage().open("file", options).await?;
            write(&shard, &file, 0, &[9]).await?;
            let read = first_bytes(&file.read_at(0, 3 * BLOCK).await?);
            match effect {
                DiskEffect::Misdirect => assert_ne!(read, [9, 2, 3]),
                DiskEffect::Stale => assert_eq!(read[0], 1),
                _ => assert_eq!(read, expected),
            }
            Ok(())
        });
    }
    let world = world(1);
    world.disk(NODE).add_fault(DiskFault::new(DiskOperation::Write, DiskEffect::FlipBit).times(1));
    world.disk(NODE).add_fault(DiskFault::new(DiskOperation::Sync, DiskEffect::Lose));
    program(&world, |shard| async move {
        let file = shard.storage().open("file", CREATE).await?;
        write(&shard, &file, 0, &[0xff]).await?;
        file.sync_all().await
    });
    let bytes = world.disk(NODE).read("file").unwrap();
    assert_eq!(bytes.iter().map(|byte| byte.count_zeros()).sum::<u32>(), 1);
    assert_eq!(world.disk(NODE).unsynced_blocks(), 1, "the sync only said so");
}

#[test]
fn tests_damage_wipe_snapshot_and_roll_back() {
    let world = world(1);
    let disk = world.disk(NODE);
    let write_blocks = |fill: u8| {
        program(&world, move |shard| async move {
            let create = !shard.storage().exists("file").await?;
            let options = OpenOptions { write: true, create, dsync: true };
            let file = shard.storage().open("file", options).await?;
            write(&shard, &file, 0, &[fill, fill]).await?;
            shard.storage().sync_dir("").await
        });
    };
    write_blocks(1);
    let snapshot = disk.snapshot();
    write_blocks(2);
    assert!(disk.flip_bit("file", 8 * 5_000 + 7));
    assert_eq!(disk.read("file").unwrap()[5_000], 0x82);
    assert!(disk.overwrite("file", 4_095, &[7, 7]));
    world.crash(NODE, CrashKind::PowerLoss);
    assert_eq!(disk.read("file").unwrap()[4_094..4_098], [2, 7, 7, 2]);
    assert!(disk.truncate("file", 100) && !disk.truncate("none", 1));
    assert_eq!(disk.read("file").map(|bytes| bytes.len()), Some(100));
    disk.restore(&snapshot);
    assert_eq!(first_bytes(&disk.read("file").unwrap()), [1, 1]);
    disk.put("other", b"short");
    assert_eq!(disk.read_durable("other").unwrap(), b"short");
    assert!(disk.remove("file") && !disk.remove("file"));
    disk.wipe();
    assert!(disk.paths().is_empty());
    write_blocks(3);
    assert_eq!(first_bytes(&disk.read("file").unwrap()), [3, 3]);
}

#[test]
fn a_dropped_write_happens_all_the_same() {
    let world = world(1);
    program(&world, |shard| async move {
        let file = shard.storage().open("file", CREATE).await?;
        let clock = shard.clock();
        let write = write(&shard, &file, 0, &[7]);
        assert!(clock.timeout(Duration::from_micros(1), write).await.is_none());
        clock.sleep(Duration::from_millis(10)).await;
        assert_eq!(first_bytes(&file.read_at(0, BLOCK).await?), [7]);
        Ok(())
    });
}
