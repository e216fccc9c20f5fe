//! Which fiber runs next.
//!
//! Each shard of a running node is a lane with a queue of ready fibers. The tape picks a lane among
//! those that have one, for every single poll, so that shards interleave in every way that threads
//! could. Inside a lane fibers run first in, first out, as they do in production: an order that can
//! never happen there would only find bugs that are none. [`FiberOrder::Seeded`] lifts that.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::arena::{Arena, Key};
use super::node::NodeKey;
use super::tape::Tape;

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// In which order the ready fibers of one shard run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FiberOrder {
    /// First in, first out: what production does.
    #[default]
    Fifo,
    /// The tape picks one: finds code that leans on the order.
    Seeded,
}

/// Number of a lane; a restarted node gets new ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LaneId(u32);

pub(crate) struct Scheduler {
    fibers: Arena<FiberState>,
    lanes: Vec<Lane>,
    /// Lanes that may run and have a ready fiber, each once.
    ready: VecDeque<LaneId>,
    inbox: Arc<Inbox>,
    woken: Vec<Key>,
    order: FiberOrder,
    next_fiber: u64,
}

struct FiberState {
    /// Absent while it is polled.
    task: Option<Task>,
    lane: LaneId,
    name: &'static str,
    number: u64,
    handle: Arc<FiberWaker>,
    waker: Waker,
}

struct Lane {
    node: NodeKey,
    shard: u16,
    queue: VecDeque<Key>,
    is_listed: bool,
    is_paused: bool,
    is_alive: bool,
}

/// A fiber on its way to be polled.
pub(crate) struct Turn {
    pub(crate) key: Key,
    pub(crate) task: Task,
    pub(crate) waker: Waker,
    pub(crate) label: FiberLabel,
}

/// Who a fiber is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FiberLabel {
    pub(crate) node: NodeKey,
    pub(crate) shard: u16,
    pub(crate) name: &'static str,
    /// Number of the spawn within the world.
    pub(crate) number: u64,
}

impl Scheduler {
    pub(crate) fn new(order: FiberOrder) -> Scheduler {
        Scheduler {
            fibers: Arena::new(),
            lanes: Vec::new(),
            ready: VecDeque::new(),
            inbox: Arc::default(),
            woken: Vec::new(),
            order,
            next_fiber: 0,
        }
    }

    pub(crate) fn add_lane(&mut self, node: NodeKey, shard: u16) -> LaneId {
        let lane = Lane {
            node,
            shard,
            queue: VecDeque::new(),
            is_listed: false,
            is_paused: false,
            is_alive: true,
        };
        self.lanes.push(lane);
        LaneId(self.lanes.len() as u32 - 1)
    }

    /// Adds a fiber that is ready at once; gives the task back when its lane is dead.
    pub(crate) fn spawn(&mut self, lane: LaneId, name: &'static str, task: Task) -> Option<Task> {
        if !self.lane(lane).is_alive {
            return Some(task);
        }
        let key = self.fibers.next_key();
        let inbox = Arc::clone(&self.inbox);
        let handle = Arc::new(FiberWaker { key, is_queued: AtomicBool::new(true), inbox });
        let waker = Waker::from(Arc::clone(&handle));
        let number = self.next_fiber;
        self.next_fiber += 1;
        let state = FiberState { task: Some(task), lane, name, number, handle, waker };
        let inserted = self.fibers.insert(state);
        assert!(inserted == key, "the arena gives the key it announced");
        self.enqueue(key);
        None
    }

    /// Puts fibers that were woken into the queues of their lanes.
    pub(crate) fn collect_woken(&mut self) {
        let mut woken = std::mem::take(&mut self.woken);
        std::mem::swap(&mut *self.inbox.lock(), &mut woken);
        for key in woken.drain(..) {
            self.enqueue(key);
        }
        self.woken = woken;
    }

    fn enqueue(&mut self, key: Key) {
        let Some(fiber) = self.fibers.get(key) else { return };
        let id = fiber.lane;
        let lane = &mut self.lanes[id.0 as usize];
        lane.queue.push_back(key);
        if !lane.is_listed && !lane.is_paused {
            lane.is_listed = true;
            self.ready.push_back(id);
        }
    }

