//! Real servers in a small simulated world, watched at every step.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::{NodeId, Server};
use raft_core::GroupId;
use runtime::sim::{
    CrashKind, DirectoryOrder, DiskOptions, Ending, FailureCause, Latency, LinkOptions,
    NetworkOptions, NodeKey, Run, What, World, WorldOptions,
};
use runtime::{BootError, Shard};
use server::config::{ByteSize, Config};
use server::node::{NodeError, NodePlan};
use server::shard;

use super::ledger::{Ledger, Writer, id_of};
use crate::check::Members;
use crate::violation::{Rule, Violation};
use crate::witness::{self, NodeWitness};
use crate::workload::{Errand, Operator};

/// What a stage looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Decides what is left to chance: the times of elections.
    pub seed: u64,
    /// Servers.
    pub nodes: u16,
    /// How many of them are members of the group at first.
    pub founders: u16,
    /// Size of a log file.
    pub segment_kib: u64,
    /// Log after which a snapshot is saved, and the log before it dropped; zero for never.
    pub snapshot_kib: u64,
}

impl Settings {
    /// So many servers, all of them members, that never save a snapshot.
    pub const fn of(nodes: u16) -> Settings {
        Settings { seed: 1, nodes, founders: nodes, segment_kib: 64, snapshot_kib: 0 }
    }
}

/// The one group.
pub const GROUP: GroupId = GroupId(0);
/// The least time without a leader after which a follower stands for election.
pub const ELECTION_TIMEOUT: Duration = Duration::from_millis(100);
/// Most time that anything takes which must come to an end.
const LIMIT: Duration = Duration::from_secs(20);
const FIRST_PROGRAM: u16 = 100;
const FIRST_OPERATOR: u16 = 200;

/// Looks at a world after each of its steps.
type Watcher = Box<dyn FnMut(&World, &Members, &Ledger)>;

/// Acts after each step, before it is looked at.
type Actor = Box<dyn FnMut(&World)>;

/// Servers, their clients, and all that is known of them.
pub struct Stage {
    /// The world.
    pub world: World,
    /// What it looks like.
    pub settings: Settings,
    /// The writes of its clients.
    pub ledger: Ledger,
    processes: Vec<Option<Process>>,
    members: Arc<Mutex<Members>>,
    /// The node whose fiber ran last.
    polled: Rc<Cell<Option<NodeKey>>>,
    watcher: RefCell<Option<Watcher>>,
    before: RefCell<Option<Actor>>,
    programs: u16,
    operators: Vec<Operator>,
    /// A disk fails: its process may end with the error.
    pub may_fail: bool,
}

struct Process {
    run: Run<NodeError>,
    is_ready: Arc<AtomicBool>,
}

impl Stage {
    /// A stage with empty disks, on which nothing runs.
    pub fn new(settings: Settings) -> Stage {
        Stage::with_past(settings, Members::default(), Ledger::default())
    }

    /// A stage whose servers have been seen before.
    pub fn with_past(settings: Settings, mut members: Members, ledger: Ledger) -> Stage {
        let options = WorldOptions {
            is_recording: false,
            disk: disk_options(),
            network: network_options(),
            ..WorldOptions::new(settings.seed)
        };
        let world = World::new(options);
        let polled = Rc::new(Cell::new(None));
        let told = Rc::clone(&polled);
        world.observe(move |happening| {
            if let What::Poll { node, .. } = happening.what {
                told.set(Some(node));
            }
        });
        for number in 1..=settings.nodes {
            world.add_node(NodeKey(number));
            members.died(NodeKey(number));
        }
        Stage {
            world,
            settings,
            ledger,
            processes: (0..settings.nodes).map(|_| None).collect(),
            members: Arc::new(Mutex::new(members)),
            polled,
            watcher: RefCell::default(),
            before: RefCell::default(),
            programs: 0,
            operators: Vec::new(),
            may_fail: false,
        }
    }

    /// The numbers of all servers.
    pub fn nodes(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.settings.nodes
    }

