//! The loop around the core: a task for the time, one for each connection.
//!
//! All state is behind one lock, which is never held over an await. Whoever feeds the core calls
//! [`Driver::drive`] before it lets go, which does all that the core wants.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use client_core::{Action, Completion, Core, Error, LinkId, Operation, RequestId};
use moment::Moment;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::notices::Notices;

pub(super) struct Driver {
    state: Mutex<State>,
    start: Instant,
    /// Tells the timer that it has to wake up earlier.
    earlier: Notify,
}

struct State {
    core: Core,
    /// By number of the link.
    connections: Vec<Option<Connection>>,
    /// How many connections there have been: tells a task that its connection is not the link's.
    generation: u64,
    /// By slot of the request.
    callers: Vec<Caller>,
    notices: Notices,
    timer: Option<AbortHandle>,
    /// Until when the timer sleeps.
    alarm: Moment,
    stopped: bool,
}

struct Connection {
    generation: u64,
    task: AbortHandle,
    has_bytes: Arc<Notify>,
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
    pub(super) fn start(core: Core) -> Arc<Driver> {
        let state = State {
            connections: (0..core.link_count()).map(|_| None).collect(),
            generation: 0,
            callers: vec![Caller::Absent; core.options().calls_max],
            core,
            notices: Notices::default(),
            timer: None,
            alarm: Moment::MAX,
            stopped: false,
        };
        let (state, start) = (Mutex::new(state), Instant::now());
        let driver = Arc::new(Driver { state, start, earlier: Notify::new() });
        let timer = tokio::spawn(driver.clone().keep_time()).abort_handle();
        driver.state().timer = Some(timer);
        driver
    }

