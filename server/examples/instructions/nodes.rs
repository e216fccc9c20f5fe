//! Whole nodes and a client of theirs in a simulated world: 256 bytes a put, 100 in flight.
//!
//! The simulated disk, network and clock are counted as well, and in this place kernel work is not.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use client::fiber::Client;
use client::{NodeId, Options, Server};
use runtime::sim::{NodeKey, World, WorldOptions};
use runtime::{BootError, FiberGroup, Shard};
use server::config::{ByteSize, Config};
use server::node::NodePlan;
use server::shard;

const IN_FLIGHT: usize = 100;
const PROGRAM: NodeKey = NodeKey(100);
/// Of virtual time.
const LIMIT: Duration = Duration::from_secs(3600);

/// Carries out so many puts on a cluster of so many nodes.
pub(crate) fn puts(nodes: u16, count: usize) {
    let world = World::new(WorldOptions { is_recording: false, ..WorldOptions::new(1) });
    let runs: Vec<_> = (1..=nodes)
        .map(|node| {
            let plan = Arc::new(NodePlan::new(config(node, nodes), |_| {}));
            world.start(NodeKey(node), 1, move |shard: Shard| shard::run(shard, plan.clone()))
        })
        .collect();
    let run = world.start(PROGRAM, 1, move |shard| program(shard, nodes, count));
    let ended = world.run_until(|_| run.has_ended(), LIMIT);
    assert!(matches!(ended, Ok(true)), "the puts end: {ended:?}");
    assert!(runs.iter().all(|run| !run.has_ended()), "the nodes go on");
}

fn config(node: u16, nodes: u16) -> Config {
    let ip = NodeKey(node).ip();
    let listed: String = (1..=nodes)
        .map(|peer| {
            let ip = NodeKey(peer).ip();
            format!("[[nodes]]\nid = {peer}\nreplicate = \"{ip}:9331\"\nservice = \"{ip}:9332\"\n")
        })
        .collect();
    let text = format!(
        "[node]\nid = {node}\ncluster = \"counted\"\nshards = 1\n[listen]\n\
         service = \"{ip}:9332\"\nreplicate = \"{ip}:9331\"\n{listed}[[groups]]\nid = 0\n"
    );
    let mut config = Config::parse(&text).expect("a good configuration");
    // So small that the zeros which new log files are filled with are spread over all requests.
    config.rpc.packet_bytes_max = ByteSize::kib(32);
    config.log.segment_bytes = ByteSize::kib(256);
    config.log.batch_bytes_max = ByteSize::kib(64);
    config
}

async fn program(shard: Shard, nodes: u16, count: usize) -> Result<(), BootError> {
    let server = |node: u16| {
        let address = SocketAddr::new(NodeKey(node).ip(), 9332);
        Server { node: NodeId(i32::from(node)), address }
    };
    let servers = (1..=nodes).map(server).collect();
    let client = Client::new(&shard, Options::new(servers, Client::new_process_id(&shard)));
    let client = Rc::new(client.expect("good options"));
    while client.mkdir(b"benchmark").await.is_err() {
        shard.clock().sleep(Duration::from_millis(50)).await;
    }
    let callers = FiberGroup::new(&shard, "callers");
    for caller in 0..IN_FLIGHT {
        let client = Rc::clone(&client);
        drop(callers.spawn("puts", async move {
            let value = [7; 256];
            for call in 0..count / IN_FLIGHT {
                let key = format!("benchmark.key{:08}", (caller * 7 + call) % 1_000);
                client.put(key.as_bytes(), &value).await.expect("no fault");
            }
        }));
    }
    callers.join().await;
    Ok(())
}
