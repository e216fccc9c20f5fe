//! The client: inputs, outputs, and what is remembered between them.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use kv_api::OperationKind;
use moment::Moment;
use wire::Splitter;

use crate::argument::InvalidArgument;
use crate::calls::{CallOwner, CallState, Calls, RequestId, Start};
use crate::completion::Completion;
use crate::error::{Error, Reason};
use crate::event::{Event, LockEvent};
use crate::link::{Link, LinkId};
use crate::lock::{LockId, Locks};
use crate::operation::{Operation, Target};
use crate::options::{NodeId, Options, OptionsError, Retries};
use crate::route::Route;
use crate::session::Session;
use crate::watch::Watches;

/// A client of one group, without sockets and clock.
///
/// The [crate's head](crate) says how a driver uses it.
pub struct Core {
    pub(crate) options: Options,
    pub(crate) splitter: Splitter,
    pub(crate) calls: Calls,
    pub(crate) links: Vec<Link>,
    pub(crate) route: Route,
    /// Calls for the leader that wait until it is known and connected, in order of arrival.
    pub(crate) waiting: VecDeque<u32>,
    /// No open call has an earlier deadline; exact after each expiry.
    pub(crate) earliest_deadline: Moment,
    /// Something happened after which calls may have to be sent or links opened.
    pub(crate) changed: bool,
    pub(crate) locks: Locks,
    pub(crate) watches: Watches,
    pub(crate) session: Session,
    /// What lock objects have to tell; watches keep theirs, so that it is bounded.
    pub(crate) events: VecDeque<(LockId, LockEvent)>,
    actions: VecDeque<Action>,
    finished: VecDeque<u32>,
}

/// What the driver has to do with a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Open a connection, without blocking; then call [`Core::link_up`] or [`Core::link_down`].
    Connect {
        /// The link; its earlier connection, if any, is gone.
        link: LinkId,
        /// Where to.
        address: SocketAddr,
    },
    /// Close the connection or give up opening it; the link is down already.
    Disconnect {
        /// The link.
        link: LinkId,
    },
}

impl Core {
    /// A client that has no connections yet and opens them when it needs them.
    pub fn new(options: Options) -> Result<Core, OptionsError> {
        options.check()?;
        let lanes = options.connections_per_server;
        let links = (0..options.servers.len() * lanes)
            .map(|index| Link::new(index / lanes, index % lanes == 0, &options))
            .collect();
        Ok(Core {
            splitter: Splitter::new(options.packet_bytes_max),
            calls: Calls::new(options.calls_max, options.call_bytes_max),
            links,
            route: Route::default(),
            waiting: VecDeque::new(),
            earliest_deadline: Moment::MAX,
            changed: false,
            locks: Locks::new(),
            watches: Watches::new(),
            session: Session::new(),
            events: VecDeque::new(),
            actions: VecDeque::new(),
            finished: VecDeque::new(),
            options,
        })
    }

    /// Takes an operation, which has the time of the options.
    ///
    /// An error means that it was not taken. Otherwise its id comes out of
    /// [`Core::next_finished`] once, whatever happens.
    #[inline]
    pub fn submit<O: Operation>(&mut self, operation: &O, now: Moment) -> Result<RequestId, Error> {
        self.submit_within(operation, self.options.call_timeout + operation.takes(), now)
    }

    /// Takes an operation that has `timeout` from now on.
    #[inline]
    pub fn submit_within<O: Operation>(
        &mut self,
        operation: &O,
        timeout: Duration,
        now: Moment,
    ) -> Result<RequestId, Error> {
        operation.check()?;
        if !self.calls.has_room() {
            return Err(Error::Unavailable(Reason::ClientFull));
        }
        let deadline = now + timeout;
        if deadline <= now {
            return Err(Error::Unavailable(Reason::Timeout));
        }
        let target = operation.target();
        if let Target::Node(node) = target
            && self.server_of(node).is_none()
        {
            return Err(InvalidArgument::UnknownNode(node).into());
        }
        let slot = self.calls.claim(Start {
            command: O::COMMAND,
            access: O::ACCESS,
            target,
            owner: CallOwner::Caller,
            submitted: now,
            deadline,
            in_session: self.options.retries == Retries::InSession
                && target == Target::Leader
                && const { OperationKind::of_command(O::COMMAND).is_some() },
        });
        operation.encode(self.options.group, &mut self.calls[slot].body);
        if self.calls[slot].body.len() > self.options.body_bytes_max {
            self.calls.release(slot);
            return Err(InvalidArgument::BodyTooLong.into());
        }
        self.calls.count_bytes(slot);
        self.earliest_deadline = self.earliest_deadline.min(deadline);
        self.place(slot, now);
        Ok(self.calls.id(slot))
    }

