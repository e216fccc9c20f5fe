//! From an error to the answer that clients understand: the one place.

use kv_api::ReadMode;
use moment::Moment;
use planted::{Bug, is_on};
use raft_core::NodeId;
use raft_host::Refusal;
use wire::RespCode;

use crate::caller::Caller;
use crate::replies::Replies;

/// Answers a request that raft did not take or could not finish.
///
/// An unknown outcome gets no answer at all: every code of the protocol that a client may retry
/// promises that the request was not executed, and the client's own deadline says the rest.
pub fn refuse(replies: &Replies, caller: &Caller, now: Moment, refusal: Refusal) {
    let (code, text) = match refusal {
        Refusal::NotLeader { leader } => return refuse_not_leader(replies, caller, now, leader),
        Refusal::HandingOver { to } => return refuse_not_leader(replies, caller, now, Some(to)),
        Refusal::OutcomeUnknown if is_on(Bug::UnknownSaidNotDone) => {
            return refuse_not_leader(replies, caller, now, None);
        }
        Refusal::OutcomeUnknown => return,
        Refusal::Stopping => (RespCode::RaftGroupStopped, "the group is stopping"),
        Refusal::Failed => (RespCode::RaftGroupStopped, "the group has failed; see the node's log"),
        Refusal::FlowControl => {
            (RespCode::FlowControl, "too many requests or bytes wait for the log; try again later")
        }
        Refusal::TooLarge => (RespCode::SysError, "the request is too large for the log"),
        // With this code clients know that the request was not executed and may come again.
        Refusal::DiskFull => {
            (RespCode::FlowControl, "no space left for the log on the node's disk")
        }
    };
    replies.refuse(caller, now, code, text);
}

/// Answers a read that raft did not allow. A caller that wants this node's answer is not helped by the
/// name of the leader.
pub fn refuse_read(
    replies: &Replies,
    caller: &Caller,
    now: Moment,
    mode: ReadMode,
    refusal: Refusal,
) {
    match (mode, refusal) {
        (ReadMode::Linearizable | ReadMode::Stale(_), Refusal::NotLeader { .. }) => {
            let text = "no leader has said how far this node must be; try again, or read from \
                        another node";
            replies.refuse(caller, now, RespCode::RaftGroupNotInit, text);
        }
        _ => refuse(replies, caller, now, refusal),
    }
}

/// Answers `NOT_RAFT_LEADER` with the leader's id. Clients that get no id stay where they are and
/// never look elsewhere, so that an unknown leader is told as a group that is not ready: then they
/// search.
fn refuse_not_leader(replies: &Replies, caller: &Caller, now: Moment, leader: Option<NodeId>) {
    match leader {
        Some(leader) => replies.refuse_with(
            caller,
            now,
            RespCode::NotRaftLeader,
            "this node does not lead the group",
            leader.0.to_string().as_bytes(),
        ),
        None => {
            replies.refuse(caller, now, RespCode::RaftGroupNotInit, "the group has no leader yet");
        }
    }
}
