//! Why a run cannot go on.

use std::fmt;

use moment::Moment;

use super::node::NodeKey;
use crate::ShardId;

/// A run ended by the code under test: who, when, why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The node.
    pub node: NodeKey,
    /// The shard of it.
    pub shard: ShardId,
    /// `main`, or group and name of the fiber.
    pub fiber: String,
    /// World time.
    pub at: Moment,
    /// What happened.
    pub cause: FailureCause,
}

/// What ended a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FailureCause {
    /// The fiber panicked.
    Panicked(String),
    /// So many polls went by without a timer, disk or network event; the fiber had the last one.
    Spinning {
        /// Polls since the last event.
        polls: u64,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { node, shard, fiber, at, cause } = self;
        write!(formatter, "{node} shard {} {fiber} at {} ns: ", shard.0, at.as_nanos())?;
        match cause {
            FailureCause::Panicked(message) => write!(formatter, "panicked: {message}"),
            FailureCause::Spinning { polls } => {
                write!(formatter, "spins: {polls} polls without an event")
            }
        }
    }
}

impl std::error::Error for Failure {}
