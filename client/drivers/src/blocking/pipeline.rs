//! Many operations in flight, driven by one thread.

use std::time::Duration;

use client_core::{
    Action, Completion, Core, Error, LinkId, NodeId, Operation, Options, OptionsError, RequestId,
};
use moment::Moment;

use crate::blocking::clock::Clock;
use crate::blocking::socket::Socket;
use crate::blocking::wait::{Interest, wait};

/// A client for callers that submit first and look for completions later.
///
/// Nothing is sent before [`Pipeline::poll`], so that a burst of operations leaves in one write.
///
/// ```no_run
/// # use client::blocking::Pipeline;
/// # use client::operations::Put;
/// # use std::time::Duration;
/// # fn example(pipeline: &mut Pipeline) -> Result<(), client::Error> {
/// for key in ["a", "b"] {
///     pipeline.submit(&Put { key: key.as_bytes(), value: b"1" })?;
/// }
/// while pipeline.in_flight() > 0 {
///     pipeline.poll(Duration::from_secs(1), |completion| {
///         println!("{:?}", completion.reply::<Put>());
///     });
/// }
/// # Ok(())
/// # }
/// ```
pub struct Pipeline {
    core: Core,
    /// By number of the link.
    sockets: Vec<Option<Socket>>,
    /// What was waited for last, and the link of each.
    interests: Vec<Interest>,
    waiting: Vec<LinkId>,
    input: Box<Input>,
    clock: Clock,
    busy_poll: Duration,
}

/// Where bytes arrive; one read takes the answers to a few thousand small operations.
#[repr(align(4096))]
struct Input([u8; INPUT_BYTES]);

const INPUT_BYTES: usize = 256 << 10;
/// Reads from one socket before the others get their turn.
const READS_MAX: usize = 16;

impl Pipeline {
    /// A client that connects when it has something to do.
    pub fn new(options: Options) -> Result<Pipeline, OptionsError> {
        let core = Core::new(options)?;
        Ok(Pipeline {
            sockets: (0..core.link_count()).map(|_| None).collect(),
            core,
            interests: Vec::new(),
            waiting: Vec::new(),
            input: Box::new(Input([0; INPUT_BYTES])),
            clock: Clock::new(),
            busy_poll: Duration::ZERO,
        })
    }

    /// Looks for answers without letting the thread sleep for up to this long in each wait. Waking
    /// up costs tens of microseconds; a core that has nothing else to do saves them.
    pub fn set_busy_poll(&mut self, busy_poll: Duration) {
        self.busy_poll = busy_poll;
    }

    /// Takes an operation. An error means that it was not taken; otherwise its completion comes
    /// out of [`Pipeline::poll`], once.
    pub fn submit<O: Operation>(&mut self, operation: &O) -> Result<RequestId, Error> {
        self.burst().submit(operation)
    }

