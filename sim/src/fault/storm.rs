//! The storm: faults, one after the other, as the tape says.

use std::collections::BTreeMap;
use std::time::Duration;

use moment::Moment;
use runtime::sim::{NodeKey, World};

use super::class::{FaultClass, Strengths};
use super::undo::{Ordinary, Undo};
use crate::cluster::Cluster;
use crate::plan::Plan;
use crate::story::Story;
use crate::workload::History;

/// How often each class has struck.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Strikes(BTreeMap<FaultClass, u64>);

impl Strikes {
    /// One more.
    pub(super) fn add(&mut self, class: FaultClass) {
        *self.0.entry(class).or_default() += 1;
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Strikes) {
        for (class, count) in &other.0 {
            *self.0.entry(*class).or_default() += count;
        }
    }

    /// Classes that have struck, with the number of times.
    pub fn iter(&self) -> impl Iterator<Item = (FaultClass, u64)> {
        self.0.iter().map(|(class, count)| (*class, *count))
    }

    /// Sum of all.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Faults that strike and the ends of those that last.
pub struct Storm {
    pub(super) plan: Plan,
    pub(super) history: History,
    pub(super) strikes: Strikes,
    strengths: Strengths,
    next_strike: Moment,
    undos: BTreeMap<(Moment, u64), Undo>,
    undos_made: u64,
    ordinary: Ordinary,
}

/// A storm at work: what a fault needs.
pub(super) struct Scene<'a> {
    pub(super) world: &'a World,
    pub(super) cluster: &'a mut Cluster,
    pub(super) story: &'a mut Story,
}

impl Storm {
    /// A storm that has not begun.
    pub fn new(plan: &Plan, history: History) -> Storm {
        Storm {
            strengths: plan.strengths.clone(),
            history,
            strikes: Strikes::default(),
            next_strike: Moment::ZERO,
            undos: BTreeMap::new(),
            undos_made: 0,
            ordinary: Ordinary { disk: plan.disk, link: plan.network.link },
            plan: plan.clone(),
        }
    }

    /// How often which class has struck.
    pub fn strikes(&self) -> &Strikes {
        &self.strikes
    }

    /// When something is to be done next.
    pub fn next_at(&self) -> Moment {
        let undo = self.undos.keys().next().map_or(Moment::MAX, |(at, _)| *at);
        self.next_strike.min(undo)
    }

    /// Does what is due.
    pub fn step(&mut self, world: &World, cluster: &mut Cluster, story: &mut Story) {
        while let Some(entry) = self.undos.first_entry() {
            if entry.key().0 > world.now() {
                break;
            }
            match entry.remove() {
                Undo::DieAgain(number, lives) => {
                    self.die_again(&mut Scene { world, cluster, story }, number, lives);
                }
                undo => undo.carry_out(world, cluster, &self.ordinary),
            }
        }
        if self.next_strike > world.now() {
            return;
        }
        let calm = u64::try_from(self.plan.calm.as_nanos()).unwrap_or(1);
        self.next_strike =
            world.now() + Duration::from_micros(200) + up_to(world, "storm.calm", calm);
        // Nothing is the tame choice.
        let number = world.choose("storm.class", 1 << 16);
        if let Some(class) = number.checked_sub(1).and_then(|number| self.strengths.pick(number)) {
            self.strike(class, &mut Scene { world, cluster, story });
        }
    }

    fn strike(&mut self, class: FaultClass, scene: &mut Scene<'_>) {
        if class.is_destructive() && !scene.cluster.is_founded() {
            return;
        }
        let told = match class {
            FaultClass::Kill
            | FaultClass::PowerLoss
            | FaultClass::CrashLoop
            | FaultClass::Stop
            | FaultClass::Pause
            | FaultClass::Drift
            | FaultClass::WallJump
            | FaultClass::Wipe => self.strike_process(class, scene),
            FaultClass::Transfer | FaultClass::Members => self.strike_group(class, scene),
            FaultClass::ClientKill | FaultClass::ClientPause | FaultClass::Overload => {
                self.strike_client(class, scene)
            }
            FaultClass::LinkDelay
            | FaultClass::LinkLoss
            | FaultClass::LinkSlow
            | FaultClass::LinkRefuse
            | FaultClass::Reset
            | FaultClass::CutOneWay
            | FaultClass::CutPair
            | FaultClass::Split
            | FaultClass::Bridge => self.strike_network(class, scene),
            FaultClass::FlipLog
            | FaultClass::FlipTail
            | FaultClass::FlipSnapshot
            | FaultClass::FlipHardState
            | FaultClass::FlipIdentity => self.strike_stored(class, scene),
            _ => self.strike_disk(class, scene),
        };
        if let Some(what) = told {
            self.strikes.add(class);
            scene.story.tell(scene.world.now(), || format!("{}: {what}", class.name()));
        }
    }

