//! The simulated network, as programs see it.
#![expect(clippy::unwrap_used, reason = "a panic of a program fails its test")]

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{CrashKind, Latency, LinkOptions, NodeKey, Run, World, WorldOptions};
use runtime::{
    BootError, DetachedStream, ListenOptions, ReadHalf, Shard, ShardId, Stream, WriteHalf, mailbox,
};

const SERVER: NodeKey = NodeKey(1);
const CLIENT: NodeKey = NodeKey(2);
const PORT: u16 = 7000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn world(seed: u64) -> World {
    World::new(WorldOptions::new(seed))
}

fn server_address() -> SocketAddr {
    SocketAddr::new(SERVER.ip(), PORT)
}

/// Sends everything back; one fiber a connection.
fn start_echo(world: &World, node: NodeKey, address: &'static str, shards: u16) -> Run<BootError> {
    world.start(node, shards, move |shard: Shard| async move {
        let options = ListenOptions { reuse_port: true };
        let listener = shard.network().listen(address.parse().unwrap(), options).await.unwrap();
        shard.fibers().spawn_daemon("accept", {
            let fibers = shard.fibers().clone();
            async move {
                while let Ok(stream) = listener.accept().await {
                    let (read, write) = stream.split();
                    fibers.spawn_daemon("echo", echo(read, write));
                }
            }
        });
        shard.stopping().await;
        Ok(())
    })
}

async fn echo(mut read: ReadHalf, mut write: WriteHalf) {
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        if write.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}

async fn read_exactly(read: &mut ReadHalf, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match read.read(&mut bytes[done..]).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => done += count,
        }
    }
    Ok(bytes)
}

