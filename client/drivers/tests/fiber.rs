//! The driver for fibers in a simulated world.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

#[path = "server/answer.rs"]
mod answer;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use client::fiber::Client;
use client::{Error, NodeId, Options, Reason, Server};
use runtime::sim::{CrashKind, NodeKey, World, WorldOptions};
use runtime::{BootError, FiberGroup, ListenOptions, Shard, Stream, race};
use wire::{Packet, Splitter};

use crate::answer::{Manner, Tree};

const PORT: u16 = 9332;
/// Where the client's program runs.
const PROGRAM: NodeKey = NodeKey(100);
const LIMIT: Duration = Duration::from_secs(60);

/// A world with servers 1, 2, … of these manners.
fn world(seed: u64, manners: &[Manner]) -> World {
    let world = World::new(WorldOptions::new(seed));
    for (node, &manner) in (1..).zip(manners) {
        start_server(&world, node, manner);
    }
    world
}

fn start_server(world: &World, node: u16, manner: Manner) {
    let address = SocketAddr::new(NodeKey(node).ip(), PORT);
    drop(world.start::<BootError, _, _>(NodeKey(node), 1, move |shard: Shard| async move {
        let tree = Tree { node: node.into(), manner, values: BTreeMap::new() };
        let tree = Rc::new(RefCell::new(tree));
        let listener = shard.network().listen(address, ListenOptions::default()).await;
        let listener = listener.expect("a free port");
        let accept = async {
            loop {
                let stream = listener.accept().await.expect("a connection");
                shard.fibers().spawn_daemon("connection", serve(stream, tree.clone()));
            }
        };
        race(accept, shard.stopping()).await;
        Ok(())
    }));
}

async fn serve(stream: Stream, tree: Rc<RefCell<Tree>>) {
    let (mut reader, mut writer) = stream.split();
    let splitter = Splitter::new(8 << 20);
    let (mut input, mut buffer, mut output) = (Vec::new(), vec![0; 64 << 10], Vec::new());
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        input.extend_from_slice(&buffer[..count]);
        let mut used = 0;
        while let Some((frame, length)) = splitter.split(&input[used..]).expect("a frame") {
            let packet = Packet::decode(frame).expect("a packet");
            if !tree.borrow_mut().answer(&packet, &mut output) {
                return;
            }
            used += length;
        }
        input.drain(..used);
        if writer.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}

/// Runs a program with a client of `servers` servers to its end.
fn run<Fut>(world: &World, servers: u16, program: fn(Shard, Client) -> Fut)
where
    Fut: Future<Output = ()> + 'static,
{
    start_program(world, servers, program);
    assert!(world.run_until(|world| !world.is_running(PROGRAM), LIMIT).expect("no panic"));
}

fn start_program<Fut>(world: &World, servers: u16, program: fn(Shard, Client) -> Fut)
where
    Fut: Future<Output = ()> + 'static,
{
    drop(world.start::<BootError, _, _>(PROGRAM, 1, move |shard: Shard| async move {
        let address = |node| SocketAddr::new(NodeKey(node).ip(), PORT);
        let server = |node: u16| Server { node: NodeId(node.into()), address: address(node) };
        let servers = (1..=servers).map(server).collect();
        let options = Options::new(servers, Client::new_process_id(&shard));
        let client = Client::new(&shard, options).expect("valid options");
        program(shard, client).await;
        Ok(())
    }));
}

#[test]
fn calls_have_their_replies() {
    run(&world(1, &[Manner::Serve]), 1, |_, client| async move {
        assert!(!client.mkdir(b"d").await.expect("a reply").created);
        assert!(!client.put(b"d.a", b"1").await.expect("a reply").overwritten);
        let node = client.get(b"d.a").await.expect("a reply").expect("a node");
        assert_eq!(node.value, b"1");
        let swap = client.compare_and_set(b"d.a", Some(b"1"), Some(b"2")).await;
        assert!(swap.expect("a reply").swapped);
        let batch = client.batch_put(&[b"d.a", b"d.b"], &[b"3", b"4"]).await.expect("a reply");
        assert_eq!(batch.overwritten, [Ok(true), Ok(false)]);
        assert_eq!(client.batch_get(&[b"d.a", b"d.c"]).await.expect("a reply")[1], Ok(None));
        assert_eq!(client.list(b"").await.expect("a reply").len(), 2);
        assert_eq!(client.batch_remove(&[b"d.a"]).await.expect("a reply").existed, [Ok(true)]);
        assert!(client.remove(b"d.b").await.expect("a reply").existed);
        assert_eq!(client.query_status(NodeId(1)).await.expect("a reply").node_id, 1);
        assert!(client.kv_status(NodeId(1)).await.is_ok());
        assert_eq!(client.ping(NodeId(1), b"hello").await, Ok(b"hello".to_vec()));
        let large = vec![7; 1 << 20];
        client.put(b"large", &large).await.expect("a reply");
        assert!(client.get(b"large").await.is_ok_and(|n| n.is_some_and(|n| n.value == large)));
    });
}

#[test]
fn hint_leads_to_the_leader() {
    run(&world(2, &[Manner::PointToNode2, Manner::Serve]), 2, |_, client| async move {
        client.put(b"a", b"1").await.expect("a reply");
        client.put(b"b", b"1").await.expect("a reply");
        assert_eq!(client.leader(), Some(NodeId(2)));
    });
}

