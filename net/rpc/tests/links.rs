//! Links to another node: how they are introduced, what they carry, and how their end is noticed.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc::{
    Connection, Connections, Flow, Handler, Limits, Link, LinkError, LinkOptions, Port, SendQueue,
    TimeBudget, connect,
};
use runtime::sim::{CrashKind, NodeKey, World, WorldOptions};
use runtime::{BootError, ListenOptions, Shard};
use wire::{
    Command, NodeMessage, Packet, PortKind, ProcessId, RespCode, ResponseHead, encode_node_message,
};

const SERVER: NodeKey = NodeKey(1);
const CALLER: NodeKey = NodeKey(2);
const LIMIT: Duration = Duration::from_secs(60);

/// Refuses a hello that says `no`, and keeps what messages say.
struct Listening(Arc<Mutex<Vec<u8>>>);

impl Handler for Listening {
    fn request(&self, connection: &Rc<Connection>, packet: &Packet<'_>, _: TimeBudget) -> Flow {
        match (packet.command, packet.body_bytes()) {
            (Command::NODE_MESSAGE, body) => {
                self.0.lock().unwrap().extend(NodeMessage::decode(body).unwrap().content);
            }
            (_, b"no") => connection.refuse(packet, RespCode::SysError, "not you"),
            (command, body) => {
                let head = ResponseHead::success(command, packet.seq);
                connection.respond(&head, |writer| writer.raw(body));
            }
        }
        Flow::Continue
    }
}

fn address() -> SocketAddr {
    SocketAddr::new(SERVER.ip(), 9331)
}

/// A world with a listening node; what it was told comes into the list.
fn world(seed: u64) -> (World, Arc<Mutex<Vec<u8>>>) {
    let world = World::new(WorldOptions::new(seed));
    let told = Arc::<Mutex<Vec<u8>>>::default();
    let list = told.clone();
    drop(world.start::<BootError, _, _>(SERVER, 1, move |shard: Shard| {
        let list = list.clone();
        async move {
            let listener = shard.network().listen(address(), ListenOptions::default()).await;
            let handler = Rc::new(Listening(list));
            let (connections, fibers) = (Connections::new(), shard.fibers().clone());
            let (kind, limits) = (PortKind::Replicate, Limits::default());
            let port = Port::new(shard.clone(), kind, limits, connections, handler, fibers);
            port.accept(listener.unwrap(), |stream| port.adopt(stream)).await;
            Ok(())
        }
    }));
    (world, told)
}

fn call<Fut>(world: &World, program: impl Fn(Shard) -> Fut + Clone + Send + Sync + 'static)
where
    Fut: Future<Output = ()> + 'static,
{
    drop(world.start::<BootError, _, _>(CALLER, 1, move |shard: Shard| {
        let program = program(shard);
        async move {
            program.await;
            Ok(())
        }
    }));
}

fn wait_for_end(world: &World) {
    assert!(matches!(world.run_until(|world| !world.is_running(CALLER), LIMIT), Ok(true)));
}

async fn link(shard: &Shard, hello: &[u8]) -> Result<Link, LinkError> {
    let options = LinkOptions {
        process: ProcessId { high: 1, low: 2 },
        connect_timeout: Duration::from_secs(2),
        ping_interval: Duration::from_millis(500),
        silence_max: Duration::from_secs(3),
        packet_bytes_max: 1 << 16,
    };
    connect(shard, address(), options, Command::NODE_HELLO, hello).await
}

/// Sends numbers over a link, one after the other, and keeps it up until it breaks.
async fn send_numbers(shard: Shard, count: u8, end: Arc<Mutex<Option<LinkError>>>) {
    let made = link(&shard, b"hello").await.unwrap();
    assert_eq!(made.answer(), b"hello");
    let queue = Rc::new(SendQueue::new(1 << 20));
    queue.open();
    let filled = queue.clone();
    let clock = shard.clock().clone();
    shard.fibers().spawn_daemon("numbers", async move {
        for number in 0..count {
            filled.push(0, |out| encode_node_message(out, 0, 0, &[number], &[]));
            clock.sleep(Duration::from_millis(10)).await;
        }
    });
    *end.lock().unwrap() = Some(made.carry(&queue).await);
}

#[test]
fn what_is_queued_arrives_in_order() {
    for seed in 0..5 {
        let (world, told) = world(seed);
        let end = Arc::<Mutex<Option<LinkError>>>::default();
        let ended = end.clone();
        call(&world, move |shard| send_numbers(shard, 100, ended.clone()));
        // Long enough for many signs of life.
        world.run_for(Duration::from_secs(20)).unwrap();
        assert_eq!(*told.lock().unwrap(), (0..100).collect::<Vec<u8>>(), "seed {seed}");
        assert!(end.lock().unwrap().is_none(), "seed {seed}");
        world.crash(SERVER, CrashKind::Kill);
        wait_for_end(&world);
        let end = end.lock().unwrap().take();
        assert!(matches!(end, Some(LinkError::Closed | LinkError::Io(_))), "{end:?}");
    }
}

#[test]
fn a_machine_without_power_is_noticed_by_its_silence() {
    for seed in 0..5 {
        let (world, _) = world(seed);
        let end = Arc::<Mutex<Option<LinkError>>>::default();
        let ended = end.clone();
        call(&world, move |shard| send_numbers(shard, 100, ended.clone()));
        world.run_for(Duration::from_secs(2)).unwrap();
        let before = world.now();
        world.crash(SERVER, CrashKind::PowerLoss);
        wait_for_end(&world);
        let end = end.lock().unwrap().take();
        assert!(matches!(end, Some(LinkError::Silent)), "seed {seed}: {end:?}");
        assert!(world.now().since(before) < Duration::from_secs(5), "seed {seed}");
    }
}

#[test]
fn a_refusal_says_why_and_an_absent_node_is_an_error() {
    let (world, _) = world(1);
    call(&world, |shard| async move {
        match link(&shard, b"no").await {
            Err(LinkError::Refused { code, text }) => {
                assert_eq!((code, text.as_str()), (RespCode::SysError.number(), "not you"));
            }
            other => panic!("{:?}", other.err()),
        }
    });
    wait_for_end(&world);
    world.crash(SERVER, CrashKind::PowerLoss);
    call(&world, |shard| async move {
        let before = shard.clock().now();
        assert!(link(&shard, b"hello").await.is_err());
        assert!(shard.clock().now().since(before) <= Duration::from_secs(2));
    });
    wait_for_end(&world);
}