/// Runs a client program to its end.
fn client<Fut>(world: &World, main: impl Fn(Shard) -> Fut + Send + Sync + Clone + 'static)
where
    Fut: Future<Output = io::Result<()>> + 'static,
{
    let run = start_client(world, CLIENT, main);
    assert_eq!(world.run_until(|_| run.has_ended(), 10 * MINUTE), Ok(true));
}

fn start_client<Fut>(
    world: &World,
    node: NodeKey,
    main: impl Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
) -> Run<BootError>
where
    Fut: Future<Output = io::Result<()>> + 'static,
{
    world.start(node, 1, move |shard| {
        let life = main(shard);
        async move {
            if let Err(error) = life.await {
                panic!("{error}");
            }
            Ok(())
        }
    })
}

#[test]
fn bytes_come_back_whole_and_in_order() {
    for seed in 0..10 {
        let world = world(seed);
        drop(start_echo(&world, SERVER, "0.0.0.0:7000", 2));
        client(&world, |shard| async move {
            let stream = shard.network().connect(server_address()).await?;
            assert_eq!(stream.peer_addr(), server_address());
            let (mut read, mut write) = stream.split();
            let sent: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
            let reader = shard.fibers().spawn("reader", async move {
                let bytes = read_exactly(&mut read, 100_000).await.unwrap();
                assert!(read.read(&mut []).await.is_ok());
                bytes
            });
            for part in sent.chunks(777) {
                write.write_all(part).await?;
            }
            assert_eq!(reader.await, Some(sent));
            Ok(())
        });
    }
}

#[test]
fn a_delay_law_rules_each_direction() {
    let world = world(1);
    let slow = LinkOptions::reliable(Latency::fixed(Duration::from_millis(300)));
    let fast = LinkOptions::reliable(Latency::fixed(Duration::from_millis(10)));
    world.network().set_link(CLIENT, SERVER, slow);
    world.network().set_link(SERVER, CLIENT, fast);
    drop(start_echo(&world, SERVER, "10.0.0.1:7000", 1));
    client(&world, |shard| async move {
        let start = shard.clock().now();
        let (mut read, mut write) = shard.network().connect(server_address()).await?.split();
        let connected = shard.clock().now();
        write.write_all(b"x").await?;
        read_exactly(&mut read, 1).await?;
        for took in [connected.since(start), shard.clock().now().since(connected)] {
            assert!((310..312).contains(&took.as_millis()), "{took:?}");
        }
        Ok(())
    });
}

#[test]
fn refused_while_the_process_is_dead_and_timed_out_while_the_machine_is_off() {
    let world = world(1);
    world.add_node(SERVER);
    let connect = |world: &World, expected: ErrorKind, seconds: std::ops::Range<u64>| {
        client(world, move |shard| {
            let seconds = seconds.clone();
            async move {
                let start = shard.clock().now();
                let error = shard.network().connect(server_address()).await.err();
                assert_eq!(error.map(|error| error.kind()), Some(expected));
                let took = shard.clock().now().since(start).as_secs();
                assert!(seconds.contains(&took), "{took}");
                Ok(())
            }
        });
    };
    connect(&world, ErrorKind::ConnectionRefused, 0..1);
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    world.crash(SERVER, CrashKind::Kill);
    connect(&world, ErrorKind::ConnectionRefused, 0..1);
    world.crash(SERVER, CrashKind::PowerLoss);
    connect(&world, ErrorKind::TimedOut, 20..21);
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    world.network().cut(SERVER, CLIENT);
    connect(&world, ErrorKind::TimedOut, 20..21);
    let healer = start_client(&world, CLIENT, |shard| async move {
        let start = shard.clock().now();
        shard.network().connect(server_address()).await?;
        assert!((3..4).contains(&shard.clock().now().since(start).as_secs()));
        Ok(())
    });
    world.run_for(2 * SECOND).unwrap();
    world.network().heal(SERVER, CLIENT);
    assert_eq!(world.run_until(|_| healer.has_ended(), MINUTE), Ok(true));
}

/// A client that sends a byte every 100 ms and counts those that come back.
fn start_pinger(world: &World, outcome: &Arc<Mutex<Option<ErrorKind>>>) -> Arc<AtomicU64> {
    let answers = Arc::new(AtomicU64::new(0));
    let (counter, outcome) = (Arc::clone(&answers), Arc::clone(outcome));
    drop(start_client(world, CLIENT, move |shard| {
        let (counter, outcome) = (Arc::clone(&counter), Arc::clone(&outcome));
        async move {
            let stream = shard.network().connect(server_address()).await?;
            let (mut read, mut write) = stream.split();
            let reader = shard.fibers().spawn("reader", async move {
                loop {
                    match read_exactly(&mut read, 1).await {
                        Ok(_) => counter.fetch_add(1, Ordering::Relaxed),
                        Err(error) => return error.kind(),
                    };
                }
            });
            let clock = shard.clock().clone();
            shard.fibers().spawn_daemon("pinger", async move {
                while write.write_all(b"p").await.is_ok() {
                    clock.sleep(SECOND / 10).await;
                }
            });
            *outcome.lock().unwrap() = reader.await;
            Ok(())
        }
    }));
    answers
}

#[test]
fn a_short_cut_of_either_way_delays_and_loses_nothing() {
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let world = world(1);
        let outcome = Arc::default();
        drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
        let answers = start_pinger(&world, &outcome);
        world.run_for(SECOND).unwrap();
        let before = answers.load(Ordering::Relaxed);
        assert!((9..=11).contains(&before), "{before}");
        world.network().cut(from, to);
        world.run_for(5 * SECOND).unwrap();
        assert!(answers.load(Ordering::Relaxed) <= before + 1);
        world.network().heal(from, to);
        world.run_for(SECOND).unwrap();
        let after = answers.load(Ordering::Relaxed);
        assert!((66..=71).contains(&after), "{after}");
        assert_eq!(*outcome.lock().unwrap(), None);
    }
}

#[test]
fn a_long_cut_of_either_way_breaks_the_connection_at_the_sender() {
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        let world = world(1);
        let outcome = Arc::default();
        drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
        drop(start_pinger(&world, &outcome));
        world.run_for(SECOND).unwrap();
        world.network().cut(from, to);
        world.run_for(14 * SECOND).unwrap();
        assert_eq!(*outcome.lock().unwrap(), None);
        world.run_for(2 * SECOND).unwrap();
        assert_eq!(*outcome.lock().unwrap(), Some(ErrorKind::TimedOut));
        world.network().heal_all();
        world.run_for(SECOND).unwrap();
        assert_eq!(world.network().connections(CLIENT, SERVER), 0);
    }
}

