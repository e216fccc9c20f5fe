//! Nodes and their clients in a simulated world.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::fiber::Client;
use client::{GroupId, NodeId, Options, Server};
use runtime::sim::{Ending, NodeKey, Run, World, WorldOptions};
use runtime::{BootError, Shard};
use server::config::{ByteSize, Config};
use server::node::{NodeError, NodePlan};
use server::shard;

/// More virtual time than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Nodes from this one on are programs that use a client.
pub(crate) const PROGRAMS: NodeKey = NodeKey(100);

/// A world of ordinary manners.
pub(crate) fn world(seed: u64) -> World {
    World::new(WorldOptions { is_recording: false, ..WorldOptions::new(seed) })
}

/// The configuration of a node that is a cluster of its own, with one group on each shard.
///
/// Log files are so small that they are filled all the time; that is below what a file may say.
pub(crate) fn config(number: u16, shards: u16) -> Config {
    let ip = NodeKey(number).ip();
    let groups: String = (0..shards).map(|group| format!("[[groups]]\nid = {group}\n")).collect();
    let text = format!(
        "[node]\nid = {number}\ncluster = \"simulated\"\nshards = {shards}\n\
         [listen]\nservice = \"{ip}:9332\"\nreplicate = \"{ip}:9331\"\n{groups}"
    );
    let mut config = Config::parse(&text).unwrap();
    config.rpc.packet_bytes_max = ByteSize::kib(32);
    config.log.segment_bytes = ByteSize::kib(128);
    config.log.batch_bytes_max = ByteSize::kib(16);
    config.log.cache_bytes_max = ByteSize::kib(64);
    config
}

/// Where a node runs.
pub(crate) fn key(config: &Config) -> NodeKey {
    NodeKey(u16::try_from(config.node.id).unwrap())
}

/// The process of a node.
pub(crate) struct Process {
    run: Run<NodeError>,
    ready: Arc<AtomicBool>,
}

impl Process {
    /// Starts it, exactly as the binary does but for the backend.
    pub(crate) fn start(world: &World, config: &Config) -> Process {
        let ready = Arc::new(AtomicBool::new(false));
        let told = ready.clone();
        let on_ready = move |_| told.store(true, Ordering::Relaxed);
        let plan = Arc::new(NodePlan::new(config.clone(), on_ready));
        let shards = u16::try_from(plan.shards()).unwrap();
        let main = move |shard: Shard| shard::run(shard, plan.clone());
        Process { run: world.start(key(config), shards, main), ready }
    }

    /// Whether it has said that it serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// How it ended, if it has.
    pub(crate) fn take_ending(&self) -> Option<Ending<NodeError>> {
        self.run.take_ending()
    }

    /// How it ended, after waiting for that.
    pub(crate) fn ending(&self, world: &World) -> Ending<NodeError> {
        assert_eq!(world.run_until(|_| self.run.has_ended(), LIMIT), Ok(true), "it ends");
        self.run.take_ending().unwrap()
    }
}

/// A client of one group of a node, impatient enough for short lives.
pub(crate) fn client(shard: &Shard, config: &Config, group: i32, connections: usize) -> Client {
    let address = SocketAddr::new(key(config).ip(), config.listen.service.port());
    let server = Server { node: NodeId(config.node.id as i32), address };
    let options = Options {
        group: GroupId(group),
        connections_per_server: connections,
        reconnect_delay_min: Duration::from_millis(1),
        reconnect_delay_max: Duration::from_millis(8),
        search_interval: Duration::from_millis(5),
        call_timeout: Duration::from_secs(1),
        ..Options::new(vec![server], Client::new_process_id(shard))
    };
    Client::new(shard, options).unwrap()
}

/// Runs `program` as a process of its own.
pub(crate) fn start_program<Fut>(
    world: &World,
    node: NodeKey,
    program: impl Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
) where
    Fut: Future<Output = ()> + 'static,
{
    let main = move |shard| {
        let program = program(shard);
        async move {
            program.await;
            Ok::<(), BootError>(())
        }
    };
    // Its end shows in `World::is_running`, and a panic ends the run of the world.
    drop(world.start(node, 1, main));
}
