//! Saving snapshots of a group on this node, and listing them.

use moment::Moment;
use raft_host::StoredSnapshot;
use wire::{RespCode, ResponseHead, SnapshotEntry, SnapshotsResp, encode_response};

use super::desk::{ANSWER_TIME, Desk};
use crate::caller::Caller;
use crate::replies::Replies;

impl Desk<'_> {
    /// Saves a snapshot and answers with it, or that it is being saved when the caller's time ends.
    pub(super) fn save_snapshot(&self, caller: Caller, now: Moment) {
        let (group, replies) = (self.group.clone(), self.replies.clone());
        let clock = self.shard.clock().clone();
        let node_id = self.own as i32;
        self.shard.fibers().spawn_daemon("save a snapshot", async move {
            let limit = caller.deadline.since(now).saturating_sub(ANSWER_TIME);
            let ended = clock.timeout(limit, group.save_snapshot()).await;
            let answer = SnapshotsResp { node_id, ..SnapshotsResp::default() };
            match ended {
                Some(Ok(stored)) => {
                    let snapshots = vec![entry(&stored, group.time_ms())];
                    respond(&replies, &caller, clock.now(), &SnapshotsResp { snapshots, ..answer });
                }
                Some(Err(failed)) => {
                    replies.refuse(&caller, clock.now(), RespCode::SysError, &failed.to_string());
                }
                None => {
                    let answer = SnapshotsResp { is_saving: true, ..answer };
                    respond(&replies, &caller, clock.now(), &answer);
                }
            }
            replies.flush();
        });
    }

    /// Answers with all snapshots that are kept.
    pub(super) fn list_snapshots(&self, caller: &Caller, now: Moment) {
        let (status, time_ms) = (self.group.snapshots(), self.group.time_ms());
        let answer = SnapshotsResp {
            node_id: self.own as i32,
            snapshots: status.stored.iter().map(|stored| entry(stored, time_ms)).collect(),
            is_saving: status.is_saving,
            problem: status.problem.unwrap_or_default(),
        };
        respond(self.replies, caller, now, &answer);
    }
}

fn entry(stored: &StoredSnapshot, time_ms: u64) -> SnapshotEntry {
    let position = stored.header.boundary.position;
    SnapshotEntry {
        index: position.index.0,
        term: position.term.0 as i32,
        bytes: stored.bytes,
        age_ms: time_ms.saturating_sub(stored.header.time_ms),
    }
}

fn respond(replies: &Replies, caller: &Caller, now: Moment, answer: &SnapshotsResp) {
    let head = ResponseHead::success(caller.command, caller.seq);
    replies.answer(caller, now, |out| encode_response(out, &head, |writer| answer.encode(writer)));
}