#[test]
fn lost_answers_leave_the_outcome_of_writes_open() {
    run(&world(3, &[Manner::Ignore]), 1, |shard, client| async move {
        let start = shard.clock().now();
        let put = client.put(b"a", b"1").await;
        assert_eq!(put, Err(Error::OutcomeUnknown(Reason::Timeout)));
        let waited = shard.clock().now().since(start);
        assert!((Duration::from_secs(5)..Duration::from_millis(5_001)).contains(&waited));
        assert_eq!(client.get(b"a").await, Err(Error::Unavailable(Reason::Timeout)));
    });
    run(&world(4, &[Manner::HangUp]), 1, |_, client| async move {
        let put = client.put(b"a", b"1").await;
        assert_eq!(put, Err(Error::OutcomeUnknown(Reason::Disconnected)));
        assert_eq!(client.get(b"a").await, Err(Error::Unavailable(Reason::Disconnected)));
    });
    run(&world(5, &[]), 1, |_, client| async move {
        let put = client.put(b"a", b"1").await;
        assert_eq!(put, Err(Error::Unavailable(Reason::NoConnection)));
    });
}

#[test]
fn many_fibers_share_a_client() {
    run(&world(6, &[Manner::Serve]), 1, |shard, client| async move {
        let group = FiberGroup::new(&shard, "callers");
        let done = Rc::new(Cell::new(0));
        for fiber in 0..100 {
            let (client, done) = (client.clone(), done.clone());
            let calls = async move {
                let key = format!("key{fiber}");
                for round in 0..20_u32 {
                    let value = round.to_le_bytes();
                    client.put(key.as_bytes(), &value).await.expect("a reply");
                    let node = client.get(key.as_bytes()).await.expect("a reply");
                    assert_eq!(node.expect("a node").value, value);
                    done.set(done.get() + 1);
                }
            };
            drop(group.spawn("caller", calls));
        }
        group.join().await;
        assert_eq!(done.get(), 2_000);
    });
}

#[test]
fn dropped_calls_leave_room_for_others() {
    run(&world(7, &[Manner::Ignore]), 1, |shard, client| async move {
        let clock = shard.clock();
        for _ in 0..10 {
            let call = clock.timeout(Duration::from_millis(10), client.put(b"a", b"1"));
            assert!(call.await.is_none(), "nobody answers");
        }
        // Finished, and dropped before it was looked at.
        let mut ping = Box::pin(client.ping(NodeId(1), b"hello"));
        assert!(clock.timeout(Duration::ZERO, &mut ping).await.is_none());
        clock.sleep(Duration::from_secs(1)).await;
        drop(ping);
        assert_eq!(client.ping(NodeId(1), b"hello").await, Ok(b"hello".to_vec()));
    });
}

#[test]
fn killed_server_is_found_again() {
    let world = world(8, &[Manner::Serve]);
    start_program(&world, 1, |shard, client| async move {
        client.put(b"a", b"1").await.expect("a reply");
        // The server dies within the first of these seconds and is back after the second.
        shard.clock().sleep(Duration::from_secs(3)).await;
        assert_eq!(client.get(b"a").await, Ok(None), "it has a new tree");
    });
    world.run_for(Duration::from_secs(1)).expect("no panic");
    world.crash(NodeKey(1), CrashKind::Kill);
    world.run_for(Duration::from_secs(1)).expect("no panic");
    start_server(&world, 1, Manner::Serve);
    assert!(world.run_until(|world| !world.is_running(PROGRAM), LIMIT).expect("no panic"));
}

#[test]
fn cut_off_leader_is_left_for_its_successor() {
    let world = world(9, &[Manner::Serve]);
    start_program(&world, 2, |shard, client| async move {
        client.put(b"a", b"1").await.expect("a reply");
        assert_eq!(client.leader(), Some(NodeId(1)));
        // Within this second the leader is cut off, and node 2 takes over.
        shard.clock().sleep(Duration::from_secs(1)).await;
        let put = client.put(b"a", b"2").await;
        assert_eq!(put, Err(Error::OutcomeUnknown(Reason::Timeout)));
        client.put(b"a", b"3").await.expect("a reply");
        assert_eq!(client.leader(), Some(NodeId(2)));
    });
    world.run_for(Duration::from_millis(500)).expect("no panic");
    world.network().split(&[PROGRAM], &[NodeKey(1)]);
    start_server(&world, 2, Manner::Serve);
    assert!(world.run_until(|world| !world.is_running(PROGRAM), LIMIT).expect("no panic"));
}

#[test]
fn fibers_end_with_the_last_clone() {
    let world = world(10, &[Manner::Serve]);
    start_program(&world, 1, |shard, client| async move {
        client.clone().put(b"a", b"1").await.expect("a reply");
        drop(client);
        shard.clock().sleep(Duration::from_secs(1)).await;
    });
    world.run_for(Duration::from_millis(500)).expect("no panic");
    assert_eq!(world.fiber_names(PROGRAM), ["main"]);
    assert_eq!(world.network().connections(PROGRAM, NodeKey(1)), 0);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let hash = |seed| {
        let world = world(seed, &[Manner::PointToNode2, Manner::Serve]);
        run(&world, 2, |_, client| async move {
            for number in 0..50_u32 {
                client.put(b"a", &number.to_le_bytes()).await.expect("a reply");
            }
        });
        world.trace_hash()
    };
    assert_eq!(hash(11), hash(11));
    assert_ne!(hash(11), hash(12));
}
