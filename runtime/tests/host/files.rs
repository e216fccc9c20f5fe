//! Real files.

use std::io::ErrorKind;
use std::rc::Rc;

use runtime::{
    BLOCK, BootPlan, DirectFile, FiberGroup, OpenOptions, Shard, ShardPlacement, SharedBuffer,
    StopHandle, boot,
};

use crate::support::{Failed, data_dir, on_shard};

const NEW: OpenOptions = OpenOptions { write: true, create: true, dsync: false };
const WRITE: OpenOptions = OpenOptions { write: true, create: false, dsync: true };
const READ: OpenOptions = OpenOptions { write: false, create: false, dsync: false };

/// Blocks whose bytes tell which block they belong to.
fn blocks(shard: &Shard, numbers: std::ops::Range<u8>) -> SharedBuffer {
    let mut buffer = shard.buffer(numbers.len() * BLOCK);
    for (block, number) in buffer.chunks_mut(BLOCK).zip(numbers) {
        block.fill(number);
    }
    buffer.freeze()
}

async fn read(file: &DirectFile, offset: u64, len: usize) -> Vec<u8> {
    let bytes = file.read_at(offset, len).await.expect("readable");
    assert!(bytes.chunks(BLOCK).all(|block| block.iter().all(|byte| *byte == block[0])));
    bytes.iter().step_by(BLOCK).copied().collect()
}

#[test]
fn what_was_written_is_read_back_also_after_reopening() {
    on_shard(|shard| async move {
        let storage = shard.storage();
        storage.create_dir_all("a/b").await.expect("made");
        let file = storage.open("a/b/file", NEW).await.expect("made");
        assert_eq!(file.len(), 0);
        let data = blocks(&shard, 1..9);
        file.write_at(&data, 0..8 * BLOCK, 0).await.expect("written");
        // A part from the start, a part from the middle, nothing.
        file.write_at(&data, 0..2 * BLOCK, 8 * BLOCK as u64).await.expect("written");
        file.write_at(&data, 5 * BLOCK..6 * BLOCK, 0).await.expect("written");
        file.write_at(&data, 0..0, 0).await.expect("nothing to do");
        file.sync_data().await.expect("synced");
        file.sync_all().await.expect("synced");
        storage.sync_dir("a/b").await.expect("synced");
        assert_eq!(file.len(), 10 * BLOCK as u64);
        file.clone().close().await.expect("not the last handle");
        assert_eq!(read(&file, 0, 10 * BLOCK).await, [6, 2, 3, 4, 5, 6, 7, 8, 1, 2]);
        file.close().await.expect("closed");

        let file = storage.open("a/b/file", WRITE).await.expect("there");
        assert_eq!(file.len(), 10 * BLOCK as u64);
        file.write_at(&data, 0..BLOCK, BLOCK as u64).await.expect("written and durable");
        assert_eq!(read(&file, 0, 2 * BLOCK).await, [6, 1]);
        // Shorter at the end, empty behind it.
        assert_eq!(read(&file, 9 * BLOCK as u64, 4 * BLOCK).await, [2]);
        assert!(read(&file, 10 * BLOCK as u64, BLOCK).await.is_empty());
        assert!(read(&file, 1 << 40, BLOCK).await.is_empty());
    });
}

