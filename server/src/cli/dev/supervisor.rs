//! The parent of a development cluster's nodes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use std::{fs, thread};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::child::NodeProcess;
use super::control::{self, Order};
use super::directory::ClusterDirectory;
use crate::cli::arguments::DevOrder;
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Shards};

/// What the supervisor waits for.
pub(super) enum Event {
    /// A node serves.
    Ready { node: u32, life: u64 },
    /// A node's process has ended.
    Ended { node: u32, life: u64 },
    /// Somebody gave an order.
    Order(Order),
    /// The user wants the end.
    Signal,
}

/// Events that may wait.
const EVENTS_MAX: usize = 64;
/// How long nodes that were asked to stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_POLL: Duration = Duration::from_millis(20);

/// Runs a cluster of `nodes` nodes until a signal comes.
pub(in crate::cli) fn run_cluster(
    nodes: u32,
    keep: Option<PathBuf>,
    base_port: u16,
) -> Result<(), Failure> {
    let directory = ClusterDirectory::of(keep, base_port);
    directory.prepare()?;
    let configs = write_configurations(&directory, nodes, base_port)?;
    let (sender, events) = sync_channel(EVENTS_MAX);
    watch_signals(sender.clone())?;
    let socket = directory.socket();
    control::listen(&socket, sender.clone()).map_err(|error| {
        let message = format!("cannot take orders at {}: {error}", socket.display());
        Failure::new(Exit::Other, message)
    })?;
    let mut supervisor = Supervisor {
        directory: directory.clone(),
        events: sender,
        running: BTreeMap::new(),
        waited_for: configs.iter().map(|config| config.node.id).collect(),
        configs,
        lives: 0,
    };
    let result = supervisor.start_all().and_then(|()| supervisor.run(&events));
    supervisor.stop_all(&events);
    directory.clear();
    result
}

/// Writes the configuration of each node; its CPUs are dealt out in turn.
fn write_configurations(
    directory: &ClusterDirectory,
    nodes: u32,
    base_port: u16,
) -> Result<Vec<Config>, Failure> {
    let cpus = allowed_cpus();
    let mut configs = Vec::new();
    for node in 1..=nodes {
        let mut config = Config::dev_cluster(node, nodes, base_port, directory.data(node));
        if let Some(cpu) = cpus.get((node as usize - 1) % cpus.len().max(1)) {
            config.node.shards = Shards::Cpus(vec![*cpu]);
        }
        if nodes as usize > cpus.len() {
            // Whoever spins on a shared core keeps the other node from its work.
            config.node.spin = Duration::ZERO;
        }
        let text = toml::to_string(&config)
            .map_err(|error| Failure::new(Exit::Other, format!("cannot be written: {error}")))?;
        fs::write(directory.configuration(node), text)?;
        configs.push(config);
    }
    Ok(configs)
}

/// The CPUs that this process may use; empty when the system does not say.
fn allowed_cpus() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    parse_cpus(list.unwrap_or_default().trim()).unwrap_or_default()
}

/// Reads a list such as `0-2,5`.
fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(cpus)
}

fn watch_signals(events: SyncSender<Event>) -> Result<(), Failure> {
    let cannot = |error| Failure::new(Exit::Other, format!("cannot handle signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    // Not joined: it waits for signals as long as the process lives.
    thread::spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::Signal).is_err() {
                return;
            }
        }
    });
    Ok(())
}

struct Supervisor {
    directory: ClusterDirectory,
    configs: Vec<Config>,
    events: SyncSender<Event>,
    /// The nodes that run, each with the number of its life.
    running: BTreeMap<u32, (u64, NodeProcess)>,
    /// The nodes that have not served yet.
    waited_for: Vec<u32>,
    lives: u64,
}

impl Supervisor {
    fn start_all(&mut self) -> Result<(), Failure> {
        for node in self.waited_for.clone() {
            self.start(node).map_err(|why| Failure::new(Exit::Other, why))?;
        }
        Ok(())
    }