#[test]
fn a_killed_server_is_noticed_at_once_and_one_without_power_is_not() {
    let world = world(1);
    let outcome = Arc::default();
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    drop(start_pinger(&world, &outcome));
    world.run_for(SECOND).unwrap();
    world.crash(SERVER, CrashKind::Kill);
    world.run_for(SECOND / 10).unwrap();
    let ending = outcome.lock().unwrap().take();
    assert!(matches!(ending, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)));

    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    drop(start_pinger(&world, &outcome));
    world.run_for(SECOND).unwrap();
    world.crash(SERVER, CrashKind::PowerLoss);
    world.run_for(5 * SECOND).unwrap();
    assert_eq!(*outcome.lock().unwrap(), None, "half open");
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    world.run_for(SECOND).unwrap();
    assert_eq!(*outcome.lock().unwrap(), Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_reader_that_does_not_read_holds_its_writer_up() {
    let world = world(1);
    let window = world.network().options().window as u64;
    drop(world.start::<BootError, _, _>(SERVER, 1, |shard: Shard| async move {
        let address = "0.0.0.0:7000".parse().unwrap();
        let listener = shard.network().listen(address, ListenOptions::default()).await.unwrap();
        let (mut read, _write) = listener.accept().await.unwrap().split();
        shard.clock().sleep(10 * SECOND).await;
        read_exactly(&mut read, 1000).await.unwrap();
        shard.stopping().await;
        Ok(())
    }));
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    drop(start_client(&world, CLIENT, move |shard| {
        let counter = Arc::clone(&counter);
        async move {
            let (_read, mut write) = shard.network().connect(server_address()).await?.split();
            loop {
                write.write_all(&[1; 100]).await?;
                counter.fetch_add(100, Ordering::Relaxed);
            }
        }
    }));
    world.run_for(5 * SECOND).unwrap();
    assert_eq!(written.load(Ordering::Relaxed), window / 100 * 100);
    world.run_for(10 * SECOND).unwrap();
    assert_eq!(written.load(Ordering::Relaxed), (window + 1000) / 100 * 100);
}

#[test]
fn a_writer_without_room_notices_that_the_other_machine_is_off() {
    let world = world(1);
    drop(world.start::<BootError, _, _>(SERVER, 1, |shard: Shard| async move {
        let address = "0.0.0.0:7000".parse().unwrap();
        let listener = shard.network().listen(address, ListenOptions::default()).await.unwrap();
        let _halves = listener.accept().await.unwrap().split();
        shard.stopping().await;
        Ok(())
    }));
    let run = start_client(&world, CLIENT, |shard| async move {
        let (_read, mut write) = shard.network().connect(server_address()).await?.split();
        let error = write.write_all(&vec![1; 1 << 20]).await.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::TimedOut));
        Ok(())
    });
    world.run_for(10 * SECOND).unwrap();
    world.crash(SERVER, CrashKind::PowerLoss);
    world.run_for(14 * SECOND).unwrap();
    assert!(!run.has_ended());
    assert_eq!(world.run_until(|_| run.has_ended(), 3 * SECOND), Ok(true));
}

#[test]
fn shutdown_and_drop_end_a_connection_behind_what_was_written() {
    let world = world(1);
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    client(&world, |shard| async move {
        let (mut read, mut write) = shard.network().connect(server_address()).await?.split();
        write.write_all(b"abc").await?;
        assert_eq!(read_exactly(&mut read, 3).await?, b"abc");
        write.shutdown();
        assert_eq!(read.read(&mut [0; 8]).await?, 0);
        assert!(write.write_all(b"d").await.is_err());
        drop(shard.network().connect(server_address()).await?);
        shard.clock().sleep(SECOND).await;
        Ok(())
    });
    assert_eq!(world.network().connections(CLIENT, SERVER), 0);
}

#[test]
fn resets_reach_both_ends() {
    let world = world(1);
    let outcome = Arc::default();
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    drop(start_pinger(&world, &outcome));
    world.run_for(SECOND).unwrap();
    assert_eq!(world.network().connections(SERVER, CLIENT), 1);
    world.network().reset(SERVER, CLIENT);
    world.run_for(SECOND / 100).unwrap();
    assert_eq!(*outcome.lock().unwrap(), Some(ErrorKind::ConnectionReset));
    assert!(!world.fiber_names(SERVER).contains(&"echo"));
}

