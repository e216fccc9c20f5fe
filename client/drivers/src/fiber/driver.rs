//! The loop around the core: a fiber for the time, two for each connection.
//!
//! Every fiber that feeds the core calls [`Driver::drive`], which does all that the core wants.
//! Nothing here is borrowed over an await.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use client_core::{Action, Completion, Core, Error, LinkId, Operation, RequestId};
use moment::Moment;
use runtime::{FiberGroup, ReadHalf, Shard, Signal, WriteHalf, race};

use crate::notices::Notices;

pub(super) struct Driver {
    shard: Shard,
    core: RefCell<Core>,
    /// By number of the link: what to cancel, and what tells its writer of bytes.
    connections: RefCell<Vec<Option<Connection>>>,
    /// By slot of the request.
    callers: RefCell<Vec<Caller>>,
    notices: RefCell<Notices>,
    timer: FiberGroup,
    /// Until when the timer sleeps.
    alarm: Cell<Moment>,
    earlier: Signal,
}

#[derive(Clone)]
struct Connection {
    fibers: FiberGroup,
    has_bytes: Rc<Signal>,
}

#[derive(Clone, Default)]
enum Caller {
    #[default]
    Absent,
    Waiting(Waker),
    Finished,
}

/// Where the bytes of one read arrive.
const READ_BYTES: usize = 64 << 10;

impl Driver {
    pub(super) fn start(shard: &Shard, core: Core) -> Rc<Driver> {
        let driver = Rc::new(Driver {
            shard: shard.clone(),
            connections: RefCell::new(vec![None; core.link_count()]),
            callers: RefCell::new(vec![Caller::Absent; core.options().calls_max]),
            core: RefCell::new(core),
            notices: RefCell::default(),
            timer: FiberGroup::new(shard, "client"),
            alarm: Cell::new(Moment::MAX),
            earlier: Signal::new(),
        });
        driver.timer.spawn_daemon("timer", Rc::clone(&driver).keep_time());
        driver
    }

    /// Ends all fibers; no call finishes any more.
    pub(super) fn stop(&self) {
        self.timer.cancel();
        let connections = std::mem::take(&mut *self.connections.borrow_mut());
        connections.into_iter().flatten().for_each(|connection| connection.fibers.cancel());
    }

    pub(super) fn submit<O: Operation>(
        self: &Rc<Driver>,
        operation: &O,
    ) -> Result<RequestId, Error> {
        let request = self.core.borrow_mut().submit(operation, self.shard.clock().now())?;
        self.callers.borrow_mut()[request.slot()] = Caller::Absent;
        self.drive();
        Ok(request)
    }

