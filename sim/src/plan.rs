//! What a seed draws before its run starts: the swarm.
//!
//! Every run has another cluster, another load and other faults, most of them only a few at a time:
//! a fault that always meets all others hides behind them.

use std::time::Duration;

use runtime::sim::{
    Atomicity, DirectoryOrder, DiskOptions, Latency, LinkOptions, NetworkOptions, World,
};

use crate::fault::Strengths;
use crate::workload::Shape;

/// Everything about a run that is decided at its start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Members of every group at its founding, each on a node of its own.
    pub members: u16,
    /// Nodes that may become members later.
    pub spares: u16,
    /// Servers whose disks may be damaged: so few that the others have every committed entry.
    pub victims: Vec<u16>,
    /// Shards of each node.
    pub shards: u16,
    /// Raft groups.
    pub groups: u16,
    /// Client programs.
    pub programs: u16,
    /// Strands of each program.
    pub strands: u16,
    /// Programs that watch keys.
    pub watchers: u16,
    /// Operations of each strand.
    pub operations: u64,
    /// Connections of a program to each server.
    pub connections: usize,
    /// Patience of the programs.
    pub call_timeout: Duration,
    /// After what time programs with sessions send a write again; the others have none.
    pub retry_after: Option<Duration>,
    /// How long faults strike.
    pub storm: Duration,
    /// Longest pause between two faults.
    pub calm: Duration,
    /// Which faults strike, and how hard.
    pub strengths: Strengths,
    /// What the clients do.
    pub shape: Shape,
    /// Settings of the servers.
    pub server: ServerPlan,
    /// The servers' disks.
    pub disk: DiskOptions,
    /// The network.
    pub network: NetworkOptions,
}

/// Settings of the servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerPlan {
    /// The least time without a leader after which a follower stands for election.
    pub election_timeout: Duration,
    /// Pause between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Whether reads rely on a lease.
    pub lease: bool,
    /// Size of a log file.
    pub segment_kib: u64,
    /// Spare log files.
    pub spare_segments: u16,
    /// Bytes of one log write.
    pub batch_kib: u64,
    /// Bytes kept for followers.
    pub cache_kib: u64,
    /// Writes that may wait.
    pub pending_tasks: u32,
    /// Answers that a client may leave unread.
    pub out_buffer_kib: u64,
    /// When snapshots are saved.
    pub snapshots: SnapshotPlan,
    /// Sessions that a group remembers, and writes in each that may be open.
    pub sessions: [u32; 2],
}

/// When snapshots are saved, and what is kept of them and of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPlan {
    /// Time between two; zero for never.
    pub interval: Duration,
    /// Log between two; zero for never.
    pub log_kib: u64,
    /// How many stay.
    pub keep: u16,
    /// Whether one is saved at an orderly end.
    pub at_stop: bool,
    /// Time for which log stays that no snapshot needs.
    pub delete_delay: Duration,
    /// Bytes saved in a second, and sent in one.
    pub rates_kib: [u64; 2],
}

impl Plan {
    /// Draws a plan.
    pub fn draw(world: &World) -> Plan {
        let choose = |site, n| world.choose(site, n);
        let millis = Duration::from_millis;
        let members = MEMBERS[choose("plan.members", MEMBERS.len() as u64) as usize];
        let spares = SPARES[choose("plan.spare-nodes", SPARES.len() as u64) as usize];
        let spares = spares.min(NODES_MAX - members);
        Plan {
            members,
            spares,
            victims: draw_victims(world, members),
            shards: 1 + choose("plan.shards", 3).saturating_sub(1) as u16,
            groups: 1 + choose("plan.groups", 3) as u16,
            programs: 1 + choose("plan.programs", 5) as u16,
            strands: 1 + choose("plan.strands", 4) as u16,
            watchers: choose("plan.watchers", 3) as u16,
            operations: 8 + choose("plan.operations", 120),
            connections: 1 + choose("plan.connections", 2) as usize,
            call_timeout: millis(100 << choose("plan.patience", 5)),
            retry_after: draw_retry_after(world),
            storm: millis(200 + choose("plan.storm", 4_000)),
            calm: millis(1 << choose("plan.calm", 10)),
            strengths: Strengths::draw(world, members, members + spares),
            shape: Shape::draw(world, members + spares),
            server: ServerPlan::draw(world),
            disk: draw_disk(world),
            network: draw_network(world),
        }
    }
}

/// Every other run has sessions.
fn draw_retry_after(world: &World) -> Option<Duration> {
    match world.choose("plan.sessions", 8) {
        0..4 => None,
        wait => Some(Duration::from_millis(5 << (wait * 2 - 8))),
    }
}