    /// The next thing to do with a socket.
    #[inline]
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The bytes to write to a link, in order; what the driver takes from the front is sent.
    ///
    /// Empty unless the link is up. When a link goes down its bytes are gone.
    #[inline]
    pub fn outgoing(&mut self, link: LinkId) -> &mut Vec<u8> {
        &mut self.links[link.index()].outgoing
    }

    /// The next operation that has finished; [`Core::take`] tells how.
    #[inline]
    pub fn next_finished(&mut self) -> Option<RequestId> {
        self.finished.pop_front().map(|slot| self.calls.id(slot))
    }

    /// Hands over the completion of an operation that [`Core::next_finished`] has returned, and
    /// forgets the operation. `None` when it was taken before.
    #[inline]
    pub fn take<R>(
        &mut self,
        request: RequestId,
        read: impl FnOnce(Completion<'_>) -> R,
    ) -> Option<R> {
        let slot = self.calls.slot(request)?;
        let result = read(self.calls.completion(slot));
        self.calls.release(slot);
        Some(result)
    }

    /// The caller is not interested any more: the operation is neither returned nor to be taken.
    /// If it was sent, whether it is executed stays open; otherwise it is not.
    pub fn abandon(&mut self, request: RequestId) {
        let Some(slot) = self.calls.slot(request) else { return };
        match self.calls[slot].state {
            // It keeps its place among what is in flight until its answer or its end has come.
            CallState::Sent { .. } => return self.calls[slot].abandoned = true,
            CallState::Waiting => {
                self.close(slot);
                self.withdraw(slot);
            }
            _ => self.finished.retain(|&other| other != slot),
        }
        self.calls.release(slot);
    }

    /// The next thing that a lock object or a watch has to tell.
    pub fn next_event(&mut self) -> Option<Event> {
        match self.next_lock_event() {
            Some((lock, event)) => Some(Event::Lock(lock, event)),
            None => self.watches.next_event(),
        }
    }

    /// The next thing that a lock object has to tell. What watches have to tell stays, and is
    /// replaced when a newer state comes.
    pub fn next_lock_event(&mut self) -> Option<(LockId, LockEvent)> {
        self.events.pop_front()
    }

    /// Whether [`Core::next_lock_event`] has something.
    pub fn has_lock_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether [`Core::next_event`] has something.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty() || self.watches.has_event()
    }

    /// Operations submitted and not yet taken, those of lock objects among them.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.calls.count()
    }

    /// Whether [`Core::submit`] has room for one more operation.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.calls.has_room()
    }

    /// The leader as far as this client knows.
    pub fn leader(&self) -> Option<NodeId> {
        let server = self.route.leader?;
        self.options.servers.get(server).map(|server| server.node)
    }

    /// How many links there are; their numbers are below.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// The configuration; limits are lower than given where a server asked for it.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn server_of(&self, node: NodeId) -> Option<usize> {
        self.options.servers.iter().position(|server| server.node == node)
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Makes an ended call visible to the driver.
    #[inline]
    pub(crate) fn announce(&mut self, slot: u32) {
        self.close(slot);
        let call = &self.calls[slot];
        match call.start.owner {
            _ if call.abandoned => self.calls.release(slot),
            CallOwner::Caller => self.finished.push_back(slot),
            CallOwner::Lock(number) => {
                self.locks.ended.push((number, slot));
                self.locks.stirred = true;
                self.changed = true;
            }
        }
    }

    pub(crate) fn fail(&mut self, slot: u32, error: Error, now: Moment) {
        self.calls.finish(slot, Err(error), now);
        self.announce(slot);
    }
}