    /// Reads the completion once it is there.
    pub(super) fn poll_finished<R>(
        &self,
        request: RequestId,
        context: &Context<'_>,
        read: impl FnOnce(Completion<'_>) -> R,
    ) -> Poll<R> {
        let caller = &mut self.callers.borrow_mut()[request.slot()];
        if !matches!(caller, Caller::Finished) {
            *caller = Caller::Waiting(context.waker().clone());
            return Poll::Pending;
        }
        *caller = Caller::Absent;
        match self.core.borrow_mut().take(request, read) {
            Some(result) => Poll::Ready(result),
            None => unreachable!("a caller takes its completion once"),
        }
    }

    pub(super) fn abandon(&self, request: RequestId) {
        self.callers.borrow_mut()[request.slot()] = Caller::Absent;
        self.core.borrow_mut().abandon(request);
    }

    /// Does something with lock objects or watches, and then what the core wants because of it.
    pub(super) fn act<R>(
        self: &Rc<Driver>,
        act: impl FnOnce(&mut Core, &mut Notices, Moment) -> R,
    ) -> R {
        let now = self.shard.clock().now();
        let result = act(&mut self.core.borrow_mut(), &mut self.notices.borrow_mut(), now);
        self.drive();
        result
    }

    pub(super) fn with_notices<R>(&self, look: impl FnOnce(&mut Notices) -> R) -> R {
        look(&mut self.notices.borrow_mut())
    }

    pub(super) fn now(&self) -> Moment {
        self.shard.clock().now()
    }

    pub(super) fn with_core<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.core.borrow())
    }

    /// Does all that the core wants to be done.
    fn drive(self: &Rc<Driver>) {
        let mut core = self.core.borrow_mut();
        let mut cancelled = Vec::new();
        while let Some(action) = core.next_action() {
            let mut connections = self.connections.borrow_mut();
            match action {
                Action::Connect { link, address } => {
                    connections[link.index()] = Some(self.connect(link, address));
                }
                Action::Disconnect { link } => cancelled.extend(connections[link.index()].take()),
            }
        }
        for (link, connection) in (0..).map(LinkId).zip(&*self.connections.borrow()) {
            if let Some(connection) = connection
                && !core.outgoing(link).is_empty()
            {
                connection.has_bytes.set();
            }
        }
        while let Some(request) = core.next_finished() {
            let caller = &mut self.callers.borrow_mut()[request.slot()];
            if let Caller::Waiting(waker) = std::mem::replace(caller, Caller::Finished) {
                waker.wake();
            }
        }
        while let Some(event) = core.next_event() {
            if let Some(waker) = self.notices.borrow_mut().deliver(event) {
                waker.wake();
            }
        }
        if core.next_deadline() < self.alarm.get() {
            self.earlier.set();
        }
        drop(core);
        // Destructors of fibers run here.
        cancelled.into_iter().for_each(|connection| connection.fibers.cancel());
    }

    async fn keep_time(self: Rc<Driver>) {
        loop {
            self.alarm.set(self.with_core(Core::next_deadline));
            race(self.earlier.wait(), self.shard.clock().sleep_until(self.alarm.get())).await;
            let now = self.shard.clock().now();
            if self.with_core(Core::next_deadline) <= now {
                self.core.borrow_mut().tick(now);
                self.drive();
            }
        }
    }

    fn connect(self: &Rc<Driver>, link: LinkId, address: SocketAddr) -> Connection {
        let fibers = FiberGroup::new(&self.shard, "connection");
        let connection = Connection { fibers, has_bytes: Rc::default() };
        let own = connection.clone();
        let driver = Rc::clone(self);
        connection.fibers.spawn_daemon("reader", async move {
            if let Ok(stream) = driver.shard.network().connect(address).await {
                let (reader, writer) = stream.split();
                driver.core.borrow_mut().link_up(link, driver.shard.clock().now());
                driver.drive();
                let writing = Rc::clone(&driver).write(link, own.clone(), writer);
                own.fibers.spawn_daemon("writer", writing);
                driver.read(link, &own, reader).await;
            }
            driver.lose(link, &own);
        });
        connection
    }

    /// Until the connection has ended.
    async fn read(self: &Rc<Driver>, link: LinkId, own: &Connection, mut reader: ReadHalf) {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            // The core may have given this connection up, and have opened another one.
            if own.fibers.is_stopping() {
                return;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            self.core.borrow_mut().received(link, bytes, self.shard.clock().now());
            self.drive();
        }
    }

    async fn write(self: Rc<Driver>, link: LinkId, own: Connection, mut writer: WriteHalf) {
        let mut bytes = Vec::new();
        while !own.fibers.is_stopping() {
            std::mem::swap(&mut bytes, self.core.borrow_mut().outgoing(link));
            if bytes.is_empty() {
                own.has_bytes.wait().await;
            } else if writer.write_all(&bytes).await.is_err() {
                break;
            }
            bytes.clear();
        }
        self.lose(link, &own);
    }

    /// The connection is of no use any more; if it still is the link's, the core learns of it.
    fn lose(self: &Rc<Driver>, link: LinkId, own: &Connection) {
        if !own.fibers.is_stopping() {
            self.connections.borrow_mut()[link.index()] = None;
            self.core.borrow_mut().link_down(link, self.shard.clock().now());
            own.fibers.cancel();
            self.drive();
        }
    }
}
