//! `node drain|undrain`: a node that is to be stopped leads nothing.

use std::thread;
use std::time::{Duration, Instant};

use client::GroupId;
use client::operations::administration::{Drain, ListGroups, SaveSnapshotOf, StatusOf};

use super::administered::Administered;
use super::exit::{Exit, Failure};
use super::nodes::joined;
use super::output::Output;
use super::survey::{LOOK_INTERVAL, NEAR, Survey};

/// Has others lead what a node leads, saves snapshots there, and says whether it may be stopped.
pub(super) fn drain(
    cluster: &mut Administered,
    node: u32,
    wait: Duration,
    output: &mut Output,
) -> Result<(), Failure> {
    let groups = cluster.ask(node, ListGroups)?.group_ids;
    for group in &groups {
        let survey = Survey::of(cluster, *group)?;
        if let Some(reason) = survey.needs(node) {
            let text = format!("{reason}; nothing was done: see to the others first");
            return Err(Failure::new(Exit::Unavailable, text));
        }
    }
    cluster.ask(node, Drain(true))?;
    wait_for_leaders(cluster, node, &groups, wait)?;
    output.line(&format!("node {node} leads nothing any more"))?;
    for group in &groups {
        if cluster.ask(node, SaveSnapshotOf(GroupId(*group)))?.is_saving {
            let text = format!(
                "group {group}: its snapshot is still being saved on node {node}; see `dongting \
                 snapshot list`"
            );
            return Err(Failure::new(Exit::OutcomeUnknown, text));
        }
    }
    output.line(&format!("snapshots of its groups are saved: {}", joined(&groups)))?;
    for group in &groups {
        if let Some(reason) = Survey::of(cluster, *group)?.needs(node) {
            return Err(Failure::new(Exit::Unavailable, format!("{reason}; do not stop it now")));
        }
    }
    output.line(&format!("node {node} may be stopped; `dongting node undrain {node}` ends this"))
}

fn wait_for_leaders(
    cluster: &mut Administered,
    node: u32,
    groups: &[i32],
    wait: Duration,
) -> Result<(), Failure> {
    let end = Instant::now() + wait;
    loop {
        let mut led = Vec::new();
        for group in groups {
            let status = cluster.ask(node, StatusOf(GroupId(*group)))?;
            if status.leader_id as u32 == node {
                led.push(*group);
            }
        }
        if led.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let text = format!(
                "node {node} still leads {}: no other member has caught up; it hands over as soon \
                 as one has, and `dongting node undrain {node}` ends that",
                joined(&led)
            );
            return Err(Failure::new(Exit::Unavailable, text));
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Lets a node lead again, as soon as it is back: it follows in each of its groups and has caught up.
pub(super) fn undrain(
    cluster: &mut Administered,
    node: u32,
    wait: Duration,
    output: &mut Output,
) -> Result<(), Failure> {
    let end = Instant::now() + wait;
    while let Err(failure) = is_back(cluster, node) {
        if Instant::now() >= end {
            return Err(failure);
        }
        thread::sleep(LOOK_INTERVAL);
    }
    cluster.ask(node, Drain(false))?;
    output.line(&format!("node {node} follows in all of its groups, and may lead again"))
}

/// Whether a node does in each of its groups what it can.
fn is_back(cluster: &mut Administered, node: u32) -> Result<(), Failure> {
    for group in cluster.ask(node, ListGroups)?.group_ids {
        let survey = Survey::of(cluster, group)?;
        let behind = survey
            .nodes
            .iter()
            .find(|status| status.node_id as u32 == node)
            .map_or(survey.leader.commit_index, |own| {
                survey.leader.commit_index.saturating_sub(own.last_applied)
            });
        let belongs = [&survey.leader.members, &survey.leader.observers];
        let belongs = belongs.into_iter().flatten().any(|id| *id == node);
        if belongs && (behind > NEAR || !survey.following().contains(&node)) {
            let text = format!(
                "node {node} does not follow in group {group} yet, or is {behind} entries behind; \
                 see `dongting status --group {group}`"
            );
            return Err(Failure::new(Exit::Unavailable, text));
        }
    }
    Ok(())
}
