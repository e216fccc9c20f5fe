//! The servers of a run and their clients, as processes of a simulated world.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::{GroupId, KeyState, NodeId, Server};
use moment::Moment;
use raft_host::GroupError;
use runtime::sim::{CrashKind, Ending, NodeKey, Run, World};
use runtime::{BootError, Shard};
use server::config::{ByteSize, Config, Reads};
use server::node::{NodeError, NodePlan};
use server::shard;

use crate::check::Members;
use crate::plan::Plan;
use crate::violation::{Rule, Violation};
use crate::witness::{self, NodeWitness};
use crate::workload::{Errand, Operator, Program, Watcher, WatcherPlan};

/// All processes of a run.
pub struct Cluster {
    /// The servers, by number.
    pub servers: Vec<ServerNode>,
    /// The client programs, by number.
    pub programs: Vec<Program>,
    /// The operators, by number.
    pub operators: Vec<Operator>,
    /// The watchers, by number.
    pub watchers: Vec<Watcher>,
    /// The first so many servers are the members of all groups at their founding.
    founders: u16,
    groups: std::ops::Range<i32>,
    members: Arc<Mutex<Members>>,
}

/// A node that runs a server, now or again later.
pub struct ServerNode {
    /// Where it runs.
    pub key: NodeKey,
    config: Config,
    process: Option<Process>,
    /// What may end its process.
    pub excuses: Excuses,
    /// Writes that each of its groups must have finished before it may die.
    lives_until: Vec<(raft_core::GroupId, u64)>,
    ended: Option<Ended>,
    /// It has served once.
    has_served: bool,
    /// Its present disk was empty when it came.
    was_wiped: bool,
}

/// A process that ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ended {
    at: Moment,
    /// It found damage, which no restart mends.
    found_damage: bool,
}

struct Process {
    run: Run<NodeError>,
    is_ready: Arc<AtomicBool>,
    is_asked_to_stop: bool,
}

/// Faults that a server has met and that may end its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Excuses {
    /// Operations of its disk may have failed since it started.
    pub io: bool,
    /// Reads may have been wrong since it started.
    pub reads: bool,
    /// What is on its disk may be damaged.
    pub damage: bool,
    /// Its disk misbehaves right now.
    pub is_disk_faulty: bool,
}

/// Nodes from here on are client programs.
const FIRST_PROGRAM: u16 = 100;
/// From here on they are watchers.
const FIRST_WATCHER: u16 = 150;
/// And from here on operators.
const FIRST_OPERATOR: u16 = 200;
/// Writes after which one before them is known to have been acknowledged.
const WITNESSES: u64 = 4;
/// Pause of a supervisor before it starts a process again.
const RESTART_DELAY: Duration = Duration::from_millis(50);
const SERVICE_PORT: u16 = 9332;
const REPLICATE_PORT: u16 = 9331;

impl Cluster {
    /// The servers of a plan; nothing runs yet.
    pub fn new(plan: &Plan, members: Arc<Mutex<Members>>) -> Cluster {
        let servers = (1..=plan.nodes()).map(|number| ServerNode {
            key: NodeKey(number),
            config: configuration(plan, number),
            process: None,
            excuses: Excuses::default(),
            lives_until: Vec::new(),
            ended: None,
            has_served: false,
            was_wiped: false,
        });
        let (programs, operators, watchers) = (Vec::new(), Vec::new(), Vec::new());
        Cluster {
            servers: servers.collect(),
            programs,
            operators,
            watchers,
            founders: plan.members,
            groups: 0..i32::from(plan.groups),
            members,
        }
    }

    /// The addresses that clients are given.
    pub fn addresses(&self) -> Vec<Server> {
        let servers = self.servers.iter().map(|server| Server {
            node: NodeId(i32::from(server.key.0)),
            address: SocketAddr::new(server.key.ip(), SERVICE_PORT),
        });
        servers.collect()
    }

    /// The addresses that operators are given.
    pub fn operator_addresses(&self) -> Vec<Server> {
        let of = |server: Server| SocketAddr::new(server.address.ip(), REPLICATE_PORT);
        let servers = self.addresses().into_iter();
        servers.map(|server| Server { address: of(server), ..server }).collect()
    }

    /// Sends an operator on an errand. There are so many at most.
    pub fn send(&mut self, world: &World, group: GroupId, errand: Errand) {
        let number = FIRST_OPERATOR + self.operators.len() as u16;
        let operator = Operator::new(group, self.operator_addresses(), number, errand);
        self.operators.push(operator.clone());
        let main = move |shard: Shard| {
            let operator = operator.clone();
            async move {
                operator.run(shard).await;
                Ok::<(), BootError>(())
            }
        };
        drop(world.start(NodeKey(number), 1, main));
    }

