//! The file of two slots, read straight from the disk that a death left: it holds what it held
//! before, or what was being written, and never neither.

use raft_core::HardState;
use raft_host::{Identity, hard_state};
use runtime::sim::{DiskSnapshot, NodeKey};

use super::scene::Facts;
use crate::exhaust::stage::{CLUSTER, GROUP};
use crate::violation::{Rule, Violation};

const PATH: &str = "group-0/hard-state";

/// Whether the victim's promises are on its disk.
///
/// # Errors
/// When they are not there, or neither slot can be read.
pub fn check(victim: NodeKey, disk: &DiskSnapshot, facts: &Facts) -> Result<(), Violation> {
    let seen = facts.members.last_seen(victim, GROUP);
    let promised = seen.map(|seen| seen.promise).unwrap_or_default();
    // Nothing was promised before the file was whole.
    if promised == HardState::default() {
        return Ok(());
    }
    let broken = |what: String| Err(Violation::new(Rule::Promise, format!("{victim}: {what}")));
    let Some(bytes) = disk.read(PATH) else {
        return broken(format!("it promised {promised:?} and has no {PATH}"));
    };
    let node = server::identity::Identity {
        cluster: CLUSTER.to_owned(),
        node: u32::from(victim.0),
        incarnation: 0,
    };
    let identity = Identity { cluster: node.cluster_hash(), group: GROUP };
    let newest = match hard_state::newest(identity, &bytes) {
        Ok(newest) => newest.state.hard_state,
        Err(fault) => return broken(format!("no slot of {PATH} can be read: {fault:?}")),
    };
    let is_other_vote = promised.vote.is_some() && promised.vote != newest.vote;
    if newest.term < promised.term || (newest.term == promised.term && is_other_vote) {
        return broken(format!("it promised {promised:?}, and {PATH} has {newest:?}"));
    }
    Ok(())
}