    /// Has a fault end after a while.
    pub(super) fn undo_after(&mut self, world: &World, length: Duration, undo: Undo) {
        self.undos_made += 1;
        self.undos.insert((world.now() + length, self.undos_made), undo);
    }

    /// How long a fault of a class lasts: often short, seldom long.
    pub(super) fn length(&self, world: &World, class: FaultClass) -> Duration {
        if world.choose("storm.length.kind", 4) == 3 {
            // Long enough for others to elect somebody, or just not.
            let timeouts = 1 + world.choose("storm.length.timeouts", 4) as u32;
            return self.plan.server.election_timeout * timeouts;
        }
        let longest = Duration::from_millis(20 << (2 * self.strengths.of(class)));
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(1);
        up_to(world, "storm.length", nanos >> world.choose("storm.length.scale", 6))
    }

    /// A server's number, more often than not that of a leader.
    pub(super) fn server(&self, scene: &Scene<'_>) -> usize {
        if scene.world.choose("storm.aim", 2) == 1 {
            let group = scene.world.choose("storm.aim.group", u64::from(self.plan.groups));
            let leader = scene.cluster.members().leader(raft_core::GroupId(group as i32));
            if let Some(leader) = leader {
                return usize::from(leader.0 - 1);
            }
        }
        scene.world.choose("storm.server", scene.cluster.servers.len() as u64) as usize
    }

    /// A server whose disk may be damaged.
    pub(super) fn victim(&self, scene: &Scene<'_>) -> usize {
        let victims = &self.plan.victims;
        let number = scene.world.choose("storm.victim", victims.len() as u64) as usize;
        victims.get(number).copied().map_or(0, usize::from)
    }

    /// Two nodes, at least one of which is a server.
    pub(super) fn link(&self, scene: &Scene<'_>) -> (NodeKey, NodeKey) {
        let server = self.server(scene);
        let servers: Vec<_> = scene.cluster.servers.iter().map(|server| server.key).collect();
        let programs = (0..scene.cluster.programs.len()).map(Cluster::program_key);
        let watchers = scene.cluster.watcher_keys();
        let mut others: Vec<_> = servers.iter().copied().chain(programs).chain(watchers).collect();
        let from = servers.get(server).copied().unwrap_or(NodeKey(1));
        others.retain(|other| *other != from);
        let other = scene.world.choose("storm.peer", others.len() as u64) as usize;
        let to = others.get(other).copied().unwrap_or(from);
        if scene.world.choose("storm.direction", 2) == 0 { (from, to) } else { (to, from) }
    }

    /// Ends all faults and starts everything that does not run.
    pub fn heal(&mut self, world: &World, cluster: &mut Cluster) {
        for undo in std::mem::take(&mut self.undos).into_values() {
            undo.carry_out(world, cluster, &self.ordinary);
        }
        world.network().heal_all();
        for number in 0..cluster.servers.len() {
            let key = cluster.servers.get(number).map_or(NodeKey(1), |server| server.key);
            world.resume(key);
            world.set_drift(key, 0);
            Undo::Disk(number).carry_out(world, cluster, &self.ordinary);
            cluster.start(world, number);
        }
        for number in 0..cluster.programs.len() {
            world.resume(Cluster::program_key(number));
        }
    }
}

/// A duration below so many nanoseconds.
pub(super) fn up_to(world: &World, site: &'static str, nanos: u64) -> Duration {
    Duration::from_nanos(world.choose(site, nanos.max(1)))
}