#[test]
fn unreliable_links_reset_refuse_and_corrupt() {
    let world = world(1);
    let reliable = world.network().link(CLIENT, SERVER);
    drop(start_echo(&world, SERVER, "0.0.0.0:7000", 1));
    let options = LinkOptions { corrupt_one_in: 1, loss_one_in: 3, ..reliable };
    world.network().set_link(CLIENT, SERVER, options);
    client(&world, |shard| async move {
        let (mut read, mut write) = shard.network().connect(server_address()).await?.split();
        write.write_all(&[0; 64]).await?;
        let bits: u32 = read_exactly(&mut read, 64).await?.iter().map(|b| b.count_ones()).sum();
        assert_eq!(bits, 1);
        Ok(())
    });
    world.network().set_link(CLIENT, SERVER, LinkOptions { reset_one_in: 1, ..reliable });
    client(&world, |shard| async move {
        let (_, mut write) = shard.network().connect(server_address()).await?.split();
        write.write_all(b"x").await?;
        let error = write.write_all(b"x").await.err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::ConnectionReset));
        Ok(())
    });
    world.network().set_link(CLIENT, SERVER, LinkOptions { refuse_one_in: 1, ..reliable });
    client(&world, |shard| async move {
        let error = shard.network().connect(server_address()).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
}

#[test]
fn loopback_addresses_of_several_nodes_work_as_configured() {
    let world = world(1);
    drop(start_echo(&world, NodeKey(11), "127.0.0.1:4001", 1));
    drop(start_echo(&world, NodeKey(12), "127.0.0.1:4002", 1));
    world.network().register("[::1]:4003".parse().unwrap(), NodeKey(13));
    drop(start_echo(&world, NodeKey(13), "[::1]:4003", 1));
    world.run_for(SECOND).unwrap();
    client(&world, |shard| async move {
        for address in ["127.0.0.1:4001", "127.0.0.1:4002", "[::1]:4003"] {
            let stream = shard.network().connect(address.parse().unwrap()).await?;
            let (mut read, mut write) = stream.split();
            write.write_all(b"x").await?;
            read_exactly(&mut read, 1).await?;
        }
        let nobody = shard.network().connect("127.0.0.1:4004".parse().unwrap()).await;
        assert_eq!(nobody.err().map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
    world.network().cut(CLIENT, NodeKey(12));
    client(&world, |shard| async move {
        shard.network().connect("127.0.0.1:4001".parse().unwrap()).await?;
        let cut = shard.network().connect("127.0.0.1:4002".parse().unwrap()).await;
        assert_eq!(cut.err().map(|error| error.kind()), Some(ErrorKind::TimedOut));
        Ok(())
    });
}

#[test]
fn listeners_share_a_port_only_when_all_agree() {
    let world = world(1);
    client(&world, |shard| async move {
        let network = shard.network();
        let (alone, shared) = (ListenOptions::default(), ListenOptions { reuse_port: true });
        let address = "0.0.0.0:80".parse().unwrap();
        let first = network.listen(address, shared).await?;
        let second = network.listen(address, shared).await?;
        let third = network.listen(address, alone).await.err().map(|error| error.kind());
        assert_eq!(third, Some(ErrorKind::AddrInUse));
        drop((first, second));
        network.listen(address, alone).await?;
        let foreign = network.listen("10.0.0.77:80".parse().unwrap(), alone).await;
        assert_eq!(foreign.err().map(|e| e.kind()), Some(ErrorKind::AddrNotAvailable));
        let any = network.listen("127.0.0.1:0".parse().unwrap(), alone).await?;
        assert_ne!(any.local_addr().port(), 0);
        Ok(())
    });
}

#[test]
fn a_detached_stream_goes_to_another_shard_with_all_its_bytes() {
    let world = world(1);
    let (sender, receiver) = mailbox::<DetachedStream>(4);
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    drop(world.start::<BootError, _, _>(SERVER, 2, move |shard: Shard| {
        let (sender, receiver) = (sender.clone(), Arc::clone(&receiver));
        async move {
            if shard.id() == ShardId(0) {
                let address = "0.0.0.0:7000".parse().unwrap();
                let options = ListenOptions::default();
                let listener = shard.network().listen(address, options).await.unwrap();
                loop {
                    let stream = listener.accept().await.unwrap();
                    shard.clock().sleep(SECOND / 10).await;
                    assert!(sender.send_all(&mut vec![stream.detach()]).await.is_ok());
                }
            }
            let mut receiver = receiver.lock().unwrap().take().unwrap();
            let mut streams = Vec::new();
            for turn in 0.. {
                assert!(receiver.recv_all(&mut streams).await.is_ok());
                for detached in streams.drain(..) {
                    if turn == 0 {
                        let stream: Stream = detached.attach(&shard).unwrap();
                        let (read, write) = stream.split();
                        shard.fibers().spawn_daemon("echo", echo(read, write));
                    }
                }
            }
            Ok(())
        }
    }));
    client(&world, |shard| async move {
        let (mut read, mut write) = shard.network().connect(server_address()).await?.split();
        write.write_all(b"early").await?;
        assert_eq!(read_exactly(&mut read, 5).await?, b"early");
        let (mut read, _write) = shard.network().connect(server_address()).await?.split();
        assert_eq!(read.read(&mut [0; 5]).await?, 0, "dropped while it was detached");
        Ok(())
    });
}
