//! Faults of processes and machines.

use std::time::Duration;

use client::GroupId;
use runtime::sim::{CrashKind, Latency, LinkOptions};

use super::class::FaultClass;
use super::storm::{Scene, Storm, up_to};
use super::undo::Undo;
use crate::cluster::Cluster;
use crate::workload::{Operations, Program, ProgramPlan, Shape};

/// Parts in a million by which a clock runs too fast or too slow.
const DRIFT_MAX: u64 = 100_000;
/// The same where leases are relied on.
const LEASE_DRIFT_MAX: u64 = 50_000;
/// Deaths of a crash loop.
const LIVES_MAX: u64 = 6;

impl Storm {
    /// Strikes a server as a whole. What it did, if it could.
    pub(super) fn strike_process(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let number = self.server(scene);
        let world = scene.world;
        let key = scene.cluster.servers.get(number)?.key;
        match class {
            FaultClass::Kill => self.crash(scene, number, CrashKind::Kill, class),
            FaultClass::PowerLoss => self.crash(scene, number, CrashKind::PowerLoss, class),
            FaultClass::CrashLoop => self.crash_loop(scene, number),
            FaultClass::Wipe => self.wipe(scene),
            FaultClass::Stop => {
                let is_stopping = scene.cluster.stop(world, number);
                is_stopping.then(|| format!("{key} is asked to stop"))
            }
            FaultClass::Pause => {
                if !scene.cluster.is_running(number) {
                    return None;
                }
                world.pause(key);
                let length = self.length(world, class);
                self.undo_after(world, length, Undo::Resume(key));
                Some(format!("{key} stands still for {length:?}"))
            }
            FaultClass::Drift => {
                // What a lease is shorter than its voters' loyalty covers two clocks that run so.
                let most = if self.plan.server.lease { LEASE_DRIFT_MAX } else { DRIFT_MAX };
                let ppm =
                    world.choose("storm.drift", 2 * most + 1).cast_signed() - most.cast_signed();
                world.set_drift(key, ppm);
                let length = self.length(world, class) * 4;
                self.undo_after(world, length, Undo::Drift(key));
                Some(format!("{key}'s clock gains {ppm} ppm for {length:?}"))
            }
            FaultClass::WallJump => {
                let millis = world.choose("storm.jump", 20_000_001).cast_signed() - 10_000_000;
                world.jump_wall(key, millis);
                Some(format!("{key}'s wall clock jumps by {millis} ms"))
            }
            _ => None,
        }
    }

    fn crash(
        &mut self,
        scene: &mut Scene<'_>,
        number: usize,
        kind: CrashKind,
        class: FaultClass,
    ) -> Option<String> {
        let world = scene.world;
        if !scene.cluster.may_die(number) || !scene.cluster.crash(world, number, kind) {
            return None;
        }
        let length = self.length(world, class);
        self.undo_after(world, length, Undo::Start(number));
        Some(format!("{} dies by {kind:?} for {length:?}", scene.cluster.servers.get(number)?.key))
    }

    /// A machine breaks, and comes back with an empty disk.
    fn wipe(&mut self, scene: &mut Scene<'_>) -> Option<String> {
        let (number, world) = (self.victim(scene), scene.world);
        if world.choose("storm.wipe.late", 3) == 2 && scene.cluster.is_running(number) {
            return self.wipe_soon(scene, number);
        }
        scene.cluster.crash(world, number, CrashKind::PowerLoss);
        scene.cluster.wipe(world, number);
        let length = self.length(world, FaultClass::Wipe);
        self.undo_after(world, length, Undo::Start(number));
        let key = scene.cluster.servers.get(number)?.key;
        Some(format!("{key} loses its disk and is away for {length:?}"))
    }