    /// Whether an operator is on the way.
    pub fn has_operators(&self) -> bool {
        self.operators.iter().any(|operator| !operator.has_ended())
    }

    /// What is known of the members of the groups.
    pub fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all groups on a server's node.
    pub fn observe(&self, node: NodeKey) {
        if node.0 < FIRST_PROGRAM {
            witness::observe(node, &self.members);
        }
    }

    /// The node of a program.
    pub fn program_key(number: usize) -> NodeKey {
        NodeKey(FIRST_PROGRAM + number as u16)
    }

    /// The nodes of the watchers.
    pub fn watcher_keys(&self) -> impl Iterator<Item = NodeKey> {
        (0..self.watchers.len() as u16).map(|number| NodeKey(FIRST_WATCHER + number))
    }

    /// Has somebody watch keys.
    pub fn add_watcher(&mut self, world: &World, group: GroupId, keys: Vec<Vec<u8>>) {
        let number = self.watchers.len() as u16;
        let servers = self.addresses();
        self.watchers.push(Watcher::new(WatcherPlan { number, group, servers, keys }));
        self.start_watcher(world, usize::from(number));
    }

    /// Ends a watcher and starts it anew.
    pub fn start_watcher(&mut self, world: &World, number: usize) {
        let Some(watcher) = self.watchers.get_mut(number) else { return };
        let key = NodeKey(FIRST_WATCHER + number as u16);
        world.crash(key, CrashKind::Kill);
        let watcher = watcher.reborn();
        let main = move |shard: Shard| {
            let watcher = watcher.clone();
            async move {
                watcher.run(shard).await;
                Ok::<(), BootError>(())
            }
        };
        drop(world.start(key, 1, main));
    }

    /// Whether every watcher knows the state that the leader of its group has.
    pub fn watchers_are_up_to_date(&self) -> bool {
        self.watchers.iter().all(|watcher| {
            let group = raft_core::GroupId(watcher.plan().group.0);
            let Some(leader) = self.members().leader(group) else { return false };
            watcher.plan().keys.iter().all(|key| {
                let sight = watcher.last_sight(key);
                let told = sight.map(|sight| (sight.index, sight.state));
                match (witness::node_of(leader, group, key), told) {
                    (Some((updated, state)), Some(told)) => told == (updated, state),
                    (None, told) => told.is_none_or(|(_, state)| state == KeyState::Missing),
                    (Some(_), None) => false,
                }
            })
        })
    }

