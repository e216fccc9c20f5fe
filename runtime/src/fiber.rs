//! Fibers and their owners.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::condition::{Condition, Signal};
use crate::oneshot::{OneReceiver, oneshot};
use crate::shard::{Backend, Shard};

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// An owner of fibers, which stops them and waits for them as a whole; clones are the same group.
///
/// Dropping the last handle leaves the fibers running until the shard ends.
#[derive(Clone)]
pub struct FiberGroup(Rc<Group>);

struct Group {
    name: &'static str,
    spawner: Spawner,
    stopping: Cell<bool>,
    stop_asked: Condition,
    /// Fibers that `join` waits for; equals the members that are no daemons.
    normal: Cell<usize>,
    all_ended: Condition,
    next_key: Cell<u64>,
    members: RefCell<BTreeMap<u64, Rc<Member>>>,
}

/// What starts fibers on a shard, and where their panics are told.
#[derive(Clone)]
pub(crate) struct Spawner {
    pub(crate) backend: Backend,
    pub(crate) failure: Rc<Failure>,
    groups: Rc<RefCell<Vec<Weak<Group>>>>,
}

impl Spawner {
    pub(crate) fn new(backend: Backend) -> Spawner {
        Spawner { backend, failure: Rc::default(), groups: Rc::default() }
    }

    /// Drops every fiber of the shard, so that nothing of it outlives the executor.
    pub(crate) fn cancel_all(&self) {
        let groups = std::mem::take(&mut *self.groups.borrow_mut());
        for group in groups.iter().filter_map(Weak::upgrade) {
            FiberGroup(group).cancel();
        }
    }

    fn register(&self, group: &Rc<Group>) {
        let mut groups = self.groups.borrow_mut();
        // Forgets ended groups whenever the list would grow, so it stays as long as it needs to.
        if groups.len() == groups.capacity() {
            groups.retain(|group| group.strong_count() > 0);
        }
        groups.push(Rc::downgrade(group));
    }
}

struct Member {
    daemon: bool,
    /// Absent while it is polled and after the end.
    body: RefCell<Option<Body>>,
    waker: RefCell<Option<Waker>>,
    cancelled: Cell<bool>,
}

impl FiberGroup {
    /// A group of its own; nothing stops it but its owner.
    pub fn new(shard: &Shard, name: &'static str) -> FiberGroup {
        FiberGroup::with_spawner(shard.spawner().clone(), name)
    }

    pub(crate) fn with_spawner(spawner: Spawner, name: &'static str) -> FiberGroup {
        let group = Rc::new(Group {
            name,
            spawner,
            stopping: Cell::new(false),
            stop_asked: Condition::new(),
            normal: Cell::new(0),
            all_ended: Condition::new(),
            next_key: Cell::new(0),
            members: RefCell::new(BTreeMap::new()),
        });
        group.spawner.register(&group);
        FiberGroup(group)
    }

    /// Starts a fiber that [`join`](Self::join) waits for. Dropping the handle leaves it running.
    pub fn spawn<T: 'static>(
        &self,
        name: &'static str,
        future: impl Future<Output = T> + 'static,
    ) -> Fiber<T> {
        let (sender, receiver) = oneshot();
        self.start(name, false, async move {
            // Nobody may be waiting for the result.
            let _ = sender.send(future.await);
        });
        Fiber(receiver)
    }

    /// Starts a fiber that [`join`](Self::join) drops once the others have ended.
    pub fn spawn_daemon(&self, name: &'static str, future: impl Future<Output = ()> + 'static) {
        self.start(name, true, future);
    }

    /// Tells all fibers of the group to end. They see it where they look or wait for it.
    pub fn stop(&self) {
        self.0.stopping.set(true);
        self.0.stop_asked.notify_all();
    }

    /// True once [`stop`](Self::stop) was called.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.get()
    }

    /// Resolves once [`stop`](Self::stop) was called.
    pub async fn stopped(&self) {
        while !self.is_stopping() {
            self.0.stop_asked.wait().await;
        }
    }

    /// Waits until all normal fibers have ended, then drops the daemons. A fiber that waits for
    /// its own group waits for ever.
    pub async fn join(&self) {
        while self.0.normal.get() > 0 {
            self.0.all_ended.wait().await;
        }
        self.cancel();
    }

    /// Drops every fiber of the group where it stands. Never for fibers that write a log.
    pub fn cancel(&self) {
        self.stop();
        let members: Vec<_> = self.0.members.borrow().values().cloned().collect();
        for member in members {
            member.cancel();
        }
    }

    fn start(&self, name: &'static str, daemon: bool, future: impl Future<Output = ()> + 'static) {
        let member = Rc::new(Member {
            daemon,
            body: RefCell::new(Some(Box::pin(future))),
            waker: RefCell::new(None),
            cancelled: Cell::new(false),
        });
        let key = self.0.next_key.replace(self.0.next_key.get() + 1);
        self.0.members.borrow_mut().insert(key, Rc::clone(&member));
        if !daemon {
            self.0.normal.set(self.0.normal.get() + 1);
        }
        let task = Task { group: Rc::clone(&self.0), name, key, member };
        self.0.spawner.backend.spawn(name, Box::pin(task));
    }
}

impl Member {
    fn cancel(&self) {
        self.cancelled.set(true);
        // Taken out before it is dropped: its destructors may come back here.
        let body = self.body.borrow_mut().take();
        drop(body);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What the backend runs: the body of a fiber, which the group can take away.
struct Task {
    group: Rc<Group>,
    name: &'static str,
    key: u64,
    member: Rc<Member>,
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.member.remember(context.waker());
        let Some(mut body) = self.member.body.borrow_mut().take() else {
            return Poll::Ready(());
        };
        match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))) {
            Ok(Poll::Pending) if !self.member.cancelled.get() => {
                *self.member.body.borrow_mut() = Some(body);
                Poll::Pending
            }
            Ok(_) => Poll::Ready(()),
            Err(cause) => {
                self.group.spawner.failure.record(Panic {
                    place: format!("fiber {}/{}", self.group.name, self.name),
                    message: panic_message(cause.as_ref()),
                });
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let body = self.member.body.borrow_mut().take();
        drop(body);
        self.group.members.borrow_mut().remove(&self.key);
        if !self.member.daemon {
            self.group.normal.set(self.group.normal.get() - 1);
            if self.group.normal.get() == 0 {
                self.group.all_ended.notify_all();
            }
        }
    }
}

impl Member {
    fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if known.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// Waits for a fiber: its result, or `None` when it was cancelled or it panicked.
#[must_use = "dropping the handle leaves the fiber running; say so with `drop`"]
pub struct Fiber<T>(OneReceiver<T>);

impl<T> Future for Fiber<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

/// The first panic on a shard, which ends the node.
#[derive(Default)]
pub(crate) struct Failure {
    first: RefCell<Option<Panic>>,
    happened: Signal,
}

#[derive(Clone, Debug)]
pub(crate) struct Panic {
    pub(crate) place: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn record(&self, panic: Panic) {
        self.first.borrow_mut().get_or_insert(panic);
        self.happened.set();
    }

    pub(crate) async fn happened(&self) -> Panic {
        loop {
            if let Some(panic) = self.first.borrow().clone() {
                return panic;
            }
            self.happened.wait().await;
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_message(cause: &(dyn Any + Send)) -> String {
    if let Some(text) = cause.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = cause.downcast_ref::<String>() {
        text.clone()
    } else {
        "panic without a text".to_owned()
    }
}
