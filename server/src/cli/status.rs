//! `status`: the group as each server sees it.

use client::blocking::Client;
use client::{Error, NodeId};
use serde_json::{Value, json};
use wire::{QueryStatusResp, StatusFlag};

use super::exit::{Exit, Failure};
use super::output::Output;

/// Asks each server, and fails unless one of them is ready and knows a leader.
pub(super) fn run(
    nodes: &[NodeId],
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let answers: Vec<(NodeId, Result<QueryStatusResp, Error>)> =
        nodes.iter().map(|node| (*node, client.query_status(*node))).collect();
    if output.is_json() {
        let list = answers.iter().map(|(node, answer)| as_json(*node, answer));
        output.json(&list.collect::<Vec<_>>())?;
    } else {
        let head = ["node", "state", "term", "leader", "committed", "applied", "last", "members"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(answers.iter().map(|(node, answer)| as_row(*node, answer)));
        output.table(&rows)?;
    }
    let serves = |answer: &Result<QueryStatusResp, Error>| {
        answer.as_ref().is_ok_and(|status| is_ready(status) && status.leader_id > 0)
    };
    if answers.iter().any(|(_, answer)| serves(answer)) {
        return Ok(());
    }
    let reasons = answers.iter().map(|(node, answer)| match answer {
        Ok(_) => format!("node {}: it knows no leader", node.0),
        Err(error) => format!("node {}: {error}", node.0),
    });
    Err(Failure::new(Exit::Unavailable, reasons.collect::<Vec<_>>().join("\n")))
}

fn is_ready(status: &QueryStatusResp) -> bool {
    status.flag & StatusFlag::GROUP_READY != 0
}

fn state(status: &QueryStatusResp) -> &'static str {
    let has = |flag: i32| status.flag & flag != 0;
    match () {
        () if has(StatusFlag::INIT_FAILED) => "failed",
        () if !has(StatusFlag::INIT_FINISHED) => "starting",
        () if !is_ready(status) => "not ready",
        () if status.leader_id == status.node_id => "leader",
        () => "follower",
    }
}

fn as_row(node: NodeId, answer: &Result<QueryStatusResp, Error>) -> Vec<String> {
    let Ok(status) = answer else { return vec![node.0.to_string(), "no answer".to_owned()] };
    let leader = if status.leader_id > 0 { status.leader_id.to_string() } else { "-".to_owned() };
    let members: Vec<String> = status.members.iter().map(u32::to_string).collect();
    vec![
        node.0.to_string(),
        state(status).to_owned(),
        status.term.to_string(),
        leader,
        status.commit_index.to_string(),
        status.last_applied.to_string(),
        status.last_log_index.to_string(),
        members.join(","),
    ]
}

fn as_json(node: NodeId, answer: &Result<QueryStatusResp, Error>) -> Value {
    let status = match answer {
        Ok(status) => status,
        Err(error) => return json!({ "node": node.0, "error": error.to_string() }),
    };
    json!({
        "node": node.0,
        "state": state(status),
        "group": status.group_id,
        "term": status.term,
        "leader": (status.leader_id > 0).then_some(status.leader_id),
        "commit_index": status.commit_index,
        "last_applied": status.last_applied,
        "last_log_index": status.last_log_index,
        "last_apply_age_ms": status.last_apply_time_to_now_ms,
        "apply_lag_ms": status.apply_lag_ms,
        "members": status.members,
        "observers": status.observers,
        "prepared_members": status.prepared_members,
        "prepared_observers": status.prepared_observers,
        "last_config_change_index": status.last_config_change_index,
        "bug_recorded": status.flag & StatusFlag::BUG_RECORDED != 0,
        "last_error": status.last_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_from_flags_and_leader() {
        let of = |flag: i32, leader_id: i32| {
            state(&QueryStatusResp { flag, leader_id, node_id: 1, ..QueryStatusResp::default() })
        };
        assert_eq!(of(0, 0), "starting");
        assert_eq!(of(StatusFlag::INIT_FAILED, 0), "failed");
        assert_eq!(of(StatusFlag::INIT_FINISHED, 0), "not ready");
        let ready = StatusFlag::INIT_FINISHED | StatusFlag::GROUP_READY;
        assert_eq!((of(ready, 1), of(ready, 2)), ("leader", "follower"));
    }
}