    /// Takes several operations that count as submitted now: reads the clock once for all.
    #[inline]
    pub fn burst(&mut self) -> Burst<'_> {
        Burst { now: self.clock.now(), core: &mut self.core }
    }

    /// Gives access to what is not a call: lock objects and watches. Whatever is begun there is sent
    /// by the next [`Pipeline::poll`].
    pub fn with_core<R>(&mut self, act: impl FnOnce(&mut Core, Moment) -> R) -> R {
        let now = self.clock.now();
        act(&mut self.core, now)
    }

    /// Sends, receives and hands over completions; returns how many. Waits for the first one, but
    /// not longer than `timeout`.
    pub fn poll(&mut self, timeout: Duration, each: impl FnMut(Completion<'_>)) -> usize {
        self.poll_until(timeout, each, |_| false)
    }

    /// The same, but `stop` may end the waiting, too.
    pub(super) fn poll_until(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(Completion<'_>),
        stop: impl Fn(&Core) -> bool,
    ) -> usize {
        let end = self.clock.now() + timeout;
        loop {
            self.act();
            self.send();
            let count = self.deliver(&mut each);
            if count > 0 || stop(&self.core) {
                return count;
            }
            self.wait(end);
            let now = self.clock.now();
            self.receive(now);
            if self.core.next_deadline() <= now {
                self.core.tick(now);
            }
            let count = self.deliver(&mut each);
            if count > 0 || now >= end || stop(&self.core) {
                // What the core wants to be done is done by the next call at the latest.
                return count;
            }
        }
    }

    /// Operations whose completion has not been handed over.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.core.in_flight()
    }

    /// Whether one more operation would be taken.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.core.has_room()
    }

    /// The leader as far as this client knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.core.leader()
    }

    /// The time of this client's clock, which completions tell.
    #[inline]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Opens and closes what the core wants opened and closed.
    fn act(&mut self) {
        while let Some(action) = self.core.next_action() {
            match action {
                Action::Connect { link, address } => match Socket::connect(address) {
                    Ok(socket) => self.sockets[link.index()] = Some(socket),
                    Err(_) => self.core.link_down(link, self.clock.now()),
                },
                Action::Disconnect { link } => self.sockets[link.index()] = None,
            }
        }
    }

    fn send(&mut self) {
        for link in links(&self.sockets) {
            let Some(socket) = &mut self.sockets[link.index()] else { continue };
            if socket.is_connected && socket.send(self.core.outgoing(link)).is_err() {
                self.lose(link, self.clock.now());
            }
        }
    }

    #[inline]
    fn deliver(&mut self, each: &mut impl FnMut(Completion<'_>)) -> usize {
        let mut count = 0;
        while let Some(request) = self.core.next_finished() {
            count += usize::from(self.core.take(request, &mut *each).is_some());
        }
        count
    }

    /// Until something can be done, at most until `end` or the core's next deadline.
    fn wait(&mut self, end: Moment) {
        self.interests.clear();
        self.waiting.clear();
        for link in links(&self.sockets) {
            if let Some(socket) = &self.sockets[link.index()] {
                self.interests.push(Interest::new(socket.descriptor(), socket.wants_write()));
                self.waiting.push(link);
            }
        }
        let now = self.clock.now();
        let timeout = end.min(self.core.next_deadline()).since(now);
        if self.poll_busily(now, timeout) {
            return;
        }
        if let Err(error) = wait(&mut self.interests, timeout)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            // Sockets that cannot be waited for are of no use.
            links(&self.sockets).for_each(|link| self.lose(link, now));
            self.interests.clear();
            self.waiting.clear();
        }
    }

    /// Looks at the sockets again and again; true when something has happened to one.
    fn poll_busily(&mut self, now: Moment, timeout: Duration) -> bool {
        let end = now + self.busy_poll.min(timeout);
        while self.clock.now() < end {
            // An error is found again, and dealt with, by the wait that follows.
            let happened = wait(&mut self.interests, Duration::ZERO).is_ok()
                && self.interests.iter().any(|one| one.is_readable() || one.is_writable());
            if happened {
                return true;
            }
            // The kernel may want this core to finish what the server waits for.
            std::thread::yield_now();
        }
        false
    }

    fn receive(&mut self, now: Moment) {
        for position in 0..self.waiting.len() {
            let (link, interest) = (self.waiting[position], &self.interests[position]);
            let Some(socket) = &mut self.sockets[link.index()] else { continue };
            if !socket.is_connected {
                if interest.is_writable() {
                    match socket.finish_connect() {
                        Ok(()) => self.core.link_up(link, now),
                        Err(_) => self.lose(link, now),
                    }
                }
            } else if interest.is_readable() {
                self.read(link, now);
            }
        }
    }

    fn read(&mut self, link: LinkId, now: Moment) {
        for _ in 0..READS_MAX {
            let Some(socket) = &mut self.sockets[link.index()] else { return };
            match socket.receive(&mut self.input.0) {
                Ok(Some(count)) => {
                    self.core.received(link, &self.input.0[..count], now);
                    // Less than there was room for: that was all.
                    if count < INPUT_BYTES {
                        return;
                    }
                }
                Ok(None) => return,
                Err(_) => return self.lose(link, now),
            }
        }
    }

    fn lose(&mut self, link: LinkId, now: Moment) {
        self.sockets[link.index()] = None;
        self.core.link_down(link, now);
    }
}

fn links(sockets: &[Option<Socket>]) -> impl Iterator<Item = LinkId> + use<> {
    (0..sockets.len() as u32).map(LinkId)
}

/// Operations that are submitted at the same time.
pub struct Burst<'a> {
    core: &'a mut Core,
    now: Moment,
}

impl Burst<'_> {
    /// Takes an operation, as [`Pipeline::submit`] does.
    #[inline]
    pub fn submit<O: Operation>(&mut self, operation: &O) -> Result<RequestId, Error> {
        self.core.submit(operation, self.now)
    }

    /// Whether one more operation would be taken.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.core.has_room()
    }
}
