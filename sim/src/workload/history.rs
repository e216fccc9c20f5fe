//! What the clients asked, when, and what they were told.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::operations::Node;
use client::{BizCode, GroupId, ProcessId};
use moment::Moment;

use super::request::{Request, label};

/// A node as a read shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Index of the write that created it.
    pub created: u64,
    /// Index of the last write to it or below it.
    pub updated: u64,
    /// Its value; none for a directory.
    pub value: Option<Vec<u8>>,
}

impl From<Node> for View {
    fn from(node: Node) -> View {
        let value = (!node.is_directory()).then_some(node.value);
        View { created: node.create_index, updated: node.update_index, value }
    }
}

/// What a client was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing yet, or never: the client is gone.
    Open,
    /// That nobody knows; the same as `Open` for the checkers.
    Unknown(String),
    /// That it was certainly not carried out.
    NotDone(String),
    /// A write was carried out, with one code for each key. Refusals come without an index.
    Written {
        /// Its place in the log.
        index: Option<u64>,
        /// Success or refusal, key by key.
        codes: Vec<BizCode>,
    },
    /// A lock is held, says its place in the log.
    Granted {
        /// The attempt's place.
        index: u64,
        /// What the holder has to show.
        token: u64,
    },
    /// What became of a transaction.
    Transacted {
        /// Its place in the log.
        index: u64,
        /// What it did there.
        transacted: Transacted,
    },
    /// Nodes, one for each key asked for.
    Nodes(Vec<Result<Option<View>, BizCode>>),
    /// The children of a directory by name, or why there are none.
    Children(Result<Vec<(Vec<u8>, View)>, BizCode>),
}

/// What a transaction does where it stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transacted {
    /// Whether its conditions hold.
    pub held: bool,
    /// The code of each step and what it reads, or which step is refused and why.
    pub done: Result<StepsDone, (usize, BizCode)>,
}

/// The code of each step of a transaction, and what it reads.
pub type StepsDone = Vec<(BizCode, Option<View>)>;

impl Answer {
    /// Whether there must be an entry that did this.
    pub fn needs_entry(&self) -> bool {
        matches!(self, Answer::Written { .. } | Answer::Transacted { .. })
    }

    /// The place in the log that a client was told.
    pub fn index(&self) -> Option<u64> {
        match self {
            Answer::Written { index, .. } => *index,
            Answer::Granted { index, .. } | Answer::Transacted { index, .. } => Some(*index),
            _ => None,
        }
    }
}

/// A point in the order of all invocations and answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Point {
    /// Position among all of them.
    pub order: u64,
    /// World time.
    pub at: Moment,
}

/// One call of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Who called: a strand of calls, one after the other.
    pub lane: Lane,
    /// Which group it is for.
    pub group: GroupId,
    /// What it asks for.
    pub request: Request,
    /// The log entry it becomes, if it is a write.
    pub payload: Option<Vec<u8>>,
    /// When it was made.
    pub invoked: Point,
    /// When it was answered, whatever the answer; none while open.
    pub returned: Option<Point>,
    /// What it was told.
    pub answer: Answer,
}

/// A client program and one of its strands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lane {
    /// The program.
    pub client: u16,
    /// The strand in it.
    pub strand: u16,
}

impl fmt::Display for Lane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "client {}.{}", self.client, self.strand)
    }
}

impl Call {
    /// Whether the client knows that it was carried out.
    pub fn is_done(&self) -> bool {
        !self.is_unknown() && !matches!(self.answer, Answer::NotDone(_))
    }

    /// Whether it may have been carried out without the client knowing.
    pub fn is_unknown(&self) -> bool {
        matches!(self.answer, Answer::Open | Answer::Unknown(_))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} group {}: {} → {}",
            self.lane, self.group.0, self.request, self.answer
        )
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = |view: &View| match &view.value {
            Some(value) => format!("{}@{}", label(value), view.updated),
            None => format!("(directory)@{}", view.updated),
        };
        match self {
            Answer::Open => formatter.write_str("no answer"),
            Answer::Unknown(why) => write!(formatter, "unknown: {why}"),
            Answer::NotDone(why) => write!(formatter, "not done: {why}"),
            Answer::Written { index: Some(index), codes } => {
                write!(formatter, "{codes:?} at {index}")
            }
            Answer::Written { index: None, codes } => write!(formatter, "{codes:?}"),
            Answer::Granted { index, token } => {
                write!(formatter, "held since {token} at {index}")
            }
            Answer::Transacted { index, transacted: Transacted { held, done } } => {
                let codes =
                    |steps: &StepsDone| steps.iter().map(|(code, _)| *code).collect::<Vec<_>>();
                write!(formatter, "holds: {held}, {:?} at {index}", done.as_ref().map(codes))
            }
            Answer::Nodes(nodes) => {
                let nodes = nodes.iter().map(|node| match node {
                    Ok(Some(node)) => view(node),
                    Ok(None) => "-".to_owned(),
                    Err(code) => format!("{code:?}"),
                });
                formatter.write_str(&nodes.collect::<Vec<_>>().join(" "))
            }
            Answer::Children(Err(code)) => write!(formatter, "{code:?}"),
            Answer::Children(Ok(children)) => {
                let child = |(name, node): &(Vec<u8>, View)| {
                    format!("{}={}", String::from_utf8_lossy(name), view(node))
                };
                let children: Vec<_> = children.iter().map(child).collect();
                write!(formatter, "[{}]", children.join(" "))
            }
        }
    }
}

/// All calls of a run; clones are the same.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    calls: Vec<Call>,
    next_order: u64,
    now: Moment,
}

impl History {
    /// Tells the world's time, which clients cannot know.
    pub fn set_now(&self, now: Moment) {
        self.calls().now = now;
    }

    /// A call begins. Returns its number.
    pub fn invoke(&self, lane: Lane, group: GroupId, client: ProcessId, request: Request) -> usize {
        let mut calls = self.calls();
        let invoked = calls.point();
        let payload = request.payload(group, client);
        let (returned, answer) = (None, Answer::Open);
        calls.calls.push(Call { lane, group, request, payload, invoked, returned, answer });
        calls.calls.len() - 1
    }

    /// A call ends.
    pub fn answer(&self, call: usize, answer: Answer) {
        let mut calls = self.calls();
        let point = calls.point();
        if let Some(call) = calls.calls.get_mut(call) {
            call.returned = Some(point);
            call.answer = answer;
        }
    }

    /// How many calls a strand has made.
    pub fn made_by(&self, lane: Lane) -> usize {
        self.calls().calls.iter().filter(|call| call.lane == lane).count()
    }

    /// How many calls there are, and how many of them have been carried out for sure.
    pub fn counts(&self) -> (usize, usize) {
        let calls = self.calls();
        (calls.calls.len(), calls.calls.iter().filter(|call| call.is_done()).count())
    }

    /// A copy of all calls.
    pub fn snapshot(&self) -> Vec<Call> {
        self.calls().calls.clone()
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn point(&mut self) -> Point {
        self.next_order += 1;
        Point { order: self.next_order, at: self.now }
    }
}
