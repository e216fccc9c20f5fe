//! What all nodes of a world share: its time, its tape, and the one step that drives everything.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use moment::{Moment, WallTime};

use super::arena::Key;
use super::disk::Disks;
use super::events::{Event, EventQueue};
use super::failure::{Failure, FailureCause};
use super::happening::{Observer, What};
use super::network::Fabric;
use super::node::{Node, NodeKey};
use super::options::WorldOptions;
use super::scheduler::{FiberLabel, LaneId, Scheduler, Task, Turn};
use super::tape::Tape;
use super::timers::{Sleep, Timer, Timers};
use super::trace::{Trace, TraceKind};
use crate::ShardId;
use crate::fiber::panic_message;

/// The simulated operating systems and the wire between them.
///
/// Every part has its own cell, and no fiber code runs while one is borrowed: tasks are polled and
/// dropped with all cells free, and wakers of fibers only write to the scheduler's inbox.
pub(crate) struct Kernel {
    now: Cell<Moment>,
    poll_cost: Duration,
    spin_limit: u64,
    polls_since_event: Cell<u64>,
    tape: RefCell<Tape>,
    events: RefCell<EventQueue>,
    timers: RefCell<Timers>,
    scheduler: RefCell<Scheduler>,
    pub(crate) nodes: RefCell<BTreeMap<NodeKey, Node>>,
    pub(crate) disks: RefCell<Disks>,
    pub(crate) network: RefCell<Fabric>,
    pub(crate) trace: Trace,
    pub(crate) observer: Observer,
    failure: RefCell<Option<Failure>>,
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A fiber ran, an event happened, or time moved to the next event.
    Progress,
    /// Nothing can happen before the limit; the time is the limit now.
    Idle,
}

impl Kernel {
    pub(crate) fn new(tape: Tape, options: &WorldOptions) -> Kernel {
        Kernel {
            now: Cell::new(Moment::ZERO),
            poll_cost: options.poll_cost,
            spin_limit: options.spin_limit,
            polls_since_event: Cell::new(0),
            tape: RefCell::new(tape),
            events: RefCell::new(EventQueue::new()),
            timers: RefCell::new(Timers::new()),
            scheduler: RefCell::new(Scheduler::new(options.fiber_order)),
            nodes: RefCell::default(),
            disks: RefCell::new(Disks::new()),
            network: RefCell::new(Fabric::new(options.network)),
            trace: Trace::new(),
            observer: Observer::default(),
            failure: RefCell::new(None),
        }
    }

