//! Several whole nodes in a simulated world, and programs that use them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::fiber::Client;
use client::{GroupId, NodeId, Options, Server};
use runtime::sim::{CrashKind, Ending, NodeKey, Run, World, WorldOptions};
use runtime::{BootError, Shard};
use server::config::{ByteSize, Config};
use server::node::{NodeError, NodePlan};
use server::shard;

/// More virtual time than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// The first node that is a program with a client.
const PROGRAMS: u16 = 100;

/// A cluster whose nodes are 1, 2, … `size`.
pub(crate) struct Cluster {
    pub(crate) world: World,
    size: u16,
    shards: u16,
    nodes: Vec<Option<Process>>,
    programs: u16,
}

struct Process {
    run: Run<NodeError>,
    ready: Arc<AtomicBool>,
}

impl Cluster {
    /// A cluster of one group, with all nodes started.
    pub(crate) fn start(seed: u64, size: u16) -> Cluster {
        Cluster::with_shards(seed, size, 1)
    }

    /// A cluster with as many groups as each node has shards; the same group lives on different
    /// shards of different nodes.
    pub(crate) fn with_shards(seed: u64, size: u16, shards: u16) -> Cluster {
        let mut cluster = Cluster::without_nodes(seed, size, shards);
        (1..=size).for_each(|node| cluster.start_node(node));
        cluster
    }

    /// A cluster with no node started.
    pub(crate) fn without_nodes(seed: u64, size: u16, shards: u16) -> Cluster {
        let options = WorldOptions { is_recording: false, ..WorldOptions::new(seed) };
        let nodes = (0..size).map(|_| None).collect();
        Cluster { world: World::new(options), size, shards, nodes, programs: PROGRAMS }
    }

    /// The configuration of a node. Log files are smaller than a file may say.
    pub(crate) fn config(&self, node: u16) -> Config {
        let ip = NodeKey(node).ip();
        let mut text = format!(
            "[node]\nid = {node}\ncluster = \"simulated\"\nshards = {}\n\
             [listen]\nservice = \"{ip}:9332\"\nreplicate = \"{ip}:9331\"\n",
            self.shards
        );
        for peer in 1..=self.size {
            let ip = NodeKey(peer).ip();
            text.push_str(&format!(
                "[[nodes]]\nid = {peer}\nreplicate = \"{ip}:9331\"\nservice = \"{ip}:9332\"\n"
            ));
        }
        for group in 0..self.shards {
            let shard = (group + node) % self.shards;
            text.push_str(&format!("[[groups]]\nid = {group}\nshard = {shard}\n"));
        }
        let mut config = Config::parse(&text).unwrap();
        config.rpc.packet_bytes_max = ByteSize::kib(32);
        config.log.segment_bytes = ByteSize::kib(256);
        config.log.batch_bytes_max = ByteSize::kib(16);
        config.log.cache_bytes_max = ByteSize::kib(64);
        config
    }

    /// Starts a node that does not run.
    pub(crate) fn start_node(&mut self, node: u16) {
        self.start_node_with(node, self.config(node));
    }

    /// Starts a node with a configuration of its own.
    pub(crate) fn start_node_with(&mut self, node: u16, config: Config) {
        let ready = Arc::new(AtomicBool::new(false));
        let told = ready.clone();
        let on_ready = move |_| told.store(true, Ordering::Relaxed);
        let plan = Arc::new(NodePlan::new(config, on_ready));
        let main = move |shard: Shard| shard::run(shard, plan.clone());
        let run = self.world.start(NodeKey(node), self.shards, main);
        self.nodes[usize::from(node) - 1] = Some(Process { run, ready });
    }

    /// Crashes a node.
    pub(crate) fn crash(&mut self, node: u16, kind: CrashKind) {
        self.world.crash(NodeKey(node), kind);
        self.nodes[usize::from(node) - 1] = None;
    }

    /// Stops a node in order and waits for its end.
    pub(crate) fn stop_node(&mut self, node: u16) {
        self.world.stop(NodeKey(node));
        let process = self.nodes[usize::from(node) - 1].take().unwrap();
        assert_eq!(self.world.run_until(|_| process.run.has_ended(), LIMIT), Ok(true), "it ends");
        assert!(matches!(process.run.take_ending(), Some(Ending::Good)), "node {node} ends well");
    }

    /// Why a node ends by itself.
    pub(crate) fn ending(&mut self, node: u16) -> String {
        let process = self.nodes[usize::from(node) - 1].take().unwrap();
        assert_eq!(self.world.run_until(|_| process.run.has_ended(), LIMIT), Ok(true), "it ends");
        match process.run.take_ending() {
            Some(Ending::Failed(error)) => error.to_string(),
            _ => panic!("node {node} ends well"),
        }
    }