    /// Takes the next fiber to run.
    pub(crate) fn next_turn(&mut self, tape: &mut Tape) -> Option<Turn> {
        while !self.ready.is_empty() {
            let position = tape.choose("scheduler.shard", self.ready.len() as u64) as usize;
            let id = self.ready.remove(position)?;
            let lane = &mut self.lanes[id.0 as usize];
            let key = match self.order {
                FiberOrder::Fifo => lane.queue.pop_front(),
                FiberOrder::Seeded => {
                    let position = tape.choose("scheduler.fiber", lane.queue.len() as u64);
                    lane.queue.remove(position as usize)
                }
            };
            // To the back: a tape of zeros is a fair round robin.
            lane.is_listed = !lane.queue.is_empty();
            if lane.is_listed {
                self.ready.push_back(id);
            }
            let (node, shard) = (lane.node, lane.shard);
            // A fiber that ended after it was woken leaves a dead key.
            let Some(key) = key else { continue };
            let Some(fiber) = self.fibers.get_mut(key) else { continue };
            let Some(task) = fiber.task.take() else { continue };
            fiber.handle.is_queued.store(false, Ordering::Relaxed);
            let label = FiberLabel { node, shard, name: fiber.name, number: fiber.number };
            return Some(Turn { key, task, waker: fiber.waker.clone(), label });
        }
        None
    }

    /// Puts back a fiber that is not done; gives the task back when its node died meanwhile.
    pub(crate) fn put_back(&mut self, key: Key, task: Task) -> Option<Task> {
        match self.fibers.get_mut(key) {
            Some(fiber) => {
                fiber.task = Some(task);
                None
            }
            None => Some(task),
        }
    }

    pub(crate) fn finish(&mut self, key: Key) {
        self.fibers.remove(key);
    }

    /// Stops all lanes of a node for good; the caller drops what its fibers were.
    #[must_use = "dropping the tasks under a borrow of the kernel would call back into it"]
    pub(crate) fn remove_node(&mut self, node: NodeKey) -> Vec<Task> {
        for lane in self.lanes.iter_mut().filter(|lane| lane.node == node) {
            lane.is_alive = false;
            lane.is_listed = false;
            lane.queue.clear();
        }
        let lanes = &self.lanes;
        self.ready.retain(|id| lanes[id.0 as usize].is_alive);
        let dead = self.fibers.keys_where(|fiber| lanes[fiber.lane.0 as usize].node == node);
        dead.into_iter().filter_map(|key| self.fibers.remove(key)?.task).collect()
    }

    /// Keeps the node's fibers from running, or lets them run again.
    pub(crate) fn set_paused(&mut self, node: NodeKey, is_paused: bool) {
        for (position, lane) in self.lanes.iter_mut().enumerate() {
            if lane.node != node || !lane.is_alive {
                continue;
            }
            lane.is_paused = is_paused;
            if is_paused {
                lane.is_listed = false;
            } else if !lane.is_listed && !lane.queue.is_empty() {
                lane.is_listed = true;
                self.ready.push_back(LaneId(position as u32));
            }
        }
        let lanes = &self.lanes;
        self.ready.retain(|id| lanes[id.0 as usize].is_listed);
    }

    /// Names of the fibers that exist on a node, in order of spawning.
    pub(crate) fn fiber_names(&self, node: NodeKey) -> Vec<&'static str> {
        let on_node = |fiber: &&FiberState| self.lane(fiber.lane).node == node;
        let mut fibers: Vec<_> =
            self.fibers.iter().map(|(_, fiber)| fiber).filter(on_node).collect();
        fibers.sort_by_key(|fiber| fiber.number);
        fibers.iter().map(|fiber| fiber.name).collect()
    }

    fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id.0 as usize]
    }
}

/// Keys of fibers that were woken, in order. A mutex because wakers are `Send`; it is never
/// contended, as there is one thread.
#[derive(Default)]
struct Inbox(Mutex<Vec<Key>>);

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct FiberWaker {
    key: Key,
    is_queued: AtomicBool,
    inbox: Arc<Inbox>,
}

impl Wake for FiberWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.inbox.lock().push(self.key);
        }
    }
}
