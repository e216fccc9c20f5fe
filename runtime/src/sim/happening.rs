//! What happens, told to a test that wants to print or count it.

use std::cell::RefCell;
use std::fmt;

use moment::Moment;

use super::node::{CrashKind, NodeKey};
use crate::ShardId;

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Happening {
    /// World time.
    pub at: Moment,
    /// What it was.
    pub what: What,
}

/// Kinds of things that happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A fiber is about to run.
    Poll {
        /// The node.
        node: NodeKey,
        /// The shard of it.
        shard: ShardId,
        /// The name it was spawned with.
        fiber: &'static str,
    },
    /// A node's timer fires.
    Timer(NodeKey),
    /// A node's disk completes an operation.
    Disk(NodeKey),
    /// Something arrives from a node at another, or is given up.
    Network(NodeKey, NodeKey),
    /// A process starts.
    Start(NodeKey),
    /// A main returned.
    End(NodeKey),
    /// A process is crashed.
    Crash(NodeKey, CrashKind),
}

impl fmt::Display for Happening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:>14} ", self.at.as_nanos())?;
        match self.what {
            What::Poll { node, shard, fiber } => write!(formatter, "{node}/{} {fiber}", shard.0),
            What::Timer(node) => write!(formatter, "{node} timer"),
            What::Disk(node) => write!(formatter, "{node} disk"),
            What::Network(from, to) => write!(formatter, "{from} to {to}"),
            What::Start(node) => write!(formatter, "{node} starts"),
            What::End(node) => write!(formatter, "{node} main ends"),
            What::Crash(node, kind) => write!(formatter, "{node} crashes by {kind:?}"),
        }
    }
}

type Callback = Box<dyn FnMut(&Happening)>;

/// Who is told.
#[derive(Default)]
pub(crate) struct Observer(RefCell<Option<Callback>>);

impl Observer {
    pub(crate) fn set(&self, callback: Callback) {
        *self.0.borrow_mut() = Some(callback);
    }

    /// Tells the observer, if there is one; what to tell is worked out only then.
    pub(crate) fn tell(&self, at: Moment, what: impl FnOnce() -> Option<What>) {
        let mut observer = self.0.borrow_mut();
        if let Some(callback) = &mut *observer
            && let Some(what) = what()
        {
            callback(&Happening { at, what });
        }
    }
}