    /// Whether a node has said that it serves.
    pub(crate) fn is_ready(&self, node: u16) -> bool {
        let process = self.nodes[usize::from(node) - 1].as_ref();
        process.is_some_and(|process| process.ready.load(Ordering::Relaxed))
    }

    /// Waits until every node that runs serves.
    pub(crate) fn wait_ready(&self) {
        let running = || (1..=self.size).filter(|node| self.world.is_running(NodeKey(*node)));
        let all = |_: &World| running().all(|node| self.is_ready(node));
        if self.world.run_until(all, LIMIT) != Ok(true) {
            let waiting: Vec<u16> = running().filter(|node| !self.is_ready(*node)).collect();
            panic!("nodes {waiting:?} do not get ready");
        }
    }

    /// Runs a program with a client to its end.
    pub(crate) fn run<F, Fut>(&mut self, program: F)
    where
        F: Fn(Shard, Client) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let key = self.launch(program);
        self.wait_program(key);
    }

    /// Waits for the end of a program.
    pub(crate) fn wait_program(&self, key: NodeKey) {
        let ended = self.world.run_until(|world| !world.is_running(key), LIMIT);
        assert!(matches!(ended, Ok(true)), "the program ends: {ended:?}");
    }

    /// Starts a program with a client.
    pub(crate) fn launch<F, Fut>(&mut self, program: F) -> NodeKey
    where
        F: Fn(Shard, Client) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let size = self.size;
        self.programs += 1;
        let key = NodeKey(self.programs);
        let main = move |shard: Shard| {
            let client = client_of(&shard, size, 0);
            let program = program(shard, client);
            async move {
                program.await;
                Ok::<(), BootError>(())
            }
        };
        drop(self.world.start(key, 1, main));
        key
    }

    /// The leader of group 0 that every running node agrees on, once there is one.
    pub(crate) fn leader(&mut self) -> u16 {
        let nodes: Vec<u16> =
            (1..=self.size).filter(|node| self.world.is_running(NodeKey(*node))).collect();
        self.leader_among(nodes, 0)
    }

    /// The leader of group 0 that these nodes agree on, once there is one that is not `old`.
    pub(crate) fn leader_among(&mut self, nodes: Vec<u16>, old: u16) -> u16 {
        let found = Arc::new(std::sync::Mutex::new(0));
        let result = found.clone();
        self.run(move |shard, client| {
            let (nodes, result) = (nodes.clone(), result.clone());
            async move {
                let leader = agreed_leader(&shard, &client, &nodes, old).await;
                *result.lock().unwrap() = leader;
            }
        });
        *found.lock().unwrap()
    }
}

/// A client of a group that is impatient enough for short lives.
pub(crate) fn client_of(shard: &Shard, size: u16, group: i32) -> Client {
    let server = |node: u16| {
        let address = SocketAddr::new(NodeKey(node).ip(), 9332);
        Server { node: NodeId(i32::from(node)), address }
    };
    let options = Options {
        group: GroupId(group),
        reconnect_delay_min: Duration::from_millis(5),
        reconnect_delay_max: Duration::from_millis(100),
        search_interval: Duration::from_millis(20),
        call_timeout: Duration::from_secs(1),
        ..Options::new((1..=size).map(server).collect(), Client::new_process_id(shard))
    };
    Client::new(shard, options).unwrap()
}

/// Waits until these nodes agree on a leader that serves and is not `old`.
async fn agreed_leader(shard: &Shard, client: &Client, nodes: &[u16], old: u16) -> u16 {
    loop {
        let mut seen = Vec::new();
        for node in nodes {
            if let Ok(status) = client.query_status(NodeId(i32::from(*node))).await {
                seen.push((status.term, status.leader_id, status.flag));
            }
        }
        if seen.len() == nodes.len()
            && seen.iter().all(|view| *view == seen[0] && view.1 > 0 && view.2 == 5)
            && seen[0].1 != i32::from(old)
        {
            return seen[0].1 as u16;
        }
        shard.clock().sleep(Duration::from_millis(20)).await;
    }
}

/// Puts until the answer is a good one, as a patient caller would.
pub(crate) async fn put_surely(shard: &Shard, client: &Client, key: &str, value: &str) {
    while client.put(key.as_bytes(), value.as_bytes()).await.is_err() {
        shard.clock().sleep(Duration::from_millis(20)).await;
    }
}

/// Reads until the answer is a good one.
pub(crate) async fn get_surely(shard: &Shard, client: &Client, key: &str) -> Option<String> {
    loop {
        if let Ok(node) = client.get(key.as_bytes()).await {
            return node.map(|node| String::from_utf8(node.value).unwrap());
        }
        shard.clock().sleep(Duration::from_millis(20)).await;
    }
}
