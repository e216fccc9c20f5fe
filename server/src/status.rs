//! What a node says about its groups.

use raft_core::GroupId;
use raft_host::GroupStatus;
use wire::{KvStatusResp, QueryStatusResp, ResponseHead, StatusFlag, encode_response};

use crate::caller::Caller;

/// Appends the answer to the raft status command.
pub fn encode_raft_status(out: &mut Vec<u8>, caller: &Caller, group: GroupId, status: &GroupStatus) {
    let head = ResponseHead::success(caller.command, caller.seq);
    encode_response(out, &head, |writer| raft_status(group, status).encode(writer));
}

/// Appends the answer to the status command of the key-value store.
pub fn encode_kv_status(out: &mut Vec<u8>, caller: &Caller, group: GroupId, status: &GroupStatus) {
    let status =
        KvStatusResp { raft_server_status: Some(raft_status(group, status)), watch_count: 0 };
    let head = ResponseHead::success(caller.command, caller.seq);
    encode_response(out, &head, |writer| status.encode(writer));
}

fn raft_status(group: GroupId, status: &GroupStatus) -> QueryStatusResp {
    let raft = &status.raft;
    let ready = if status.ready { StatusFlag::GROUP_READY } else { 0 };
    QueryStatusResp {
        group_id: group.0,
        node_id: raft.id.0 as i32,
        flag: StatusFlag::INIT_FINISHED | ready,
        term: raft.term.0 as i32,
        leader_id: raft.leader.map_or(0, |leader| leader.0 as i32),
        commit_index: raft.commit.0,
        last_applied: raft.applied.0,
        last_apply_time_to_now_ms: status.since_last_apply.as_millis() as u64,
        last_log_index: raft.last.index.0,
        apply_lag_ms: status.apply_lag.as_millis() as u64,
        members: Vec::new(),
        observers: Vec::new(),
        prepared_members: Vec::new(),
        prepared_observers: Vec::new(),
        last_config_change_index: 0,
        last_error: String::new(),
    }
}
