//! Random trouble against simple truths: streams keep their order, synced blocks stay.
#![expect(clippy::unwrap_used, reason = "a panic of a program fails its test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{
    Atomicity, CrashKind, DiskEffect, DiskFault, DiskOperation, EIO, NodeKey, World, WorldOptions,
};
use runtime::{BLOCK, BootError, ListenOptions, OpenOptions, ReadHalf, Shard};

const SERVER: NodeKey = NodeKey(1);
const CLIENT: NodeKey = NodeKey(2);
const PORT: u16 = 7000;
const SECOND: Duration = Duration::from_secs(1);

/// Byte `position` of every stream.
fn pattern(position: usize) -> u8 {
    (position * 31 + position / 251) as u8
}

fn start_server(world: &World) {
    drop(world.start::<BootError, _, _>(SERVER, 2, |shard: Shard| async move {
        let options = ListenOptions { reuse_port: true };
        let address = format!("0.0.0.0:{PORT}").parse().unwrap();
        let listener = shard.network().listen(address, options).await.unwrap();
        loop {
            let (read, mut write) = listener.accept().await.unwrap().split();
            let (sender, mut receiver) = runtime::channel::<usize>(1);
            shard.fibers().spawn_daemon("check", check(read, sender));
            shard.fibers().spawn_daemon("send", async move {
                let mut done = 0;
                while let Some(count) = receiver.recv().await {
                    let bytes: Vec<u8> = (done..done + count).map(pattern).collect();
                    done += count;
                    if write.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    }));
}

/// Reads the pattern to its end; tells how much came each time.
async fn check(mut read: ReadHalf, came: runtime::Sender<usize>) {
    let mut done = 0;
    let mut buffer = [0; 700];
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        for byte in &buffer[..count] {
            assert_eq!(*byte, pattern(done), "byte {done}");
            done += 1;
        }
        if came.send(count).await.is_err() {
            return;
        }
    }
}

/// Sends the pattern, checks what comes back, connects again when the connection breaks.
fn start_client(world: &World, progress: &Arc<Mutex<u64>>) {
    let progress = Arc::clone(progress);
    drop(world.start::<BootError, _, _>(CLIENT, 1, move |shard: Shard| {
        let progress = Arc::clone(&progress);
        async move {
            loop {
                let address = std::net::SocketAddr::new(SERVER.ip(), PORT);
                let Ok(stream) = shard.network().connect(address).await else { continue };
                let (read, mut write) = stream.split();
                let (sender, mut receiver) = runtime::channel::<usize>(1);
                shard.fibers().spawn_daemon("check", check(read, sender));
                let writer = shard.fibers().spawn("writer", {
                    let clock = shard.clock().clone();
                    async move {
                        let mut done = 0;
                        loop {
                            let bytes: Vec<u8> = (done..done + 1_000).map(pattern).collect();
                            done += bytes.len();
                            if write.write_all(&bytes).await.is_err() {
                                return;
                            }
                            clock.sleep(SECOND / 50).await;
                        }
                    }
                });
                while let Some(count) = receiver.recv().await {
                    *progress.lock().unwrap() += count as u64;
                }
                assert_eq!(writer.await, Some(()));
            }
        }
    }));
}

#[test]
fn streams_keep_their_order_and_go_on_after_any_trouble() {
    for seed in 0..60 {
        let mut options = WorldOptions::new(seed);
        options.network.window = 10_000;
        let world = World::new(options);
        let progress = Arc::default();
        start_server(&world);
        start_client(&world, &progress);
        for _ in 0..30 {
            match world.choose("test.trouble", 9) {
                0 => {}
                1 => world.network().cut(SERVER, CLIENT),
                2 => world.network().cut(CLIENT, SERVER),
                3 => world.network().heal_all(),
                4 => world.network().reset(SERVER, CLIENT),
                5 => world.crash(SERVER, CrashKind::Kill),
                6 => world.crash(SERVER, CrashKind::PowerLoss),
                7 => world.pause(SERVER),
                _ => world.resume(SERVER),
            }
            world.run_for(SECOND * world.choose("test.wait", 8) as u32 / 2).unwrap();
            if !world.is_running(SERVER) && world.choose("test.start", 2) == 0 {
                start_server(&world);
            }
        }
        world.network().heal_all();
        world.resume(SERVER);
        if !world.is_running(SERVER) {
            start_server(&world);
        }
        // Long enough for a half-open connection to be noticed and for attempts to be repeated.
        world.run_for(40 * SECOND).unwrap();
        let before = *progress.lock().unwrap();
        world.run_for(SECOND).unwrap();
        let gained = *progress.lock().unwrap() - before;
        assert!((45_000..=55_000).contains(&gained), "seed {seed}: {gained}");
        assert_eq!(world.network().connections(SERVER, CLIENT), 1, "seed {seed}");
    }
}

/// Last number that each block was written with, and last that a sync covered.
#[derive(Clone, Default)]
struct Truth {
    started: [u32; 8],
    safe: [u32; 8],
}

fn start_writer(world: &World, truth: &Arc<Mutex<Truth>>, is_dsync: bool) {
    let truth = Arc::clone(truth);
    drop(world.start::<BootError, _, _>(SERVER, 1, move |shard: Shard| {
        let truth = Arc::clone(&truth);
        async move {
            let storage = shard.storage();
            let create = !storage.exists("file").await.unwrap();
            let options = OpenOptions { write: true, create, dsync: is_dsync };
            let file = storage.open("file", options).await.unwrap();
            storage.sync_dir("").await.unwrap();
            let mut written = truth.lock().unwrap().safe;
            loop {
                let block = shard.random().below(8) as usize;
                let number = {
                    let mut truth = truth.lock().unwrap();
                    truth.started[block] += 1;
                    truth.started[block]
                };
                let mut buffer = shard.buffer(BLOCK);
                for sector in buffer.chunks_mut(512) {
                    sector.fill(0);
                    sector[..4].copy_from_slice(&number.to_le_bytes());
                }
                let offset = (block * BLOCK) as u64;
                let data = buffer.freeze();
                if file.write_at(&data, 0..BLOCK, offset).await.is_err() {
                    return Ok(());
                }
                written[block] = number;
                if is_dsync {
                    truth.lock().unwrap().safe[block] = number;
                } else if shard.random().below(4) == 0 {
                    if file.sync_data().await.is_err() {
                        return Ok(());
                    }
                    truth.lock().unwrap().safe = written;
                }
            }
        }
    }));
}

#[test]
fn blocks_never_fall_behind_what_a_sync_covered() {
    let mut torn = 0;
    for seed in 0..60 {
        let is_dsync = seed % 3 == 0;
        let mut options = WorldOptions::new(seed);
        if seed % 2 == 0 {
            options.disk.atomicity = Atomicity::Block4096;
        }
        let world = World::new(options);
        let disk = world.disk(SERVER);
        let failure = |operation| DiskFault::new(operation, DiskEffect::Error(EIO)).one_in(300);
        disk.add_fault(failure(DiskOperation::Sync));
        disk.add_fault(failure(DiskOperation::Write));
        let truth = Arc::new(Mutex::new(Truth::default()));
        for _ in 0..20 {
            start_writer(&world, &truth, is_dsync);
            world.run_for(Duration::from_micros(world.choose("test.wait", 20_000))).unwrap();
            world.crash(SERVER, CrashKind::PowerLoss);
            let bytes = disk.read("file").unwrap_or_default();
            let mut truth = truth.lock().unwrap();
            for block in 0..8 {
                let start = (block * BLOCK).min(bytes.len());
                let end = ((block + 1) * BLOCK).min(bytes.len());
                let numbers: Vec<u32> = bytes[start..end]
                    .chunks(512)
                    .map(|sector| u32::from_le_bytes(*sector.first_chunk().unwrap()))
                    .collect();
                let (safe, started) = (truth.safe[block], truth.started[block]);
                let is_possible = |number: &u32| (safe..=started).contains(number);
                assert!(numbers.iter().all(is_possible), "{seed}: {numbers:?} {safe} {started}");
                assert!(!numbers.is_empty() || safe == 0, "{seed}: block {block} is gone");
                let is_torn = numbers.iter().any(|number| *number != numbers[0]);
                assert!(!is_torn || seed % 2 == 1, "{seed}: {numbers:?}");
                torn += usize::from(is_torn);
                // What survived the crash is safe from the next one.
                truth.safe[block] = numbers.iter().min().copied().unwrap_or(0);
            }
        }
    }
    assert!(torn > 50, "{torn}");
}
