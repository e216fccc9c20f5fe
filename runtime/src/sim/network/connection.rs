//! A connection: two ends, and a pipe in each direction.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use moment::Moment;

use crate::sim::node::NodeKey;

/// Which end of a connection; also the pipe that leads away from it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    /// The one that connected.
    Caller,
    /// The one that accepted.
    Callee,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::Caller, Side::Callee];

    pub(crate) fn other(self) -> Side {
        match self {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        }
    }
}

pub(crate) struct Connection {
    ends: [End; 2],
    pipes: [Pipe; 2],
}

/// What one node knows of a connection.
pub(crate) struct End {
    pub(crate) node: NodeKey,
    pub(crate) address: SocketAddr,
    pub(crate) state: EndState,
    /// Why reads and writes fail, once they do.
    pub(crate) error: Option<io::ErrorKind>,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EndState {
    /// The caller waits for an answer.
    Connecting,
    Open,
    /// `shutdown` was called; the handle still exists.
    ShutDown,
    /// Nobody has a handle; the system still sends what was written.
    Closed,
    /// The node lost its power and knows nothing of it.
    Gone,
}

/// Bytes from one end to the other.
#[derive(Default)]
pub(crate) struct Pipe {
    /// Arrived bytes that nobody has read, then those on the way.
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) arrived: usize,
    pub(crate) on_the_way: VecDeque<Segment>,
    /// A delivery is among the events.
    pub(crate) is_scheduled: bool,
    /// The sender waits for room and asks for it now and then.
    pub(crate) is_probing: bool,
    /// Bytes that read made room for, but whose acknowledgement cannot get through.
    pub(crate) unacknowledged: usize,
    /// The sender's last segment: an end or a reset.
    pub(crate) is_finished: bool,
    /// When the link is free again, where it has a bandwidth.
    pub(crate) busy_until: Moment,
    pub(crate) has_end_arrived: bool,
    /// The link or the far node does not take the first segment.
    pub(crate) is_stalled: bool,
    /// Bytes arrived, but the link back is cut.
    pub(crate) is_unanswered: bool,
    /// Changes whenever the sender hears from the other end, so that older deadlines are void.
    pub(crate) epoch: u32,
    /// Whether a deadline of this epoch is among the events.
    pub(crate) has_deadline: bool,
}

pub(crate) struct Segment {
    pub(crate) arrives_at: Moment,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// So many of the pipe's bytes.
    Bytes(usize),
    /// The sender writes no more.
    End,
    /// The connection is broken.
    Reset,
}

impl Connection {
    pub(crate) fn new(caller: End, callee: End) -> Connection {
        Connection { ends: [caller, callee], pipes: [Pipe::default(), Pipe::default()] }
    }

    pub(crate) fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    pub(crate) fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// The pipe that leads away from `side`.
    pub(crate) fn pipe(&self, from: Side) -> &Pipe {
        &self.pipes[from as usize]
    }

    pub(crate) fn pipe_mut(&mut self, from: Side) -> &mut Pipe {
        &mut self.pipes[from as usize]
    }

    /// The nodes that the pipe away from `side` leads from and to.
    pub(crate) fn way(&self, from: Side) -> (NodeKey, NodeKey) {
        (self.end(from).node, self.end(from.other()).node)
    }

    /// Nobody has a handle and nothing is on the way.
    pub(crate) fn is_over(&self) -> bool {
        let is_left = |end: &End| matches!(end.state, EndState::Closed | EndState::Gone);
        self.ends.iter().all(is_left) && self.pipes.iter().all(|pipe| pipe.on_the_way.is_empty())
    }
}

impl End {
    pub(crate) fn new(node: NodeKey, address: SocketAddr, state: EndState) -> End {
        End { node, address, state, error: None, reader: None, writer: None }
    }

    /// Fails all reads and writes from now on, if nothing did before.
    pub(crate) fn fail(&mut self, error: io::ErrorKind) {
        self.error.get_or_insert(error);
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Pipe {
    /// Forgets what has not arrived.
    pub(crate) fn drop_on_the_way(&mut self) {
        self.on_the_way.clear();
        self.bytes.truncate(self.arrived);
        self.heard();
        self.is_stalled = false;
        self.is_unanswered = false;
    }

    /// The sender heard from the other end.
    pub(crate) fn heard(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.has_deadline = false;
    }

    /// Moves arrived bytes into `target`; returns how many.
    pub(crate) fn take(&mut self, target: &mut [u8]) -> usize {
        let count = self.arrived.min(target.len());
        let (front, back) = self.bytes.as_slices();
        let from_front = front.len().min(count);
        target[..from_front].copy_from_slice(&front[..from_front]);
        target[from_front..count].copy_from_slice(&back[..count - from_front]);
        self.bytes.drain(..count);
        self.arrived -= count;
        count
    }
}
