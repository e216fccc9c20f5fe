//! Somebody who sees what a node does from the inside: simulators, which check it.

use raft_core::GroupId;
use raft_host::{Entry, Group};

use crate::machine::KvStateMachine;

/// Sees, and changes nothing. All calls come from the shard on which the group lives.
pub trait Witness: Send + Sync {
    /// A group has recovered and takes part from now on.
    fn opened(&self, group: &Group<KvStateMachine>);

    /// A group's state is the one that entries up to this one have made, without their having been
    /// seen: a snapshot was loaded.
    fn restored(&self, group: GroupId, index: u64);

    /// A group's state machine is about to apply an entry: for the first time since the process
    /// started, in the order of the log, those that recovery finds included.
    fn applies(&self, group: GroupId, entry: &Entry<'_>);
}