    /// Starts a server unless it runs.
    pub fn start(&mut self, world: &World, number: usize) {
        let members = Arc::clone(&self.members);
        let Some(server) = self.servers.get_mut(number) else { return };
        if server.process.is_some() {
            return;
        }
        server.ended = None;
        if !server.excuses.is_disk_faulty {
            server.excuses = Excuses { damage: server.excuses.damage, ..Excuses::default() };
        }
        let is_ready = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_ready);
        let on_ready = move |_| told.store(true, Ordering::Relaxed);
        let witness = Arc::new(NodeWitness::new(server.key, members));
        let plan = NodePlan::new(server.config.clone(), on_ready).with_witness(witness);
        let (plan, shards) = (Arc::new(plan), server.config.node.shards.count() as u16);
        let run = world.start(server.key, shards, move |shard| shard::run(shard, plan.clone()));
        server.process = Some(Process { run, is_ready, is_asked_to_stop: false });
    }

    /// Ends a server where it stands; false when it does not run.
    pub fn crash(&mut self, world: &World, number: usize, kind: CrashKind) -> bool {
        let Some(server) = self.servers.get_mut(number) else { return false };
        let was_running = server.process.take().is_some();
        let key = server.key;
        witness::forget(key);
        world.crash(key, kind);
        self.members().died(key);
        was_running
    }

    /// Gives a server that does not run an empty disk.
    pub fn wipe(&mut self, world: &World, number: usize) {
        let Some(server) = self.servers.get_mut(number) else { return };
        world.disk(server.key).wipe();
        server.excuses.damage = false;
        server.was_wiped = true;
        server.lives_until.clear();
        let key = server.key;
        self.members().lost_disk(key);
    }

    /// Whether a server's death leaves what it has on its disk as good as its faults allow.
    pub fn may_die(&self, number: usize) -> bool {
        let Some(server) = self.servers.get(number) else { return false };
        let members = self.members();
        server
            .lives_until
            .iter()
            .all(|(group, writes)| members.writes(server.key, *group) >= *writes)
    }

    /// A write of one of the server's groups is damaged. Only later ones prove that it was there: until
    /// then nobody could tell it from one that was torn.
    pub fn must_live_on(&mut self, number: usize) {
        let Some(key) = self.servers.get(number).map(|server| server.key) else { return };
        let members = self.members();
        let groups = members.groups_of(key);
        let until = groups.map(|group| (group, members.writes(key, group) + WITNESSES)).collect();
        drop(members);
        if let Some(server) = self.servers.get_mut(number) {
            server.lives_until = until;
            server.excuses.damage = true;
        }
    }

    /// Asks a server to stop; false when it does not run.
    pub fn stop(&mut self, world: &World, number: usize) -> bool {
        let Some(server) = self.servers.get_mut(number) else { return false };
        let Some(process) = &mut server.process else { return false };
        process.is_asked_to_stop = true;
        world.stop(server.key);
        true
    }

    /// Whether a server says that it serves.
    pub fn is_ready(&self, number: usize) -> bool {
        let process = self.servers.get(number).and_then(|server| server.process.as_ref());
        process.is_some_and(|process| process.is_ready.load(Ordering::Relaxed))
    }

    /// Whether a server runs.
    pub fn is_running(&self, number: usize) -> bool {
        self.servers.get(number).is_some_and(|server| server.process.is_some())
    }

    /// A server whose process has ended by itself, and how: a line for people.
    ///
    /// # Errors
    /// When it had no reason to end.
    pub fn take_ended(&mut self, now: Moment) -> Result<Option<(usize, String)>, Violation> {
        let ended = self.servers.iter().position(|server| {
            server.process.as_ref().is_some_and(|process| process.run.has_ended())
        });
        let Some(number) = ended else { return Ok(None) };
        let Some(server) = self.servers.get_mut(number) else { return Ok(None) };
        let (Some(process), key) = (server.process.take(), server.key) else { return Ok(None) };
        let excuses = server.excuses;
        let mut ended = Ended { at: now, found_damage: false };
        let line = match process.run.take_ending() {
            Some(Ending::Failed(error)) if excuses.explain(&error) => {
                ended.found_damage = error.is_integrity();
                format!("ends: {error}")
            }
            Some(Ending::Failed(error)) => {
                return Err(Violation::new(Rule::Ending, format!("{key} ends: {error}")));
            }
            Some(Ending::Good) | None if process.is_asked_to_stop => "has stopped".to_owned(),
            Some(Ending::Good) | None => {
                return Err(Violation::new(Rule::Ending, format!("{key} ends by itself")));
            }
        };
        server.ended = Some(ended);
        witness::forget(key);
        self.members().died(key);
        Ok(Some((number, line)))
    }

    /// Starts a server again that ended by itself a while ago, as a supervisor does.
    pub fn supervise(&mut self, world: &World, number: usize) {
        let ended = self.servers.get(number).and_then(|server| server.ended);
        if ended.is_some_and(|ended| world.now().since(ended.at) >= RESTART_DELAY) {
            self.start(world, number);
        }
    }

    /// Whether the groups have begun: each of their members has been there. Before that, nobody
    /// replaces one that is lost.
    pub fn is_founded(&mut self) -> bool {
        for number in 0..self.servers.len() {
            let is_ready = self.is_ready(number);
            if let Some(server) = self.servers.get_mut(number) {
                server.has_served |= is_ready;
            }
        }
        let founders = self.servers.iter().take(usize::from(self.founders));
        founders.into_iter().all(|server| server.has_served)
    }

    /// Whether a server need not serve: it is given up, or began with an empty disk, later than the
    /// founders or again, and misses one that is given up and could tell what it had promised.
    pub fn is_excused(&self, number: usize) -> bool {
        let was_wiped = self.servers.get(number).is_some_and(|server| server.was_wiped);
        let began_empty = was_wiped || number >= usize::from(self.founders);
        let is_alone = (0..self.servers.len()).any(|other| self.is_given_up(other));
        self.is_given_up(number) || (began_empty && is_alone)
    }

    /// Whether a server is no member of one of the groups, as far as their leaders have said. Then
    /// it never serves that one.
    pub fn is_outside(&self, number: usize) -> bool {
        let Some(server) = self.servers.get(number) else { return true };
        let (node, members) = (raft_core::NodeId(u32::from(server.key.0)), self.members());
        let founded = number < usize::from(self.founders);
        self.groups.clone().any(|group| {
            let known = members.config(raft_core::GroupId(group));
            known.map_or(!founded, |(_, config)| !config.config.contains(node))
        })
    }

    /// Whether a server stays down because it found damage that was really done.
    pub fn is_given_up(&self, number: usize) -> bool {
        let Some(server) = self.servers.get(number) else { return false };
        server.excuses.damage && server.ended.is_some_and(|ended| ended.found_damage)
    }

    /// Starts a client program, or starts it again behind what it did before.
    pub fn start_program(&mut self, world: &World, number: usize) {
        let key = Cluster::program_key(number);
        let Some(program) = self.programs.get_mut(number) else { return };
        if world.is_running(key) {
            return;
        }
        let program = program.reborn();
        let main = move |shard: Shard| {
            let program = program.clone();
            async move {
                program.run(shard).await;
                Ok::<(), BootError>(())
            }
        };
        drop(world.start(key, 1, main));
    }

    /// Whether any client program runs.
    pub fn has_programs(&self, world: &World) -> bool {
        (0..self.programs.len()).any(|number| world.is_running(Cluster::program_key(number)))
    }
}

