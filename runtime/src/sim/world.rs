//! The world: nodes, their processes, and the time that passes for all of them.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use moment::{Moment, WallTime};

use super::disk::DiskHandle;
use super::failure::Failure;
use super::happening::{Happening, What};
use super::kernel::{Kernel, Step};
use super::network::NetworkHandle;
use super::node::{CrashKind, Node, NodeKey};
use super::options::WorldOptions;
use super::run::{self, Run};
use super::tape::{Beyond, Recording, Tape};
use super::trace::TraceKind;
use crate::boot::BootError;
use crate::{Shard, StopHandle};

/// Most that a monotonic clock shows when its machine has just booted.
const BOOT_TIME_MAX: Duration = Duration::from_secs(3600);

/// Whole processes in one thread, from one seed.
///
/// Nothing happens but inside [`run_until`](Self::run_until) and [`run_for`](Self::run_for); between
/// two calls a test may do anything to nodes, disks, links and clocks.
pub struct World {
    kernel: Rc<Kernel>,
    options: WorldOptions,
}

impl World {
    /// A world without nodes, whose chances come from the options' seed.
    pub fn new(options: WorldOptions) -> World {
        World::with_tape(Tape::from_seed(options.seed), options)
    }

    /// A world that repeats the choices of a recording.
    pub fn replay(options: WorldOptions, recording: &Recording, beyond: Beyond) -> World {
        World::with_tape(Tape::replaying(recording, beyond), options)
    }

    fn with_tape(mut tape: Tape, options: WorldOptions) -> World {
        if !options.is_recording {
            tape.stop_recording();
        }
        World { kernel: Rc::new(Kernel::new(tape, &options)), options }
    }

    /// Starts a process on a node that runs none: a new node, or one that stopped or crashed.
    ///
    /// `main` runs on every shard, as by [`boot`](crate::boot()).
    ///
    /// # Panics
    /// When a process runs on the node already, or without a shard.
    pub fn start<E, F, Fut>(&self, node: NodeKey, shards: u16, main: F) -> Run<E>
    where
        E: From<BootError> + Send + 'static,
        F: Fn(Shard) -> Fut + Send + Sync + Clone + 'static,
        Fut: Future<Output = Result<(), E>> + 'static,
    {
        assert!(shards > 0, "{node}: a process has at least one shard");
        self.add_node(node);
        let stop = StopHandle::new();
        let had_power = {
            let mut nodes = self.kernel.nodes.borrow_mut();
            let Some(state) = nodes.get_mut(&node) else { unreachable!("it was just added") };
            assert!(!state.is_running(), "{node} runs already");
            state.mains_running = usize::from(shards);
            state.is_paused = false;
            state.stop = stop.clone();
            std::mem::replace(&mut state.has_power, true)
        };
        if !had_power {
            let booted = self.boot_time();
            let now = self.now();
            self.kernel.change_clock(node, |node| node.clock.reboot(now, booted));
            self.kernel.network.borrow_mut().power_back(&self.kernel, node);
        }
        self.kernel.note(TraceKind::Start, node, What::Start(node));
        run::start(&self.kernel, node, shards, &stop, &main)
    }

    /// Makes a node known without starting a process: its disk and links can be set up, and its
    /// address refuses connections.
    pub fn add_node(&self, node: NodeKey) {
        if self.kernel.nodes.borrow().contains_key(&node) {
            return;
        }
        let state = Node::new(self.boot_time(), self.options.wall);
        self.kernel.nodes.borrow_mut().insert(node, state);
        self.kernel.disks.borrow_mut().add(node, self.options.disk);
    }

    /// Asks a node's process to stop; it ends when its mains return.
    pub fn stop(&self, node: NodeKey) {
        let stop = self.kernel.nodes.borrow().get(&node).map(|node| node.stop.clone());
        if let Some(stop) = stop {
            stop.stop();
        }
    }

    /// Ends a node's process where it stands; does the same to the disk of one that runs none.
    pub fn crash(&self, node: NodeKey, kind: CrashKind) {
        let kernel = &self.kernel;
        self.add_node(node);
        kernel.note(TraceKind::Crash, node, What::Crash(node, kind));
        if kind == CrashKind::PowerLoss {
            if let Some(state) = kernel.nodes.borrow_mut().get_mut(&node) {
                state.has_power = false;
            }
            // First of all: what the fibers' destructors close must not reach anybody.
            kernel.network.borrow_mut().power_lost(kernel, node);
        }
        kernel.end_process(node);
        kernel.disks.borrow_mut().crash(kernel, node, kind);
    }

    /// Lets a node stand still while time goes on: its fibers do not run; its system still
    /// takes connections, bytes and disk results for them.
    pub fn pause(&self, node: NodeKey) {
        self.set_paused(node, true);
    }

    /// Ends a pause.
    pub fn resume(&self, node: NodeKey) {
        self.set_paused(node, false);
    }

    fn set_paused(&self, node: NodeKey, is_paused: bool) {
        if let Some(state) = self.kernel.nodes.borrow_mut().get_mut(&node) {
            state.is_paused = is_paused;
        }
        self.kernel.set_paused(node, is_paused);
    }

