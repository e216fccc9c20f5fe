//! What a node says about its groups.

use std::time::Duration;

use raft_core::{GroupId, Members, NodeId};
use raft_host::{GroupStatus, SnapshotStatus};
use wire::{
    KvStatusResp, QueryStatusResp, ResponseHead, SnapshotState, StatusFlag, encode_response,
};

use crate::caller::Caller;

/// A group as this node sees it.
pub struct GroupView {
    /// The group.
    pub id: GroupId,
    /// Its consensus and its log.
    pub status: GroupStatus,
    /// Its snapshots.
    pub snapshots: SnapshotStatus,
    /// Now, on the clock of its entries.
    pub time_ms: u64,
    /// Whether this node lets others lead.
    pub is_drained: bool,
    /// Where this node stands.
    pub zone: String,
    /// Time since it last applied something.
    pub since_last_apply: Duration,
}

/// Appends the answer to the raft status command.
pub fn encode_raft_status(out: &mut Vec<u8>, caller: &Caller, view: &GroupView) {
    let head = ResponseHead::success(caller.command, caller.seq);
    encode_response(out, &head, |writer| raft_status(view).encode(writer));
}

/// Appends the answer to the status command of the key-value store.
pub fn encode_kv_status(out: &mut Vec<u8>, caller: &Caller, view: &GroupView, watch_count: usize) {
    let watch_count = i32::try_from(watch_count).unwrap_or(i32::MAX);
    let status = KvStatusResp { raft_server_status: Some(raft_status(view)), watch_count };
    let head = ResponseHead::success(caller.command, caller.seq);
    encode_response(out, &head, |writer| status.encode(writer));
}

fn raft_status(view: &GroupView) -> QueryStatusResp {
    let raft = &view.status.raft;
    let since_last_apply_ms = u64::try_from(view.since_last_apply.as_millis()).unwrap_or(u64::MAX);
    let ready = if raft.ready { StatusFlag::GROUP_READY } else { 0 };
    let Members { voters: members, observers } = &raft.config.current;
    let prepared = raft.config.next.clone().unwrap_or_default();
    QueryStatusResp {
        group_id: view.id.0,
        node_id: raft.id.0 as i32,
        flag: StatusFlag::INIT_FINISHED | ready,
        term: raft.term.0 as i32,
        leader_id: raft.leader.map_or(0, |leader| leader.0 as i32),
        commit_index: raft.commit.0,
        last_applied: raft.applied.0,
        last_apply_time_to_now_ms: since_last_apply_ms,
        last_log_index: raft.last.index.0,
        // Entries are applied as soon as they are committed: whoever has none waiting has no lag.
        apply_lag_ms: if raft.applied < raft.commit { since_last_apply_ms } else { 0 },
        members: ids(members),
        observers: ids(observers),
        prepared_members: ids(&prepared.voters),
        prepared_observers: ids(&prepared.observers),
        last_config_change_index: raft.config_index.0,
        last_error: last_error(view),
        snapshot: snapshot_state(view),
        is_drained: view.is_drained,
        zone: view.zone.clone(),
    }
}

/// Why the group has failed, or else what is wrong with its snapshots.
fn last_error(view: &GroupView) -> String {
    let failure = view.status.failure.as_ref().map(ToString::to_string);
    failure.or_else(|| view.snapshots.problem.clone()).unwrap_or_default()
}

fn snapshot_state(view: &GroupView) -> SnapshotState {
    let newest = view.snapshots.stored.last();
    SnapshotState {
        index: newest.map_or(0, |newest| newest.header.boundary.position.index.0),
        bytes: newest.map_or(0, |newest| newest.bytes),
        age_ms: newest.map_or(0, |newest| view.time_ms.saturating_sub(newest.header.time_ms)),
        is_saving: view.snapshots.is_saving,
        is_receiving: view.snapshots.receiving.is_some(),
    }
}

fn ids(nodes: &[NodeId]) -> Vec<u32> {
    nodes.iter().map(|node| node.0).collect()
}
