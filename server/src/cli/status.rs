//! `status`: the group as each server sees it, and how many nodes it can still lose.

use std::collections::BTreeMap;

use client::blocking::Client;
use client::{Error, NodeId};
use serde_json::{Value, json};
use wire::{QueryStatusResp, StatusFlag};

use super::exit::{Exit, Failure};
use super::output::Output;
use super::zones;

/// What a server has said, or why it has not.
type Answer = (NodeId, Result<QueryStatusResp, Error>);

/// Asks each server, and fails unless one of them is ready and knows a leader.
pub(super) fn run(
    nodes: &[NodeId],
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let answers: Vec<Answer> =
        nodes.iter().map(|node| (*node, client.query_status(*node))).collect();
    let summary = Summary::of(&answers);
    if output.is_json() {
        output.json(&summary.as_json(&answers))?;
    } else {
        output.table(&summary.as_table(&answers))?;
        if let Some(sentence) = summary.sentence() {
            output.line(&sentence)?;
        }
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

/// What follows from all answers together.
struct Summary {
    /// What the leader itself has said; of two that take themselves for it the newer one counts.
    leader: Option<QueryStatusResp>,
    /// Members that are ready and follow that leader, itself included.
    following: Vec<u32>,
    /// Where nodes stand, as far as they say.
    zones: BTreeMap<u32, String>,
}

impl Summary {
    fn of(answers: &[Answer]) -> Summary {
        let all = || answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        let leads = |status: &&QueryStatusResp| status.leader_id == status.node_id;
        let leader = all().filter(leads).max_by_key(|status| status.term).cloned();
        let follows = |status: &&QueryStatusResp| {
            leader.as_ref().is_some_and(|leader| {
                is_ready(status)
                    && (status.leader_id, status.term) == (leader.leader_id, leader.term)
            })
        };
        let following = all().filter(follows).map(|status| status.node_id as u32).collect();
        let zones = all().filter(|status| !status.zone.is_empty());
        let zones = zones.map(|status| (status.node_id as u32, status.zone.clone())).collect();
        Summary { leader, following, zones }
    }

    /// How many members may fail now so that the rest still is a majority; `None` without a leader.
    fn can_lose(&self) -> Option<usize> {
        let leader = self.leader.as_ref()?;
        let halves = [&leader.members, &leader.prepared_members];
        let spare = halves.iter().filter(|members| !members.is_empty()).map(|members| {
            let alive = members.iter().filter(|node| self.following.contains(node)).count();
            alive.saturating_sub(members.len() / 2 + 1)
        });
        spare.min()
    }

    /// Which zones may fail now so that the rest still is a majority.
    fn losable_zones(&self) -> BTreeMap<String, bool> {
        let Some(leader) = &self.leader else { return BTreeMap::new() };
        let sets: [&[u32]; 2] = [&leader.members, &leader.prepared_members];
        zones::losable(&sets, &self.following, &self.zones)
    }

    /// For people: what a table does not say.
    fn sentence(&self) -> Option<String> {
        let leader = self.leader.as_ref()?;
        let members = leader.members.len();
        let alive = leader.members.iter().filter(|node| self.following.contains(node)).count();
        let can_lose = match self.can_lose()? {
            0 => "no node".to_owned(),
            1 => "1 node".to_owned(),
            more => format!("{more} nodes"),
        };
        let zones = zones::sentence(&self.losable_zones());
        let zones = zones.map_or_else(String::new, |zones| format!("; {zones}"));
        Some(format!("{alive} of {members} members follow; can lose: {can_lose}{zones}"))
    }

    /// Entries that the leader has committed and a node has not applied.
    fn lag(&self, status: &QueryStatusResp) -> Option<u64> {
        let leader = self.leader.as_ref().filter(|leader| leader.node_id != status.node_id)?;
        Some(leader.commit_index.saturating_sub(status.last_applied))
    }

    fn as_table(&self, answers: &[Answer]) -> Vec<Vec<String>> {
        let head =
            ["node", "role", "term", "leader", "committed", "applied", "last", "lag", "members"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(answers.iter().map(|(node, answer)| self.as_row(*node, answer)));
        rows
    }

    fn as_row(&self, node: NodeId, answer: &Result<QueryStatusResp, Error>) -> Vec<String> {
        let Ok(status) = answer else {
            return vec![node.0.to_string(), "no answer".to_owned()];
        };
        let or_dash = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let members: Vec<String> = status.members.iter().map(u32::to_string).collect();
        vec![
            node.0.to_string(),
            with_drained(status),
            status.term.to_string(),
            or_dash((status.leader_id > 0).then_some(status.leader_id as u64)),
            status.commit_index.to_string(),
            status.last_applied.to_string(),
            status.last_log_index.to_string(),
            or_dash(self.lag(status)),
            members.join(","),
        ]
    }

    fn as_json(&self, answers: &[Answer]) -> Value {
        let nodes = answers.iter().map(|(node, answer)| self.node_as_json(*node, answer));
        json!({
            "leader": self.leader.as_ref().map(|leader| leader.node_id),
            "term": self.leader.as_ref().map(|leader| leader.term),
            "following": self.following,
            "can_lose": self.can_lose(),
            "zones_that_can_be_lost": self.losable_zones(),
            "nodes": nodes.collect::<Vec<_>>(),
        })
    }

    fn node_as_json(&self, node: NodeId, answer: &Result<QueryStatusResp, Error>) -> Value {
        let status = match answer {
            Ok(status) => status,
            Err(error) => return json!({ "node": node.0, "error": error.to_string() }),
        };
        json!({
            "node": node.0,
            "role": role(status),
            "is_drained": status.is_drained,
            "zone": status.zone,
            "group": status.group_id,
            "term": status.term,
            "leader": (status.leader_id > 0).then_some(status.leader_id),
            "commit_index": status.commit_index,
            "last_applied": status.last_applied,
            "last_log_index": status.last_log_index,
            "lag": self.lag(status),
            "last_apply_age_ms": status.last_apply_time_to_now_ms,
            "apply_lag_ms": status.apply_lag_ms,
            "members": status.members,
            "observers": status.observers,
            "prepared_members": status.prepared_members,
            "prepared_observers": status.prepared_observers,
            "last_config_change_index": status.last_config_change_index,
            "bug_recorded": status.flag & StatusFlag::BUG_RECORDED != 0,
            "last_error": status.last_error,
            "snapshot": {
                "index": status.snapshot.index,
                "bytes": status.snapshot.bytes,
                "age_ms": status.snapshot.age_ms,
                "is_saving": status.snapshot.is_saving,
                "is_receiving": status.snapshot.is_receiving,
            },
        })
    }
}

fn is_ready(status: &QueryStatusResp) -> bool {
    status.flag & StatusFlag::GROUP_READY != 0
}

/// The role, and whether the node lets others lead.
fn with_drained(status: &QueryStatusResp) -> String {
    let drained = if status.is_drained { ", drained" } else { "" };
    format!("{}{drained}", role(status))
}

fn role(status: &QueryStatusResp) -> &'static str {
    let has = |flag: i32| status.flag & flag != 0;
    match () {
        () if has(StatusFlag::INIT_FAILED) => "failed",
        () if !has(StatusFlag::INIT_FINISHED) => "starting",
        () if !is_ready(status) => "not ready",
        () if status.leader_id == status.node_id => "leader",
        () if status.observers.contains(&(status.node_id as u32)) => "observer",
        () => "follower",
    }
}

#[cfg(test)]
mod tests {
    use client::Reason;

    use super::*;

    const READY: i32 = StatusFlag::INIT_FINISHED | StatusFlag::GROUP_READY;

    fn member(node_id: i32, term: i32, leader_id: i32) -> Answer {
        let status = QueryStatusResp {
            node_id,
            term,
            leader_id,
            flag: READY,
            commit_index: 100,
            last_applied: 100 - node_id as u64,
            members: vec![1, 2, 3],
            ..QueryStatusResp::default()
        };
        (NodeId(node_id), Ok(status))
    }

    fn silent(node_id: i32) -> Answer {
        (NodeId(node_id), Err(Error::Unavailable(Reason::NoConnection)))
    }

    #[test]
    fn the_role_follows_from_flags_and_leader() {
        let of = |flag: i32, leader_id: i32| {
            role(&QueryStatusResp { flag, leader_id, node_id: 1, ..QueryStatusResp::default() })
        };
        assert_eq!(of(0, 0), "starting");
        assert_eq!(of(StatusFlag::INIT_FAILED, 0), "failed");
        assert_eq!(of(StatusFlag::INIT_FINISHED, 0), "not ready");
        assert_eq!((of(READY, 1), of(READY, 2)), ("leader", "follower"));
    }

    #[test]
    fn what_can_be_lost_is_what_follows_beyond_a_majority() {
        let sentence = |answers: &[Answer]| Summary::of(answers).sentence();
        let all = [member(1, 4, 2), member(2, 4, 2), member(3, 4, 2)];
        assert_eq!(sentence(&all).unwrap(), "3 of 3 members follow; can lose: 1 node");
        let two = [silent(1), member(2, 4, 2), member(3, 4, 2)];
        assert_eq!(sentence(&two).unwrap(), "2 of 3 members follow; can lose: no node");
        // The old leader has not heard of the new one; its follower has.
        let split = [member(1, 3, 1), member(2, 4, 2), member(3, 4, 2)];
        assert_eq!(Summary::of(&split).following, [2, 3]);
        assert_eq!(sentence(&[silent(1), member(3, 4, 2)]), None);
    }

    #[test]
    fn the_lag_is_what_the_leader_has_committed_and_a_node_has_not_applied() {
        let all = [member(1, 4, 2), member(2, 4, 2), member(3, 4, 2)];
        let table = Summary::of(&all).as_table(&all);
        let lags: Vec<&str> = table.iter().map(|row| row[7].as_str()).collect();
        assert_eq!(lags, ["lag", "1", "-", "3"]);
    }
}