    /// World time.
    pub(crate) fn now(&self) -> Moment {
        self.now.get()
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// Ends the run, unless it ended before.
    pub(crate) fn fail(&self, failure: Failure) {
        self.failure.borrow_mut().get_or_insert(failure);
    }

    pub(crate) fn choose(&self, site: &'static str, n: u64) -> u64 {
        self.tape.borrow_mut().choose(site, n)
    }

    pub(crate) fn one_in(&self, site: &'static str, n: u64) -> bool {
        self.tape.borrow_mut().one_in(site, n)
    }

    /// The tape, for those who choose many times.
    pub(crate) fn with_tape<R>(&self, choose: impl FnOnce(&mut Tape) -> R) -> R {
        choose(&mut self.tape.borrow_mut())
    }

    /// Has `event` happen after `delay`.
    pub(crate) fn schedule(&self, delay: Duration, event: Event) {
        self.events.borrow_mut().push(self.now() + delay, event);
    }

    pub(crate) fn schedule_at(&self, at: Moment, event: Event) {
        self.events.borrow_mut().push(at, event);
    }

    /// Does the next thing, or moves to `limit` when there is none before it.
    pub(crate) fn step(&self, limit: Moment) -> Step {
        let next = self.next_event_time();
        if next.is_some_and(|at| at <= self.now()) {
            self.happen();
            return Step::Progress;
        }
        let turn = {
            let mut scheduler = self.scheduler.borrow_mut();
            scheduler.collect_woken();
            scheduler.next_turn(&mut self.tape.borrow_mut())
        };
        if let Some(turn) = turn {
            self.run(turn);
            return Step::Progress;
        }
        if self.network.borrow_mut().close_lost_ends(self) {
            return Step::Progress;
        }
        match next {
            Some(at) if at <= limit => {
                self.now.set(at);
                Step::Progress
            }
            _ => {
                self.now.set(self.now().max(limit));
                Step::Idle
            }
        }
    }

    /// Time of the next event that still means something.
    fn next_event_time(&self) -> Option<Moment> {
        let mut events = self.events.borrow_mut();
        loop {
            let (at, event) = events.peek()?;
            match event {
                Event::Timer(key) if self.timers.borrow().get(key).is_none() => events.pop(),
                _ => return Some(at),
            };
        }
    }

    fn happen(&self) {
        let Some((_, event)) = self.events.borrow_mut().pop() else { return };
        self.polls_since_event.set(0);
        let nanos = self.now().as_nanos();
        self.observer.tell(self.now(), || self.what(event));
        match event {
            Event::Timer(key) => {
                self.trace.add(TraceKind::Timer, nanos, u64::from(key.slot));
                self.fire_timer(key);
            }
            Event::Disk(key) => {
                self.trace.add(TraceKind::Disk, nanos, u64::from(key.slot));
                self.disks.borrow_mut().complete(self, key);
            }
            Event::Network(event) => {
                self.trace.add(TraceKind::Network, nanos, event.trace_number());
                self.network.borrow_mut().happen(self, event);
            }
        }
    }

    /// An event in terms of nodes.
    fn what(&self, event: Event) -> Option<What> {
        match event {
            Event::Timer(key) => Some(What::Timer(self.timers.borrow().get(key)?.node)),
            Event::Disk(key) => Some(What::Disk(self.disks.borrow().node_of(key)?)),
            Event::Network(event) => {
                let (from, to) = self.network.borrow().way_of(event)?;
                Some(What::Network(from, to))
            }
        }
    }

    fn run(&self, turn: Turn) {
        let Turn { key, mut task, waker, label } = turn;
        let who = u64::from(label.node.0) << 48 | u64::from(label.shard) << 32 | label.number;
        self.trace.add(TraceKind::Poll, self.now().as_nanos(), who);
        self.observer.tell(self.now(), || {
            let FiberLabel { node, shard, name: fiber, .. } = label;
            Some(What::Poll { node, shard: ShardId(shard), fiber })
        });
        let mut context = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut context))) {
            Ok(Poll::Pending) => {
                let orphan = self.scheduler.borrow_mut().put_back(key, task);
                drop(orphan);
            }
            Ok(Poll::Ready(())) => {
                self.scheduler.borrow_mut().finish(key);
                drop(task);
            }
            Err(panic) => {
                self.scheduler.borrow_mut().finish(key);
                let message = panic_message(panic.as_ref());
                self.fail_fiber(label, FailureCause::Panicked(message));
            }
        }
        self.now.set(self.now() + self.poll_cost);
        self.polls_since_event.set(self.polls_since_event.get() + 1);
        if self.polls_since_event.get() > self.spin_limit {
            let polls = self.polls_since_event.get();
            self.fail_fiber(label, FailureCause::Spinning { polls });
        }
    }

    fn fail_fiber(&self, label: FiberLabel, cause: FailureCause) {
        let FiberLabel { node, shard, name, .. } = label;
        let fiber = format!("fiber {name}");
        self.fail(Failure { node, shard: ShardId(shard), fiber, at: self.now(), cause });
    }

    /// Adds something that is no event of the queue to trace and observation.
    pub(crate) fn note(&self, kind: TraceKind, node: NodeKey, what: What) {
        self.trace.add(kind, self.now().as_nanos(), u64::from(node.0));
        self.observer.tell(self.now(), || Some(what));
    }

    pub(crate) fn add_lane(&self, node: NodeKey, shard: ShardId) -> LaneId {
        self.scheduler.borrow_mut().add_lane(node, shard.0)
    }

    pub(crate) fn spawn(&self, lane: LaneId, name: &'static str, task: Task) {
        let refused = self.scheduler.borrow_mut().spawn(lane, name, task);
        drop(refused);
    }

    pub(crate) fn set_paused(&self, node: NodeKey, is_paused: bool) {
        self.scheduler.borrow_mut().set_paused(node, is_paused);
    }

    /// Drops every fiber of a node.
    pub(crate) fn drop_fibers(&self, node: NodeKey) {
        let tasks = self.scheduler.borrow_mut().remove_node(node);
        drop(tasks);
    }

    /// False for a node that is off, and for one that does not exist.
    pub(crate) fn has_power(&self, node: NodeKey) -> bool {
        self.nodes.borrow().get(&node).is_some_and(|node| node.has_power)
    }

    pub(crate) fn fiber_names(&self, node: NodeKey) -> Vec<&'static str> {
        self.scheduler.borrow().fiber_names(node)
    }
}