/// Sizes of groups.
const MEMBERS: [u16; 6] = [1, 3, 3, 3, 5, 1];

/// Nodes beside those of the founding members, and all of them.
const SPARES: [u16; 4] = [0, 1, 2, 2];
const NODES_MAX: u16 = 5;

/// The atlas of a run: a minority of the servers; of one server, itself.
fn draw_victims(world: &World, members: u16) -> Vec<u16> {
    let first = world.choose("plan.victim", u64::from(members)) as u16;
    let count = ((members - 1) / 2).max(1);
    (first..first + count).map(|number| number % members).collect()
}

impl Plan {
    /// Nodes that run a server.
    pub fn nodes(&self) -> u16 {
        self.members + self.spares
    }

    /// Whether these voters have every committed entry whatever happens to the victims' disks.
    pub fn outlasts_victims(&self, voters: &[u16]) -> bool {
        let victims = voters.iter().filter(|voter| self.victims.contains(&(**voter - 1))).count();
        !self.strengths.are_destructive() || victims <= (voters.len() - 1) / 2
    }
}

impl ServerPlan {
    fn draw(world: &World) -> ServerPlan {
        let choose = |site, n| world.choose(site, n);
        let election = 100 << choose("plan.election", 4);
        ServerPlan {
            election_timeout: Duration::from_millis(election),
            heartbeat_interval: Duration::from_millis(election / (4 + choose("plan.heartbeat", 8))),
            lease: choose("plan.lease", 2) == 0,
            segment_kib: 64 << choose("plan.segment", 4),
            spare_segments: 1 + choose("plan.spares", 3) as u16,
            batch_kib: 4 << choose("plan.batch", 4),
            cache_kib: 8 << choose("plan.cache", 6),
            pending_tasks: 1_024 >> choose("plan.pending", 8),
            out_buffer_kib: 256 >> choose("plan.answers", 7),
            snapshots: SnapshotPlan::draw(world),
            sessions: [32 >> choose("plan.sessions-max", 6), 64 >> choose("plan.results", 7)],
        }
    }
}

impl SnapshotPlan {
    /// In every second run there are many, and the log is dropped behind them.
    fn draw(world: &World) -> SnapshotPlan {
        let choose = |site, n| world.choose(site, n);
        let is_often = choose("plan.snapshot", 2) == 1;
        let millis = Duration::from_millis;
        SnapshotPlan {
            interval: match choose("plan.snapshot.interval", 3) {
                2 if is_often => millis(50 << choose("plan.snapshot.interval.scale", 6)),
                _ => Duration::ZERO,
            },
            log_kib: if is_often { 8 << choose("plan.snapshot.log", 5) } else { 0 },
            keep: 1 + choose("plan.snapshot.keep", 3) as u16,
            at_stop: choose("plan.snapshot.stop", 2) == 0,
            delete_delay: millis(1 << choose("plan.snapshot.delay", 12)),
            rates_kib: [
                64 << choose("plan.snapshot.save-rate", 8),
                64 << choose("plan.snapshot.send-rate", 8),
            ],
        }
    }
}

fn draw_disk(world: &World) -> DiskOptions {
    let choose = |site, n| world.choose(site, n);
    let micros = Duration::from_micros;
    let slowest = micros(500 << choose("plan.disk.speed", 5));
    let sync = Latency::between(micros(50), slowest);
    DiskOptions {
        atomicity: [Atomicity::Sector512, Atomicity::Block4096]
            [choose("plan.disk.atomicity", 2) as usize],
        directory_order: [DirectoryOrder::Journal, DirectoryOrder::Any]
            [choose("plan.disk.names", 2) as usize],
        write: Latency::between(micros(50), slowest),
        sync: match choose("plan.disk.tail", 2) {
            0 => sync,
            _ => sync.with_tail(100, micros(50_000)),
        },
        ..DiskOptions::default()
    }
}

fn draw_network(world: &World) -> NetworkOptions {
    let choose = |site, n| world.choose(site, n);
    let micros = Duration::from_micros;
    let slowest = micros(200 << choose("plan.network.speed", 7));
    let delay = Latency::between(micros(50), slowest);
    NetworkOptions {
        link: LinkOptions::reliable(delay),
        window: (256 << 10) >> choose("plan.network.window", 8),
        short_read_one_in: [0, 16, 2][choose("plan.network.reads", 3) as usize],
        connect_timeout: Duration::from_secs(2),
        retransmit_timeout: Duration::from_secs(4),
        ..NetworkOptions::default()
    }
}