    /// What a machine sends takes long, until it breaks and comes back at once: the messages of the
    /// old life arrive in the middle of the new one.
    fn wipe_soon(&mut self, scene: &Scene<'_>, number: usize) -> Option<String> {
        let world = scene.world;
        let key = scene.cluster.servers.get(number)?.key;
        let delay = Duration::from_millis(100 + world.choose("storm.wipe.delay", 400));
        let life = up_to(world, "storm.wipe.life", 60_000_000);
        for other in scene.cluster.servers.iter().map(|server| server.key) {
            let delay = Latency::between(delay, delay);
            let late = LinkOptions { delay, ..self.plan.network.link };
            world.network().set_link(key, other, late);
            self.undo_after(world, life, Undo::Link(key, other));
        }
        self.undo_after(world, life, Undo::Wipe(number));
        Some(format!("{key} is heard {delay:?} late, and loses its disk in {life:?}"))
    }

    /// Dies, starts, and dies again in the middle of that, a few times.
    fn crash_loop(&mut self, scene: &mut Scene<'_>, number: usize) -> Option<String> {
        if !scene.cluster.may_die(number) || !scene.cluster.is_running(number) {
            return None;
        }
        let lives = 1 + scene.world.choose("storm.lives", LIVES_MAX);
        self.die_again(scene, number, lives);
        Some(format!("{} dies {lives} times in a row", scene.cluster.servers.get(number)?.key))
    }

    /// Dies and starts; after a short life again.
    pub(super) fn die_again(&mut self, scene: &mut Scene<'_>, number: usize, lives: u64) {
        let Some(left) = lives.checked_sub(1) else { return };
        let world = scene.world;
        let kind =
            [CrashKind::Kill, CrashKind::PowerLoss][world.choose("storm.lives.kind", 2) as usize];
        scene.cluster.crash(world, number, kind);
        scene.cluster.start(world, number);
        let life = up_to(world, "storm.life", 100_000 << world.choose("storm.life.scale", 9));
        self.undo_after(world, life, Undo::DieAgain(number, left));
    }

    /// Strikes a client program.
    pub(super) fn strike_client(
        &mut self,
        class: FaultClass,
        scene: &mut Scene<'_>,
    ) -> Option<String> {
        let world = scene.world;
        let number = world.choose("storm.program", scene.cluster.programs.len() as u64) as usize;
        let key = Cluster::program_key(number);
        if class == FaultClass::Overload {
            return self.overload(scene);
        }
        if class == FaultClass::ClientKill && world.choose("storm.client.watcher", 4) == 3 {
            let number = world.choose("storm.watcher", scene.cluster.watchers.len() as u64);
            scene.cluster.start_watcher(world, number as usize);
            return Some(format!("watcher {number} dies and begins anew"));
        }
        if !world.is_running(key) {
            return None;
        }
        let length = self.length(world, class);
        if class == FaultClass::ClientKill {
            let kind =
                [CrashKind::Kill, CrashKind::PowerLoss][world.choose("storm.client", 2) as usize];
            world.crash(key, kind);
            self.undo_after(world, length, Undo::StartProgram(number));
            return Some(format!("client {number} dies by {kind:?} for {length:?}"));
        }
        world.pause(key);
        self.undo_after(world, length, Undo::Resume(key));
        Some(format!("client {number} stands still for {length:?}"))
    }

    /// Many strands that never pause.
    fn overload(&mut self, scene: &mut Scene<'_>) -> Option<String> {
        let number = scene.cluster.programs.len();
        if number >= PROGRAMS_MAX {
            return None;
        }
        let world = scene.world;
        let strands = 8 << world.choose("storm.burst", 4);
        let shape = Shape { pause: Duration::from_nanos(1), reads: 4, ..self.plan.shape };
        let group = GroupId(world.choose("storm.burst.group", u64::from(self.plan.groups)) as i32);
        let plan = ProgramPlan {
            number: number as u16,
            group,
            servers: scene.cluster.addresses(),
            strands: (0..strands).map(|_| Operations::draw(world, shape, 3)).collect(),
            connections: 1,
            call_timeout: self.plan.call_timeout,
            retry_after: self.plan.retry_after,
            is_persistent: false,
        };
        scene.cluster.programs.push(Program::new(plan, self.history.clone()));
        scene.cluster.start_program(world, number);
        Some(format!("client {number} begins with {strands} strands at once"))
    }
}

/// Client programs of a run, bursts included.
const PROGRAMS_MAX: usize = 12;
