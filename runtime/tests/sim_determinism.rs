//! The same seed gives the same world, and a recording gives it again.
#![expect(clippy::unwrap_used, reason = "a panic of a program fails its test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use runtime::sim::{Beyond, CrashKind, FiberOrder, NodeKey, Recording, World, WorldOptions};
use runtime::{BLOCK, BootError, DirectFile, ListenOptions, OpenOptions, Shard, Stream};

const SERVERS: [NodeKey; 3] = [NodeKey(1), NodeKey(2), NodeKey(3)];
const CLIENTS: [NodeKey; 2] = [NodeKey(101), NodeKey(102)];
const MILLISECOND: Duration = Duration::from_millis(1);

fn start_server(world: &World, node: NodeKey) {
    drop(world.start::<BootError, _, _>(node, 2, |shard: Shard| async move {
        let path = format!("log-{}", shard.id().0);
        let create = !shard.storage().exists(&path).await.unwrap();
        let options = OpenOptions { write: true, create, dsync: true };
        let file = shard.storage().open(&path, options).await.unwrap();
        shard.storage().sync_dir("").await.unwrap();
        let options = ListenOptions { reuse_port: true };
        let address = "0.0.0.0:7000".parse().unwrap();
        let listener = shard.network().listen(address, options).await.unwrap();
        shard.fibers().spawn_daemon("accept", {
            let shard = shard.clone();
            async move {
                while let Ok(stream) = listener.accept().await {
                    let serve = serve(shard.clone(), file.clone(), stream);
                    shard.fibers().spawn_daemon("serve", serve);
                }
            }
        });
        shard.stopping().await;
        Ok(())
    }));
}

/// Logs what it reads, then sends it back.
async fn serve(shard: Shard, file: DirectFile, stream: Stream) {
    let (mut read, mut write) = stream.split();
    loop {
        let mut buffer = shard.buffer(BLOCK);
        let Ok(count @ 1..) = read.read(&mut buffer).await else { return };
        buffer[count..].fill(0);
        let block = shard.random().below(64);
        let data = buffer.freeze();
        let logged = file.write_at(&data, 0..BLOCK, block * BLOCK as u64).await;
        if logged.is_err() || write.write_all(&data[..count]).await.is_err() {
            return;
        }
    }
}

fn start_client(world: &World, node: NodeKey, answers: &Arc<AtomicU64>) {
    let answers = Arc::clone(answers);
    drop(world.start::<BootError, _, _>(node, 1, move |shard: Shard| {
        let answers = Arc::clone(&answers);
        async move {
            while !shard.is_stopping() {
                let server = SERVERS[shard.random().below(3) as usize];
                let address = std::net::SocketAddr::new(server.ip(), 7000);
                let call = call(&shard, address, &answers);
                let _ = shard.clock().timeout(20 * MILLISECOND, call).await;
            }
            Ok(())
        }
    }));
}

async fn call(shard: &Shard, address: std::net::SocketAddr, answers: &AtomicU64) {
    let Ok(stream) = shard.network().connect(address).await else { return };
    let (mut read, mut write) = stream.split();
    let mut message = [0; 64];
    for _ in 0..10 {
        shard.random().fill(&mut message);
        if write.write_all(&message).await.is_err() {
            return;
        }
        let mut done = 0;
        while done < message.len() {
            match read.read(&mut [0; 64]).await {
                Ok(count @ 1..) => done += count,
                _ => return,
            }
        }
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Servers, clients and trouble; returns the hash and the number of answers.
fn run(world: &World) -> (u64, u64) {
    let answers = Arc::new(AtomicU64::new(0));
    SERVERS.iter().for_each(|node| start_server(world, *node));
    CLIENTS.iter().for_each(|node| start_client(world, *node, &answers));
    for _ in 0..10 {
        world.run_for(10 * MILLISECOND).unwrap();
        let node = SERVERS[world.choose("test.node", 3) as usize];
        match world.choose("test.trouble", 7) {
            0 => {}
            1 => world.crash(node, CrashKind::Kill),
            2 => world.crash(node, CrashKind::PowerLoss),
            3 => world.pause(node),
            4 => world.network().cut(node, CLIENTS[0]),
            5 => world.set_drift(node, 10_000),
            _ => world.network().reset(node, CLIENTS[1]),
        }
        world.run_for(10 * MILLISECOND).unwrap();
        world.network().heal_all();
        world.resume(node);
        if !world.is_running(node) {
            start_server(world, node);
        }
    }
    (world.trace_hash(), answers.load(Ordering::Relaxed))
}

fn options(seed: u64) -> WorldOptions {
    let fiber_order = if seed.is_multiple_of(2) { FiberOrder::Fifo } else { FiberOrder::Seeded };
    WorldOptions { fiber_order, ..WorldOptions::new(seed) }
}

#[test]
fn same_seed_same_hash_other_seed_other_hash() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let first = run(&World::new(options(seed)));
        assert_eq!(first, run(&World::new(options(seed))), "seed {seed}");
        assert!(first.1 > 100, "seed {seed} gave {} answers", first.1);
        hashes.insert(first.0);
    }
    assert_eq!(hashes.len(), 50);
}

#[test]
fn a_recording_repeats_its_run_through_text() {
    for seed in 0..5 {
        let world = World::new(options(seed));
        let outcome = run(&world);
        let recording = Recording::from_text(&world.recording().to_text()).unwrap();
        let unrecorded = World::new(WorldOptions { is_recording: false, ..options(seed) });
        assert_eq!(run(&unrecorded), outcome);
        assert!(unrecorded.recording().is_empty());
        let other = WorldOptions { seed: 999, ..options(seed) };
        let replay = World::replay(other, &recording, Beyond::Zero);
        assert_eq!(run(&replay), outcome);
        assert_eq!(replay.recording(), recording);
    }
}

#[test]
fn a_tape_of_zeros_is_a_world_without_trouble() {
    let world = World::replay(options(0), &Recording::default(), Beyond::Zero);
    let (_, answers) = run(&world);
    assert!(answers > 500, "{answers}");
    assert!(world.recording().iter().all(|(_, value)| value == 0));
}

#[test]
fn taming_a_site_leaves_the_others_as_they_were() {
    let world = World::new(options(4));
    let (_, with_trouble) = run(&world);
    let mut recording = world.recording();
    recording.tame(|_, site| site == "test.trouble");
    let tamed = World::replay(options(4), &recording, Beyond::Seed(4));
    let (_, answers) = run(&tamed);
    assert!(answers > with_trouble, "{answers} {with_trouble}");
    let values = |recording: &Recording, wanted: &str| -> Vec<u64> {
        recording.iter().filter(|(site, _)| *site == wanted).map(|(_, value)| value).collect()
    };
    assert_eq!(values(&tamed.recording(), "test.node"), values(&recording, "test.node"));
}
