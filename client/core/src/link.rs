//! One connection to one server, without a socket.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use moment::Moment;
use wire::{Command, Packet, PacketKind};

use crate::options::Options;
use crate::sequence::{Sequences, Waiting};

/// Names a link: 0 … number of servers × connections per server − 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u32);

impl LinkId {
    /// The number, for use as an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

pub(crate) struct Link {
    /// Position of its server in the options.
    pub(crate) server: usize,
    /// Whether it is the server's first link, the one that asks for the leader.
    pub(crate) is_first: bool,
    pub(crate) phase: Phase,
    /// Failures since the link was ready last.
    pub(crate) failures: u32,
    pub(crate) sequences: Sequences,
    /// Encoded and not yet fetched by the driver.
    pub(crate) outgoing: Vec<u8>,
    /// The start of a frame whose end has not arrived.
    pub(crate) partial: Vec<u8>,
    /// Calls for this very server that wait until the link is ready.
    pub(crate) directed: VecDeque<u32>,
    pub(crate) search: Search,
}

/// How far a link has come. A driver knows of the phases from `Connecting` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Nobody needs it.
    Idle,
    /// It failed; the next attempt is not before `until`.
    Resting { until: Moment },
    /// The driver connects.
    Connecting { deadline: Moment },
    /// The handshake is under way.
    Greeting { deadline: Moment },
    /// Takes calls.
    Ready,
}

/// The questions for the leader on one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// The unanswered question: its number and until when to wait.
    pub(crate) pending: Option<(i32, Moment)>,
    /// The next question is not before.
    pub(crate) next: Moment,
    /// Response code of the last answer on this connection.
    pub(crate) last_code: Option<i32>,
}

impl Search {
    pub(crate) const NEW: Search = Search { pending: None, next: Moment::ZERO, last_code: None };
}

impl Link {
    pub(crate) fn new(server: usize, is_first: bool, options: &Options) -> Link {
        Link {
            server,
            is_first,
            phase: Phase::Idle,
            failures: 0,
            sequences: Sequences::new(options.calls_max),
            outgoing: Vec::new(),
            partial: Vec::new(),
            directed: VecDeque::new(),
            search: Search::NEW,
        }
    }

    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether bytes may come from it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. } | Phase::Ready)
    }

    /// Appends a request and returns its sequence number.
    ///
    /// `deadline` must be later than `now`: a request without time left is dropped by servers.
    #[inline]
    pub(crate) fn send(
        &mut self,
        waiting: Waiting,
        command: Command,
        body: &[u8],
        deadline: Moment,
        now: Moment,
    ) -> i32 {
        let seq = self.sequences.assign(waiting);
        let nanos = deadline.as_nanos().saturating_sub(now.as_nanos());
        assert!(nanos > 0, "an expired request is not sent");
        let packet = Packet {
            packet_type: PacketKind::Request.number(),
            command,
            seq,
            timeout_nanos: i64::try_from(nanos).unwrap_or(i64::MAX),
            body: (!body.is_empty()).then_some(body),
            ..Packet::default()
        };
        packet.encode(&mut self.outgoing);
        seq
    }
}
