//! Three nodes as processes, with a configuration each.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use client::blocking::Client;
use client::{NodeId, Options, Server, new_process_id};
use tempfile::TempDir;

use crate::process::{DEADLINE, Ports, directory, dongting};

/// The nodes' ids.
pub(crate) const NODES: [u32; 3] = [1, 2, 3];

/// The cluster. Its processes end with it.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
    replicate: Vec<SocketAddr>,
    directory: TempDir,
    processes: [Option<NodeProcess>; 3],
    /// What a node's command line begins with: a namespace to run in.
    wrap: fn(u32) -> Vec<String>,
}

struct NodeProcess {
    child: Child,
    /// A node stops when it is closed, so that none outlives a test that is killed.
    input: Option<ChildStdin>,
}

impl Cluster {
    /// Three nodes on this machine; `settings` are further lines of each configuration.
    pub(crate) fn start(settings: &str) -> Cluster {
        let ports = NODES.map(|_| Ports::choose());
        let addresses = ports.map(|ports| {
            let at = |offset| SocketAddr::new(ports.service.ip(), ports.base + offset);
            (at(2), at(1))
        });
        Cluster::start_at(addresses, settings, |_| Vec::new())
    }

    /// Three nodes at these service and replicate addresses.
    pub(crate) fn start_at(
        addresses: [(SocketAddr, SocketAddr); 3],
        settings: &str,
        wrap: fn(u32) -> Vec<String>,
    ) -> Cluster {
        let directory = directory();
        for (node, own) in NODES.into_iter().zip(&addresses) {
            let text = configuration(directory.path(), node, own, &addresses, settings);
            fs::write(directory.path().join(format!("{node}.toml")), text).unwrap();
        }
        let server = |(node, (address, _)): (u32, &(SocketAddr, SocketAddr))| Server {
            node: NodeId(node as i32),
            address: *address,
        };
        let mut cluster = Cluster {
            servers: NODES.into_iter().zip(&addresses).map(server).collect(),
            replicate: addresses.iter().map(|(_, replicate)| *replicate).collect(),
            directory,
            processes: [const { None }; 3],
            wrap,
        };
        NODES.into_iter().for_each(|node| cluster.start_node(node));
        cluster
    }

    /// Starts a node that does not run. What it says is appended to a file.
    pub(crate) fn start_node(&mut self, node: u32) {
        let log = File::options().create(true).append(true).open(self.log(node)).unwrap();
        let config = self.directory.path().join(format!("{node}.toml"));
        let plain = dongting(["serve", "--managed", "--config"]);
        let mut words = (self.wrap)(node);
        words.push(plain.get_program().to_str().unwrap().to_owned());
        words.extend(plain.get_args().map(|word| word.to_str().unwrap().to_owned()));
        let mut command = bare(&words[0]);
        command.args(&words[1..]).arg(config);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        self.processes[place(node)] = Some(NodeProcess { child, input });
    }

    /// Ends a node as a crash would.
    pub(crate) fn kill(&mut self, node: u32) {
        let mut process = self.processes[place(node)].take().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Takes everything away that a node that does not run has stored.
    pub(crate) fn lose_disk(&self, node: u32) {
        assert!(self.processes[place(node)].is_none(), "its process has ended");
        fs::remove_dir_all(self.directory.path().join(format!("data{node}"))).unwrap();
    }

    /// Asks a node to stop, and waits until it has.
    pub(crate) fn stop(&mut self, node: u32) {
        let mut process = self.processes[place(node)].take().unwrap();
        drop(process.input.take());
        let code = process.child.wait().unwrap().code();
        assert_eq!(code, Some(0), "node {node}: {}", self.said(node));
    }

    /// Stops a node in its tracks, or lets it go on.
    pub(crate) fn signal(&self, node: u32, signal: &str) {
        let id = self.processes[place(node)].as_ref().unwrap().child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// A client with so much patience.
    pub(crate) fn client(&self, patience: Duration) -> Client {
        client(&self.servers, patience)
    }

    pub(crate) fn replicate_of(&self, node: u32) -> SocketAddr {
        self.replicate[place(node)]
    }

    /// Waits until all nodes follow one leader and have applied the same, and returns it.
    pub(crate) fn wait_for_leader(&self) -> u32 {
        let begun = Instant::now();
        let mut client = self.client(Duration::from_secs(1));
        loop {
            let views = NODES.map(|node| client.query_status(NodeId(node as i32)).ok());
            let leaders = views.each_ref().map(|view| {
                let view = view.as_ref()?;
                (view.leader_id > 0 && view.flag == 5).then_some((view.leader_id, view.term))
            });
            if let [Some(first), second, third] = leaders
                && [second, third] == [Some(first); 2]
            {
                return first.0 as u32;
            }
            assert!(begun.elapsed() < DEADLINE, "no leader: {views:?}\n{}", self.all_said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self, node: u32) -> PathBuf {
        self.directory.path().join(format!("{node}.log"))
    }

    /// What a node has said in all its lives.
    pub(crate) fn said(&self, node: u32) -> String {
        fs::read_to_string(self.log(node)).unwrap_or_default()
    }

    pub(crate) fn all_said(&self) -> String {
        NODES.map(|node| format!("node {node}:\n{}", self.said(node))).concat()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            // It may have ended already.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// A command without the settings that this process may have in its environment.
pub(crate) fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A client that looks for a leader again and again.
pub(crate) fn client(servers: &[Server], patience: Duration) -> Client {
    let options = Options {
        call_timeout: patience,
        connect_timeout: Duration::from_millis(500),
        reconnect_delay_min: Duration::from_millis(10),
        reconnect_delay_max: Duration::from_millis(100),
        search_interval: Duration::from_millis(20),
        search_timeout: Duration::from_millis(300),
        ..Options::new(servers.to_vec(), new_process_id())
    };
    Client::new(options).unwrap()
}

fn place(node: u32) -> usize {
    node as usize - 1
}

fn configuration(
    directory: &std::path::Path,
    node: u32,
    (service, replicate): &(SocketAddr, SocketAddr),
    all: &[(SocketAddr, SocketAddr); 3],
    settings: &str,
) -> String {
    let data = directory.join(format!("data{node}"));
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = place(node) % cpus;
    let mut text = format!(
        "[listen]\nservice = \"{service}\"\nreplicate = \"{replicate}\"\n\
         [node]\nid = {node}\ndata_dir = {data:?}\nshards = [{cpu}]\n{settings}\n"
    );
    for (id, (service, replicate)) in NODES.into_iter().zip(all) {
        text.push_str(&format!(
            "[[nodes]]\nid = {id}\nservice = \"{service}\"\nreplicate = \"{replicate}\"\n"
        ));
    }
    text
}