impl Excuses {
    /// Whether a server that has met these faults may end with this error.
    fn explain(&self, error: &NodeError) -> bool {
        match error {
            NodeError::DataDir { .. } | NodeError::Lives(_) | NodeError::Roster(_) => self.io,
            NodeError::IdentityDamaged { .. }
            | NodeError::LivesDamaged { .. }
            | NodeError::RosterDamaged { .. }
            | NodeError::GroupGone { .. } => self.damage || self.reads,
            NodeError::Foreign { .. } => false,
            NodeError::Group { error, .. } => match error {
                GroupError::Io { .. } => self.io || self.damage || self.reads,
                GroupError::Damaged { .. } | GroupError::Restore(_) => self.damage || self.reads,
                GroupError::Options(_) | GroupError::Stopped => false,
            },
            NodeError::Boot(_) | NodeError::Probe(_) | NodeError::Listen { .. } => false,
            // The other shard has the cause, and its error came second.
            NodeError::ShardGone => self.io || self.damage || self.reads,
        }
    }
}

fn configuration(plan: &Plan, number: u16) -> Config {
    let mut text =
        format!("[node]\nid = {number}\ncluster = \"simulated\"\nshards = {}\n", plan.shards);
    let ip = NodeKey(number).ip();
    text += &format!(
        "[listen]\nservice = \"{ip}:{SERVICE_PORT}\"\nreplicate = \"{ip}:{REPLICATE_PORT}\"\n"
    );
    for node in 1..=plan.nodes() {
        let ip = NodeKey(node).ip();
        text += &format!(
            "[[nodes]]\nid = {node}\nreplicate = \"{ip}:{REPLICATE_PORT}\"\n\
             service = \"{ip}:{SERVICE_PORT}\"\n"
        );
    }
    for group in 0..plan.groups {
        let members: Vec<u16> = (1..=plan.members).collect();
        text += &format!("[[groups]]\nid = {group}\nmembers = {members:?}\n");
    }
    let mut config = match Config::parse(&text) {
        Ok(config) => config,
        Err(error) => unreachable!("the text above is a configuration: {error}"),
    };
    let settings = &plan.server;
    config.raft.election_timeout = settings.election_timeout;
    config.raft.heartbeat_interval = settings.heartbeat_interval;
    config.raft.reads = if settings.lease { Reads::Lease } else { Reads::ReadIndex };
    config.raft.pending_tasks_max = settings.pending_tasks;
    config.log.segment_bytes = ByteSize::kib(settings.segment_kib);
    config.log.spare_segments = settings.spare_segments;
    config.log.batch_bytes_max = ByteSize::kib(settings.batch_kib);
    config.log.cache_bytes_max = ByteSize::kib(settings.cache_kib);
    let snapshots = &settings.snapshots;
    config.snapshot.interval = snapshots.interval;
    config.snapshot.log_bytes = ByteSize::kib(snapshots.log_kib);
    config.snapshot.keep = snapshots.keep;
    config.snapshot.at_stop = snapshots.at_stop;
    config.log.delete_delay = snapshots.delete_delay;
    let [save, send] = snapshots.rates_kib;
    config.snapshot.save_bytes_per_second = ByteSize::kib(save);
    config.snapshot.send_bytes_per_second = ByteSize::kib(send);
    config.rpc.packet_bytes_max = ByteSize::kib(32);
    [config.sessions.count_max, config.sessions.results_max] = settings.sessions;
    config.rpc.out_buffer_bytes_max = ByteSize::kib(settings.out_buffer_kib);
    config
}

/// The groups of a plan.
pub fn groups(plan: &Plan) -> impl Iterator<Item = GroupId> + use<> {
    (0..i32::from(plan.groups)).map(GroupId)
}