    /// Has everything be looked at after each step, in place of an earlier watcher.
    pub fn watch(&self, watcher: impl FnMut(&World, &Members, &Ledger) + 'static) {
        *self.watcher.borrow_mut() = Some(Box::new(watcher));
    }

    /// Has somebody act after each step, before it is looked at.
    pub fn precede(&self, actor: impl FnMut(&World) + 'static) {
        *self.before.borrow_mut() = Some(Box::new(actor));
    }

    /// What is known of the members.
    pub fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server that does not run.
    pub fn start(&mut self, number: u16) {
        let is_ready = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_ready);
        let on_ready = move |_| told.store(true, Ordering::Relaxed);
        let witness = Arc::new(NodeWitness::new(NodeKey(number), Arc::clone(&self.members)));
        let plan = NodePlan::new(configuration(&self.settings, number), on_ready);
        let plan = Arc::new(plan.with_witness(witness));
        let main = move |shard: Shard| shard::run(shard, plan.clone());
        let run = self.world.start(NodeKey(number), 1, main);
        if let Some(process) = self.processes.get_mut(usize::from(number) - 1) {
            *process = Some(Process { run, is_ready });
        }
    }

    /// Starts all servers.
    pub fn start_all(&mut self) {
        self.nodes().for_each(|number| self.start(number));
    }

    /// Ends a server where it stands.
    pub fn crash(&mut self, number: u16, kind: CrashKind) {
        if let Some(process) = self.processes.get_mut(usize::from(number) - 1) {
            *process = None;
        }
        witness::forget(NodeKey(number));
        self.world.crash(NodeKey(number), kind);
        self.members().died(NodeKey(number));
    }

    /// Whether a server runs.
    pub fn is_running(&self, number: u16) -> bool {
        self.processes.get(usize::from(number) - 1).is_some_and(Option::is_some)
    }

    /// Whether a server says that it serves.
    pub fn is_ready(&self, number: u16) -> bool {
        let process = self.processes.get(usize::from(number) - 1).and_then(Option::as_ref);
        process.is_some_and(|process| process.is_ready.load(Ordering::Relaxed))
    }

    /// Whether a server is a member of the group, as far as the leaders have said.
    pub fn is_member(&self, number: u16) -> bool {
        let members = self.members();
        let config = members.config(GROUP).map(|(_, entry)| &entry.config);
        match config {
            Some(config) => config.contains(id_of(NodeKey(number))),
            None => number <= self.settings.founders,
        }
    }

    /// The last entry that a server has dropped from its log, once it has opened it.
    pub fn log_begins_behind(&self, number: u16) -> Option<u64> {
        witness::log_begins_behind(NodeKey(number), GROUP)
    }

    /// The server that leads and serves.
    pub fn leader(&self) -> Option<u16> {
        self.members().leader(GROUP).map(|node| node.0)
    }

    /// Whether all servers run, all members serve, and all of them have applied the same.
    pub fn is_settled(&self) -> bool {
        let serves = |number| self.is_ready(number) || !self.is_member(number);
        self.leader().is_some()
            && self.nodes().all(|number| self.is_running(number) && serves(number))
            && self.members().are_level(GROUP, |_| false)
    }

    /// Lets things happen until `condition` holds, which it must within a while.
    ///
    /// # Errors
    /// The rule that is broken meanwhile.
    pub fn until(
        &mut self,
        what: &str,
        condition: impl Fn(&Stage) -> bool,
    ) -> Result<(), Violation> {
        if self.until_within(LIMIT, condition)? {
            return Ok(());
        }
        let told = self.members().tell().join("; ");
        Err(Violation::new(Rule::Liveness, format!("{what}: not within {LIMIT:?}: {told}")))
    }

    /// Lets things happen until `condition` holds; false when it does not within `limit`.
    ///
    /// # Errors
    /// The rule that is broken meanwhile.
    pub fn until_within(
        &mut self,
        limit: Duration,
        condition: impl Fn(&Stage) -> bool,
    ) -> Result<bool, Violation> {
        let end = self.world.now() + limit;
        loop {
            let stage = &*self;
            let stopped = self
                .world
                .run_until(|_| stage.look() || condition(stage), end.since(self.world.now()));
            if let Err(failure) = stopped {
                let rule = match failure.cause {
                    FailureCause::Panicked(_) => Rule::Panic,
                    FailureCause::Spinning { .. } => Rule::Spinning,
                };
                return Err(Violation::new(rule, failure.to_string()));
            }
            if let Some(violation) = self.members().violation() {
                return Err(violation.clone());
            }
            self.take_ended()?;
            if condition(self) {
                return Ok(true);
            }
            if self.world.now() >= end {
                return Ok(false);
            }
        }
    }

    /// Lets so much time pass.
    ///
    /// # Errors
    /// The rule that is broken meanwhile.
    pub fn pass(&mut self, time: Duration) -> Result<(), Violation> {
        self.until_within(time, |_| false).map(drop)
    }

    /// Looks at the step that was just taken; true when there is something to be done about it.
    fn look(&self) -> bool {
        if let Some(actor) = &mut *self.before.borrow_mut() {
            actor(&self.world);
        }
        if let Some(node) = self.polled.take()
            && node.0 < FIRST_PROGRAM
        {
            witness::observe(node, &self.members);
        }
        if let Some(watcher) = &mut *self.watcher.borrow_mut() {
            watcher(&self.world, &self.members(), &self.ledger);
        }
        self.members().violation().is_some() || self.processes.iter().flatten().any(has_ended)
    }

    fn take_ended(&mut self) -> Result<(), Violation> {
        for (number, place) in (1..).zip(&mut self.processes) {
            let Some(process) = place.take_if(|process| has_ended(process)) else { continue };
            witness::forget(NodeKey(number));
            let members = &mut self.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.died(NodeKey(number));
            let what = match process.run.take_ending() {
                Some(Ending::Failed(error)) if self.may_fail && !error.is_integrity() => continue,
                Some(Ending::Failed(error)) => format!("server {number} ends: {error}"),
                Some(Ending::Good) | None => format!("server {number} ends by itself"),
            };
            return Err(Violation::new(Rule::Ending, what));
        }
        Ok(())
    }

    /// Has a client make writes of so many bytes each, to keys of their own.
    pub fn write(&mut self, sizes: &[usize]) {
        self.write_slowly(sizes, Duration::ZERO);
    }

    /// As [`write`](Self::write), with a pause after each.
    pub fn write_slowly(&mut self, sizes: &[usize], pause: Duration) {
        self.programs += 1;
        let (first, _) = self.ledger.counts();
        let key = |(place, bytes): (usize, &usize)| (format!("k{}", first + place), *bytes);
        let writer = Writer {
            servers: self.addresses(SERVICE_PORT),
            number: FIRST_PROGRAM + self.programs,
            writes: sizes.iter().enumerate().map(key).collect(),
            ledger: self.ledger.clone(),
            pause,
        };
        let main = move |shard: Shard| {
            let writer = writer.clone();
            async move {
                writer.run(shard).await;
                Ok::<(), BootError>(())
            }
        };
        drop(self.world.start(NodeKey(FIRST_PROGRAM + self.programs), 1, main));
    }

    /// Ends all clients where they stand.
    pub fn stop_writing(&self) {
        for number in 1..=self.programs {
            self.world.crash(NodeKey(FIRST_PROGRAM + number), CrashKind::Kill);
        }
    }

    /// Whether every client is done.
    pub fn has_written(&self) -> bool {
        (1..=self.programs).all(|number| !self.world.is_running(NodeKey(FIRST_PROGRAM + number)))
    }

    /// Sends an operator on an errand.
    pub fn send(&mut self, errand: Errand) {
        let number = FIRST_OPERATOR + self.operators.len() as u16;
        let servers = self.addresses(REPLICATE_PORT);
        let operator = Operator::new(client::GroupId(GROUP.0), servers, number, errand);
        self.operators.push(operator.clone());
        let main = move |shard: Shard| {
            let operator = operator.clone();
            async move {
                operator.run(shard).await;
                Ok::<(), BootError>(())
            }
        };
        drop(self.world.start(NodeKey(number), 1, main));
    }

    /// Whether all operators are back.
    pub fn has_errands_done(&self) -> bool {
        self.operators.iter().all(Operator::has_ended)
    }

    /// Whether the trees of all members that serve have what they must have, and nothing else.
    ///
    /// # Errors
    /// What is lost, damaged or from nowhere.
    pub fn check_trees(&self) -> Result<(), Violation> {
        let nodes = self.nodes().filter(|number| self.is_ready(*number) && self.is_member(*number));
        for number in nodes {
            let node = NodeKey(number);
            let check = |machine: &_| self.ledger.check(node, machine);
            witness::with_machine(node, GROUP, check).unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    fn addresses(&self, port: u16) -> Vec<Server> {
        let server = |number: u16| Server {
            node: NodeId(i32::from(number)),
            address: SocketAddr::new(NodeKey(number).ip(), port),
        };
        self.nodes().map(server).collect()
    }
}

impl Drop for Stage {
    /// Groups hold parts of the world, and the other way round.
    fn drop(&mut self) {
        witness::forget_all();
    }
}

fn has_ended(process: &Process) -> bool {
    process.run.has_ended()
}

const SERVICE_PORT: u16 = 9332;
const REPLICATE_PORT: u16 = 9331;

/// Everything takes the same time each time, and names may be lost in any order.
fn disk_options() -> DiskOptions {
    let fixed = |micros| Latency::fixed(Duration::from_micros(micros));
    DiskOptions {
        directory_order: DirectoryOrder::Any,
        read: fixed(20),
        write: fixed(100),
        sync: fixed(100),
        directory: fixed(50),
        ..DiskOptions::default()
    }
}

fn network_options() -> NetworkOptions {
    NetworkOptions {
        link: LinkOptions::reliable(Latency::fixed(Duration::from_micros(20))),
        connect_timeout: Duration::from_millis(500),
        retransmit_timeout: Duration::from_secs(1),
        ..NetworkOptions::default()
    }
}

fn configuration(settings: &Settings, number: u16) -> Config {
    let ip = NodeKey(number).ip();
    let mut text = format!(
        "[node]\nid = {number}\ncluster = \"{CLUSTER}\"\nshards = 1\n\
         [listen]\nservice = \"{ip}:{SERVICE_PORT}\"\nreplicate = \"{ip}:{REPLICATE_PORT}\"\n"
    );
    for node in 1..=settings.nodes {
        let ip = NodeKey(node).ip();
        text += &format!(
            "[[nodes]]\nid = {node}\nreplicate = \"{ip}:{REPLICATE_PORT}\"\n\
             service = \"{ip}:{SERVICE_PORT}\"\n"
        );
    }
    let members: Vec<u16> = (1..=settings.founders).collect();
    text += &format!("[[groups]]\nid = {}\nmembers = {members:?}\n", GROUP.0);
    let mut config = match Config::parse(&text) {
        Ok(config) => config,
        Err(error) => unreachable!("the text above is a configuration: {error}"),
    };
    config.raft.election_timeout = ELECTION_TIMEOUT;
    config.raft.heartbeat_interval = ELECTION_TIMEOUT / 5;
    config.log.segment_bytes = ByteSize::kib(settings.segment_kib);
    config.log.spare_segments = 1;
    config.log.batch_bytes_max = ByteSize::kib(32);
    config.log.cache_bytes_max = ByteSize::kib(64);
    config.log.delete_delay = Duration::from_millis(10);
    config.snapshot.log_bytes = ByteSize::kib(settings.snapshot_kib);
    config.snapshot.keep = 1;
    config.rpc.packet_bytes_max = ByteSize::kib(32);
    config
}

/// Name of the servers' cluster.
pub const CLUSTER: &str = "simulated";