/// The clocks of the nodes and the waits for them.
impl Kernel {
    pub(crate) fn local_time(&self, node: NodeKey) -> Moment {
        self.nodes.borrow().get(&node).map_or(self.now(), |node| node.clock.local(self.now()))
    }

    pub(crate) fn wall_time(&self, node: NodeKey) -> WallTime {
        let millis = self.now().as_nanos() / 1_000_000;
        let nodes = self.nodes.borrow();
        nodes.get(&node).map_or(WallTime::from_millis(millis), |node| node.clock.wall(self.now()))
    }

    pub(crate) fn sleep_until(&self, node: NodeKey, deadline: Moment) -> Sleep<'_> {
        Sleep::new(self, node, deadline)
    }

    pub(crate) fn add_timer(&self, timer: Timer) -> Key {
        let at = self.world_time(timer.node, timer.deadline);
        let key = self.timers.borrow_mut().insert(timer);
        self.schedule_at(at, Event::Timer(key));
        key
    }

    /// Hands a timer another waker; false when it has fired.
    pub(crate) fn renew_timer(&self, key: Key, waker: &Waker) -> bool {
        match self.timers.borrow_mut().get_mut(key) {
            Some(timer) => {
                timer.waker.clone_from(waker);
                true
            }
            None => false,
        }
    }

    pub(crate) fn cancel_timer(&self, key: Key) {
        let timer = self.timers.borrow_mut().remove(key);
        if timer.is_some() {
            let timers = self.timers.borrow();
            self.events.borrow_mut().note_stale(|event| match event {
                Event::Timer(key) => timers.get(*key).is_some(),
                _ => true,
            });
        }
    }

    /// Changes a node's clock; its sleepers get their new times.
    pub(crate) fn change_clock(&self, node: NodeKey, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(&node) {
            change(node);
        }
        let waiting = self.timers.borrow().keys_where(|timer| timer.node == node);
        for key in waiting {
            let deadline = self.timers.borrow().get(key).map(|timer| timer.deadline);
            if let Some(deadline) = deadline {
                self.schedule_at(self.world_time(node, deadline), Event::Timer(key));
            }
        }
    }

    /// Wakes the sleeper, or goes on waiting when its clock was slowed down meanwhile.
    fn fire_timer(&self, key: Key) {
        let Some((node, deadline)) =
            self.timers.borrow().get(key).map(|timer| (timer.node, timer.deadline))
        else {
            return;
        };
        if self.local_time(node) < deadline {
            self.schedule_at(self.world_time(node, deadline), Event::Timer(key));
            return;
        }
        let timer = self.timers.borrow_mut().remove(key);
        if let Some(timer) = timer {
            timer.waker.wake();
        }
    }

    fn world_time(&self, node: NodeKey, local: Moment) -> Moment {
        self.nodes.borrow().get(&node).map_or(local, |node| node.clock.world(local))
    }
}
