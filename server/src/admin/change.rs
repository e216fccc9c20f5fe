//! Changes of a group's membership: prepare, commit, abort.

use std::time::Duration;

use moment::Moment;
use raft_core::{Change, ChangeRefused, Index, Members, NodeId, RoleName};
use raft_host::{ChangeFailed, Group, Refusal};
use runtime::Clock;
use wire::{Command, CommitOrAbortReq, PrepareChangeReq, RespCode, ResponseHead, encode_response};

use super::desk::{ANSWER_TIME, Desk};
use crate::caller::Caller;
use crate::machine::KvStateMachine;
use crate::refusal::refuse;
use crate::replies::Replies;

/// How long a change waits before it asks again whether an earlier one is out of the way.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

impl Desk<'_> {
    /// Makes a change, as long as the caller has time, and answers with the index of its entry.
    pub(super) fn change(&self, caller: Caller, body: &[u8], now: Moment) {
        let change = match self.wanted_change(&caller, body) {
            Ok(change) => change,
            Err(Some(text)) => return self.replies.refuse(&caller, now, RespCode::SysError, &text),
            Err(None) => {
                let leader = self.group.status().raft.leader;
                return refuse(self.replies, &caller, now, Refusal::NotLeader { leader });
            }
        };
        let (group, replies) = (self.group.clone(), self.replies.clone());
        let clock = self.shard.clock().clone();
        self.shard.fibers().spawn_daemon("membership", async move {
            let ended = carry_out(&group, &clock, &caller, change).await;
            answer(&replies, &caller, clock.now(), ended);
            replies.flush();
        });
    }

    /// What the request asks for, or why not; `None` when another node leads.
    fn wanted_change(&self, caller: &Caller, body: &[u8]) -> Result<Change, Option<String>> {
        let raft = self.group.status().raft;
        let leads = raft.role == RoleName::Leader;
        match caller.command {
            Command::RAFT_ADMIN_PREPARE_CHANGE if leads => {
                let request = PrepareChangeReq::decode(body).map_err(|e| Some(e.to_string()))?;
                self.wanted_members(&request).map_err(Some)
            }
            Command::RAFT_ADMIN_COMMIT_CHANGE => {
                let request = CommitOrAbortReq::decode(body).map_err(|e| Some(e.to_string()))?;
                let prepared = Index(request.prepare_index);
                if prepared != raft.config_index {
                    return Err(Some(index_differs(prepared, raft.config_index)));
                }
                if leads { Ok(Change::Commit { prepared }) } else { Err(None) }
            }
            Command::RAFT_ADMIN_ABORT_CHANGE if leads => Ok(Change::Abort),
            _ => Err(None),
        }
    }

    fn wanted_members(&self, request: &PrepareChangeReq) -> Result<Change, String> {
        let ids = |list: &[u32]| list.iter().copied().map(NodeId).collect::<Vec<_>>();
        let current = Members::of(ids(&request.members), ids(&request.observers));
        let next = Members::of(ids(&request.prepared_members), ids(&request.prepared_observers));
        let is_known = |node: &&NodeId| self.roster.nodes().contains_key(&node.0);
        let mut wanted = next.voters.iter().chain(&next.observers);
        match wanted.find(|node| !is_known(node)) {
            Some(unknown) => {
                Err(format!("node not exist: {unknown}; add it with `dongting node add`"))
            }
            None => Ok(Change::Prepare { current, next }),
        }
    }
}

/// Has the group make the change as soon as no earlier one is in the way.
async fn carry_out(
    group: &Group<KvStateMachine>,
    clock: &Clock,
    caller: &Caller,
    change: Change,
) -> Result<Index, ChangeFailed> {
    let deadline = caller.deadline;
    loop {
        let limit = deadline.since(clock.now()).saturating_sub(ANSWER_TIME);
        let made = clock.timeout(limit, group.change(change.clone(), limit)).await;
        match made {
            Some(Err(ChangeFailed::Refused(ChangeRefused::Busy))) if limit > BUSY_PAUSE => {
                clock.sleep(BUSY_PAUSE).await;
            }
            Some(ended) => return ended,
            None => return Err(ChangeFailed::OutcomeUnknown),
        }
    }
}

fn answer(replies: &Replies, caller: &Caller, now: Moment, ended: Result<Index, ChangeFailed>) {
    let refused = match ended {
        Ok(index) => {
            let head = ResponseHead::success(caller.command, caller.seq);
            return replies.answer(caller, now, |out| {
                encode_response(out, &head, |writer| writer.fixed64(1, index.0));
            });
        }
        Err(ChangeFailed::Refused(refused)) => refused,
        Err(ChangeFailed::GivenUp) => {
            let text = "the new members did not catch up in time; nothing was changed";
            return replies.refuse(caller, now, RespCode::SysError, text);
        }
        Err(ChangeFailed::OutcomeUnknown) => {
            let text = "the change may have been made or not; look at the group's status";
            return replies.refuse(caller, now, RespCode::SysError, text);
        }
    };
    let text = match refused {
        ChangeRefused::NotLeader { leader } => {
            return refuse(replies, caller, now, Refusal::NotLeader { leader });
        }
        ChangeRefused::Busy => "another change, or a transfer, is in progress".to_owned(),
        ChangeRefused::CurrentDiffers => "old members or observers not match".to_owned(),
        ChangeRefused::NoVoters => "preparedMembers are empty".to_owned(),
        ChangeRefused::TooMany => {
            format!("more than {} nodes in one list", raft_core::MEMBERS_MAX)
        }
        ChangeRefused::VoterAndObserver(node) => {
            format!("node is both member and observer: {node}")
        }
        ChangeRefused::IndexDiffers { newest } => {
            format!("prepareIndex not match; lastConfigChangeIndex={newest}")
        }
    };
    replies.refuse(caller, now, RespCode::SysError, &text);
}

fn index_differs(prepared: Index, newest: Index) -> String {
    format!("prepareIndex not match. prepareIndex={prepared}, lastConfigChangeIndex={newest}")
}