    /// Ends all tasks; no call finishes any more.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.timer.iter().for_each(AbortHandle::abort);
        state.connections.drain(..).flatten().for_each(|connection| connection.task.abort());
    }

    pub(super) fn submit<O: Operation>(
        self: &Arc<Driver>,
        operation: &O,
    ) -> Result<RequestId, Error> {
        self.enter(|state, now| {
            let request = state.core.submit(operation, now)?;
            state.callers[request.slot()] = Caller::Absent;
            Ok(request)
        })
    }

    /// Reads the completion once it is there.
    pub(super) fn poll_finished<R>(
        &self,
        request: RequestId,
        context: &Context<'_>,
        read: impl FnOnce(Completion<'_>) -> R,
    ) -> Poll<R> {
        let mut state = self.state();
        let caller = &mut state.callers[request.slot()];
        if !matches!(caller, Caller::Finished) {
            *caller = Caller::Waiting(context.waker().clone());
            return Poll::Pending;
        }
        *caller = Caller::Absent;
        match state.core.take(request, read) {
            Some(result) => Poll::Ready(result),
            None => unreachable!("a caller takes its completion once"),
        }
    }

    pub(super) fn abandon(&self, request: RequestId) {
        let mut state = self.state();
        state.callers[request.slot()] = Caller::Absent;
        state.core.abandon(request);
    }

    pub(super) fn with_core<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.state().core)
    }

    pub(super) fn with_notices<R>(&self, look: impl FnOnce(&mut Notices) -> R) -> R {
        look(&mut self.state().notices)
    }

    /// Does something with lock objects or watches, and then what the core wants because of it.
    pub(super) fn act<R>(
        self: &Arc<Driver>,
        act: impl FnOnce(&mut Core, &mut Notices, Moment) -> R,
    ) -> R {
        self.enter(|state, now| act(&mut state.core, &mut state.notices, now))
    }

    pub(super) fn now(&self) -> Moment {
        Moment::ZERO + self.start.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a caller's closure leaves nothing half done that the core could not bear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Feeds the core, then does all that it wants to be done.
    fn enter<R>(self: &Arc<Driver>, feed: impl FnOnce(&mut State, Moment) -> R) -> R {
        let mut woken = Vec::new();
        let mut state = self.state();
        let result = feed(&mut state, self.now());
        self.drive(&mut state, &mut woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    fn drive(self: &Arc<Driver>, state: &mut State, woken: &mut Vec<Waker>) {
        while !state.stopped
            && let Some(action) = state.core.next_action()
        {
            let (link, connection) = match action {
                Action::Connect { link, address } => {
                    state.generation += 1;
                    (link, Some(self.connect(link, address, state.generation)))
                }
                Action::Disconnect { link } => (link, None),
            };
            if let Some(old) = std::mem::replace(&mut state.connections[link.index()], connection) {
                old.task.abort();
            }
        }
        for (link, connection) in (0..).map(LinkId).zip(&state.connections) {
            if let Some(connection) = connection
                && !state.core.outgoing(link).is_empty()
            {
                connection.has_bytes.notify_one();
            }
        }
        while let Some(request) = state.core.next_finished() {
            let caller = &mut state.callers[request.slot()];
            if let Caller::Waiting(waker) = std::mem::replace(caller, Caller::Finished) {
                woken.push(waker);
            }
        }
        while let Some(event) = state.core.next_event() {
            woken.extend(state.notices.deliver(event));
        }
        if state.core.next_deadline() < state.alarm {
            self.earlier.notify_one();
        }
    }

    async fn keep_time(self: Arc<Driver>) {
        loop {
            let alarm = {
                let mut state = self.state();
                state.alarm = state.core.next_deadline();
                state.alarm
            };
            let until = alarm.since(Moment::ZERO).min(self.start.elapsed() + SLEEP_MAX);
            tokio::select! {
                () = self.earlier.notified() => {}
                () = sleep_until(self.start + until) => {}
            }
            self.enter(|state, now| {
                if state.core.next_deadline() <= now {
                    state.core.tick(now);
                }
            });
        }
    }

    fn connect(
        self: &Arc<Driver>,
        link: LinkId,
        address: SocketAddr,
        generation: u64,
    ) -> Connection {
        let has_bytes = Arc::new(Notify::new());
        let (driver, notify) = (self.clone(), has_bytes.clone());
        let task = tokio::spawn(async move {
            if let Ok(stream) = TcpStream::connect(address).await
                && stream.set_nodelay(true).is_ok()
                && driver.enter_link(link, generation, |state, now| state.core.link_up(link, now))
            {
                let reading = driver.read(link, generation, &stream);
                let writing = driver.write(link, generation, &stream, &notify);
                tokio::select! { () = reading => {}, () = writing => {} }
            }
            driver.enter_link(link, generation, |state, now| {
                state.connections[link.index()] = None;
                state.core.link_down(link, now);
            });
        });
        Connection { generation, task: task.abort_handle(), has_bytes }
    }

    /// Does something for a connection if it still is the link's; returns whether it is.
    fn enter_link(
        self: &Arc<Driver>,
        link: LinkId,
        generation: u64,
        feed: impl FnOnce(&mut State, Moment),
    ) -> bool {
        self.enter(|state, now| {
            let connection = state.connections.get(link.index()).and_then(Option::as_ref);
            let current = connection.is_some_and(|own| own.generation == generation);
            if current {
                feed(state, now);
            }
            current
        })
    }

    /// Until the connection has ended.
    async fn read(self: &Arc<Driver>, link: LinkId, generation: u64, stream: &TcpStream) {
        let mut buffer = vec![0; READ_BYTES];
        while stream.ready(Interest::READABLE).await.is_ok() {
            match stream.try_read(&mut buffer) {
                Ok(count @ 1..) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    let feed = |state: &mut State, now| state.core.received(link, bytes, now);
                    if !self.enter_link(link, generation, feed) {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Until the connection has ended.
    async fn write(
        self: &Arc<Driver>,
        link: LinkId,
        generation: u64,
        stream: &TcpStream,
        has_bytes: &Notify,
    ) {
        let mut bytes = Vec::new();
        loop {
            // What was taken belongs to this connection, because its bytes go when it goes.
            let take = |state: &mut State, _| std::mem::swap(&mut bytes, state.core.outgoing(link));
            if !self.enter_link(link, generation, take) {
                return;
            }
            if bytes.is_empty() {
                has_bytes.notified().await;
                continue;
            }
            let mut written = 0;
            while written < bytes.len() {
                let rest = bytes.get(written..).unwrap_or_default();
                match stream.try_write(rest) {
                    Ok(count) => written += count,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        if stream.ready(Interest::WRITABLE).await.is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
            bytes.clear();
        }
    }
}

/// Sleeps of the timer in one go; it is woken when it is needed earlier.
const SLEEP_MAX: std::time::Duration = std::time::Duration::from_secs(3600);