    /// True while a process runs on the node.
    pub fn is_running(&self, node: NodeKey) -> bool {
        self.kernel.nodes.borrow().get(&node).is_some_and(Node::is_running)
    }

    /// Has a node's monotonic clock gain so many microseconds a second from now on.
    pub fn set_drift(&self, node: NodeKey, drift_ppm: i64) {
        self.add_node(node);
        let now = self.now();
        self.kernel.change_clock(node, |node| node.clock.set_drift(now, drift_ppm));
    }

    /// Moves a node's wall clock by so many milliseconds, either way.
    pub fn jump_wall(&self, node: NodeKey, milliseconds: i64) {
        self.add_node(node);
        self.kernel.change_clock(node, |node| node.clock.jump_wall(milliseconds));
    }

    /// What a node's monotonic clock shows.
    pub fn local_time(&self, node: NodeKey) -> Moment {
        self.kernel.local_time(node)
    }

    /// What a node's wall clock shows.
    pub fn wall_time(&self, node: NodeKey) -> WallTime {
        self.kernel.wall_time(node)
    }

    /// A node's disk, which outlives its processes.
    pub fn disk(&self, node: NodeKey) -> DiskHandle {
        self.add_node(node);
        DiskHandle::new(Rc::clone(&self.kernel), node)
    }

    /// The network.
    pub fn network(&self) -> NetworkHandle {
        NetworkHandle::new(Rc::clone(&self.kernel))
    }

    /// Lets things happen until `condition` holds; false when it does not after `limit`.
    ///
    /// The condition is looked at after each single thing that happens.
    ///
    /// # Errors
    /// What ended the run; it does not go on afterwards.
    pub fn run_until(
        &self,
        mut condition: impl FnMut(&World) -> bool,
        limit: Duration,
    ) -> Result<bool, Failure> {
        let end = self.now() + limit;
        loop {
            if let Some(failure) = self.kernel.failure() {
                return Err(failure);
            }
            if condition(self) {
                return Ok(true);
            }
            if self.now() > end || self.kernel.step(end) == Step::Idle {
                return Ok(condition(self));
            }
        }
    }

    /// Lets things happen for so long.
    ///
    /// # Errors
    /// As for [`run_until`](Self::run_until).
    pub fn run_for(&self, duration: Duration) -> Result<(), Failure> {
        self.run_until(|_| false, duration).map(drop)
    }

    /// World time since the start; what a perfect clock shows.
    pub fn now(&self) -> Moment {
        self.kernel.now()
    }

    /// A number that is the same after the same things happened in the same order.
    pub fn trace_hash(&self) -> u64 {
        self.kernel.trace.hash()
    }

    /// Number of polls, timers, disk and network events so far.
    pub fn events(&self) -> u64 {
        self.kernel.trace.events()
    }

    /// The choices made so far; none, when the options say so.
    pub fn recording(&self) -> Recording {
        self.kernel.with_tape(|tape| tape.recording())
    }

    /// A number in `0..n` from the tape, for the test's own decisions; 0 is the tame answer.
    pub fn choose(&self, site: &'static str, n: u64) -> u64 {
        self.kernel.choose(site, n)
    }

    /// Names of the fibers on a node, in order of spawning.
    pub fn fiber_names(&self, node: NodeKey) -> Vec<&'static str> {
        self.kernel.fiber_names(node)
    }

    /// Tells `observer` of everything that happens from now on, in place of an earlier one. It
    /// changes nothing of what happens.
    pub fn observe(&self, observer: impl FnMut(&Happening) + 'static) {
        self.kernel.observer.set(Box::new(observer));
    }

    fn boot_time(&self) -> Moment {
        let nanos = u64::try_from(BOOT_TIME_MAX.as_nanos()).unwrap_or(u64::MAX);
        Moment::from_nanos(self.choose("node.boot", nanos))
    }
}

impl Drop for World {
    /// Fibers hold the kernel and the kernel the fibers: here the circle is cut.
    fn drop(&mut self) {
        let nodes: Vec<_> = self.kernel.nodes.borrow().keys().copied().collect();
        for node in nodes {
            self.kernel.end_process(node);
        }
    }
}

/// The ends of processes.
impl Kernel {
    /// A main returned; behind the last one the process ends.
    pub(super) fn main_ended(&self, node: NodeKey) {
        let is_last = {
            let mut nodes = self.nodes.borrow_mut();
            let Some(state) = nodes.get_mut(&node) else { return };
            state.mains_running -= 1;
            state.mains_running == 0
        };
        if is_last {
            self.end_process(node);
        }
    }

    /// Drops all fibers; the system closes what they left open.
    pub(super) fn end_process(&self, node: NodeKey) {
        if let Some(state) = self.nodes.borrow_mut().get_mut(&node) {
            state.mains_running = 0;
            state.is_paused = false;
        }
        self.drop_fibers(node);
        let mut network = self.network.borrow_mut();
        network.close_lost_ends(self);
        if self.has_power(node) {
            network.process_died(self, node);
        }
    }
}