#[test]
fn what_lies_behind_the_end_of_a_file_is_never_read() {
    let dir = data_dir();
    std::fs::write(dir.path().join("odd"), [3; 3 * BLOCK - 100]).expect("written");
    let plan = BootPlan::new(ShardPlacement::Count(1), dir.path().to_owned());
    let result = boot(plan, StopHandle::new(), |shard| async move {
        let file = shard.storage().open("odd", READ).await.expect("there");
        assert_eq!(file.len(), 3 * BLOCK as u64 - 100);
        for (offset, len) in [(0, 3 * BLOCK - 100), (1, 2 * BLOCK - 100), (2, BLOCK - 100), (3, 0)]
        {
            let bytes = file.read_at(offset * BLOCK as u64, 4 * BLOCK).await.expect("readable");
            assert_eq!(*bytes, vec![3; len]);
        }
        Ok::<(), Failed>(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn a_batch_buffer_comes_back_whole_after_a_partial_write() {
    on_shard(|shard| async move {
        let file = shard.storage().open("file", NEW).await.expect("made");
        let mut buffer = shard.buffer(64 * BLOCK);
        let start = buffer.as_ptr();
        for round in 1..20u8 {
            let used = usize::from(round) * BLOCK;
            buffer[..used].fill(round);
            let shared = buffer.freeze();
            let reader = shared.clone();
            file.write_at(&shared, 0..used, 0).await.expect("written");
            assert_eq!(reader[used - 1], round);
            let shared = shared.try_reuse().err().expect("a reader has it");
            drop(reader);
            buffer = shared.try_reuse().ok().expect("free again");
            assert_eq!((buffer.len(), buffer.as_ptr()), (64 * BLOCK, start));
            assert_eq!(read(&file, 0, used).await, vec![round; usize::from(round)]);
        }
    });
}

#[test]
fn a_write_whose_future_is_dropped_happens_all_the_same() {
    on_shard(|shard| async move {
        let file = shard.storage().open("file", NEW).await.expect("made");
        let data = blocks(&shard, 7..9);
        let group = FiberGroup::new(&shard, "writers");
        let (writing, bytes) = (file.clone(), data.clone());
        let writer =
            group.spawn("writer", async move { writing.write_at(&bytes, 0..BLOCK, 0).await });
        // The writer starts, then it is dropped at its first await.
        shard.pass().await;
        group.cancel();
        drop(writer);
        while file.len() == 0 {
            shard.pass().await;
        }
        assert_eq!(read(&file, 0, BLOCK).await, [7]);
        assert!(data.try_reuse().is_ok(), "the write gave the memory back");
    });
}

#[test]
fn names_are_listed_in_order_renamed_and_removed() {
    on_shard(|shard| async move {
        let storage = shard.storage();
        storage.create_dir_all("dir").await.expect("made");
        storage.create_dir_all("dir").await.expect("made already");
        for name in ["dir/b", "dir/c", "dir/a"] {
            storage.open(name, NEW).await.expect("made").close().await.expect("closed");
        }
        assert_eq!(storage.list("dir").await.expect("listed"), ["a", "b", "c"]);
        storage.rename("dir/c", "dir/0").await.expect("renamed");
        storage.remove_file("dir/a").await.expect("removed");
        storage.sync_dir("dir").await.expect("synced");
        assert_eq!(storage.list("dir").await.expect("listed"), ["0", "b"]);
        assert!(storage.exists("dir/0").await.expect("known"));
        assert!(!storage.exists("dir/c").await.expect("known"));
        storage.remove_dir_all("dir").await.expect("removed");
        assert!(!storage.exists("dir").await.expect("known"));
    });
}

#[test]
fn errors_have_their_kind_and_name_the_path() {
    on_shard(|shard| async move {
        let storage = shard.storage();
        let missing = storage.open("missing", READ).await.err().expect("missing");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.to_string().contains("missing"), "{missing}");
        storage.open("file", NEW).await.expect("made");
        let twice = storage.open("file", NEW).await.err().expect("there already");
        assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
        let removed = storage.remove_file("missing").await.expect_err("missing");
        assert_eq!(removed.kind(), ErrorKind::NotFound);
        assert!(removed.to_string().contains("missing"), "{removed}");
        for outside in ["../x", "/etc/passwd", "a/../../b"] {
            let error = storage.exists(outside).await.expect_err("outside");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{outside}");
        }
    });
}

#[test]
fn many_files_and_writes_at_once_keep_apart() {
    on_shard(|shard| async move {
        let group = FiberGroup::new(&shard, "writers");
        let shard = Rc::new(shard);
        let mut writers = Vec::new();
        for number in 0..20u8 {
            let shard = Rc::clone(&shard);
            writers.push(group.spawn("writer", async move {
                let file = shard.storage().open(&number.to_string(), NEW).await.expect("made");
                for block in 0..10u64 {
                    let data = blocks(&shard, number..number + 1);
                    file.write_at(&data, 0..BLOCK, block * BLOCK as u64).await.expect("written");
                }
                read(&file, 0, 10 * BLOCK).await
            }));
        }
        for (number, writer) in (0..).zip(writers) {
            assert_eq!(writer.await, Some(vec![number; 10]));
        }
    });
}