    fn start(&mut self, node: u32) -> Result<(), String> {
        if !self.configs.iter().any(|config| config.node.id == node) {
            return Err(format!("the cluster has nodes 1 to {}", self.configs.len()));
        }
        if self.running.contains_key(&node) {
            return Err(format!("node {node} is running"));
        }
        self.lives += 1;
        let started = NodeProcess::start(&self.directory, node, self.lives, &self.events);
        let process = started.map_err(|error| format!("node {node} cannot be started: {error}"))?;
        self.running.insert(node, (self.lives, process));
        Ok(())
    }

    fn kill(&mut self, node: u32) -> Result<(), String> {
        let Some((_, mut process)) = self.running.remove(&node) else {
            return Err(format!("node {node} is not running"));
        };
        self.forget(node);
        process.kill().map_err(|error| format!("node {node} cannot be killed: {error}"))
    }

    fn forget(&self, node: u32) {
        // A leftover says the id of a process that is gone, which does no harm.
        let _ = fs::remove_file(self.directory.process_id(node));
    }

    /// Serves orders until a signal comes, or until a node ends before all have served.
    fn run(&mut self, events: &Receiver<Event>) -> Result<(), Failure> {
        while let Ok(event) = events.recv() {
            match event {
                Event::Signal => return Ok(()),
                Event::Ready { node, life } if self.lives_as(node, life) => self.ready(node),
                Event::Ended { node, life } if self.lives_as(node, life) => self.ended(node)?,
                Event::Ready { .. } | Event::Ended { .. } => {}
                Event::Order(order) => {
                    let result = match order.order {
                        DevOrder::Kill { node } => self.kill(node),
                        DevOrder::Start { node } => self.start(node),
                    };
                    order.answer(result);
                }
            }
        }
        Ok(())
    }

    fn lives_as(&self, node: u32, life: u64) -> bool {
        self.running.get(&node).is_some_and(|(current, _)| *current == life)
    }

    fn ready(&mut self, node: u32) {
        let was_waiting = !self.waited_for.is_empty();
        self.waited_for.retain(|waited_for| *waited_for != node);
        if was_waiting && self.waited_for.is_empty() {
            introduce(&self.configs);
        }
    }

    fn ended(&mut self, node: u32) -> Result<(), Failure> {
        let Some((_, mut process)) = self.running.remove(&node) else { return Ok(()) };
        self.forget(node);
        let how = match process.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let message = format!("node {node} has ended: {how}");
        if !self.waited_for.is_empty() {
            return Err(Failure::new(Exit::Other, message));
        }
        let _ = writeln!(io::stderr(), "{message}; `dongting dev start {node}` starts it again");
        Ok(())
    }

    /// Stops all nodes in order; a second signal, or too long a wait, ends them at once.
    fn stop_all(&mut self, events: &Receiver<Event>) {
        self.running.values_mut().for_each(|(_, process)| process.stop());
        let mut waited = Duration::ZERO;
        while self.running.values_mut().any(|(_, process)| process.ended().is_none()) {
            let wants_end = events.try_iter().any(|event| matches!(event, Event::Signal));
            if wants_end || waited >= STOP_TIMEOUT {
                break;
            }
            thread::sleep(STOP_POLL);
            waited += STOP_POLL;
        }
        for (node, (_, mut process)) in std::mem::take(&mut self.running) {
            if process.ended().is_none() {
                // It may just have ended; there is nothing more to be done about it.
                let _ = process.kill();
            }
            self.forget(node);
        }
    }
}

/// Says where the cluster is and what to try first.
fn introduce(configs: &[Config]) {
    let list = |address: fn(&Config) -> String| {
        let each = configs.iter().map(|config| format!("{}={}", config.node.id, address(config)));
        each.collect::<Vec<_>>().join(",")
    };
    let clients = list(|config| config.listen.service.to_string());
    let nodes = list(|config| config.listen.replicate.to_string());
    // Nobody may be reading; the cluster serves all the same.
    let text = format!(
        "ready: clients {clients}; replication and administration {nodes}\n\
         try, in another terminal:\n  \
         dongting --servers {clients} kv put greeting hello\n  \
         dongting --servers {clients} status\n  \
         dongting --servers {clients} bench put\n"
    );
    // All at once: whoever reads may be gone after the first line.
    let _ = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(parse_cpus("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cpus("3"), Some(vec![3]));
        assert_eq!(parse_cpus(""), None);
        assert_eq!(parse_cpus("a-b"), None);
    }
}
