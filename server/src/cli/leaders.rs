//! `leader move|balance`: which node leads which group.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use wire::{QueryStatusResp, TransferLeaderReq};

use super::administered::{Administered, AdministeredArguments};
use super::arguments::ClientArguments;
use super::exit::Failure;
use super::groups::places;
use super::nodes::PATIENT;
use super::output::Output;
use super::survey::Survey;

#[derive(Args, Debug)]
pub(super) struct LeaderArguments {
    #[command(flatten)]
    administered: AdministeredArguments,
    #[command(subcommand)]
    verb: LeaderVerb,
}

#[derive(Subcommand, Debug)]
enum LeaderVerb {
    /// Have a node lead the group of --group.
    Move {
        /// A member of the group.
        node: u32,
    },
    /// Spread the leadership of all groups evenly over their members.
    Balance,
}

pub(super) fn run(
    arguments: &LeaderArguments,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let time = client.timeout.max(PATIENT);
    let mut cluster = Administered::find(&arguments.administered, client, time)?;
    match arguments.verb {
        LeaderVerb::Move { node } => {
            let status = Survey::of(&mut cluster, client.group)?.leader;
            if status.leader_id as u32 == node {
                return output.line(&format!("node {node} leads group {} already", client.group));
            }
            hand_over(&mut cluster, &status, node)?;
            output.line(&moved(&status, node))
        }
        LeaderVerb::Balance => balance(&mut cluster, output),
    }
}

/// Has the leader hand a group over.
pub(super) fn hand_over(
    cluster: &mut Administered,
    status: &QueryStatusResp,
    to: u32,
) -> Result<(), Failure> {
    let order = TransferLeaderReq {
        group_id: status.group_id,
        old_leader_id: status.node_id,
        new_leader_id: to as i32,
        ..TransferLeaderReq::default()
    };
    cluster.ask(status.node_id as u32, order)
}

fn moved(status: &QueryStatusResp, to: u32) -> String {
    format!("group {}: leadership goes from node {} to node {to}", status.group_id, status.node_id)
}

fn balance(cluster: &mut Administered, output: &mut Output) -> Result<(), Failure> {
    let (places, _) = places(cluster);
    let (mut groups, mut able) = (Vec::new(), BTreeSet::new());
    for group in places.into_keys() {
        let survey = Survey::of(cluster, group)?;
        let willing = survey.nodes.iter().filter(|status| !status.is_drained);
        able.extend(willing.map(|status| status.node_id as u32));
        groups.push(survey.leader);
    }
    let moves = moves(&groups, |node| able.contains(&node));
    for (at, to) in &moves {
        let Some(status) = groups.get(*at) else { continue };
        hand_over(cluster, status, *to)?;
        output.line(&moved(status, *to))?;
    }
    match moves.is_empty() {
        true => output.line("leadership is spread evenly already"),
        false => Ok(()),
    }
}

/// Which groups are to be led by whom, so that no node leads two groups more than another one that
/// could lead one of them.
fn moves(groups: &[QueryStatusResp], is_there: impl Fn(u32) -> bool) -> Vec<(usize, u32)> {
    let mut leads: BTreeMap<u32, usize> = BTreeMap::new();
    let mut leaders: Vec<u32> = groups.iter().map(|status| status.leader_id as u32).collect();
    for leader in &leaders {
        *leads.entry(*leader).or_default() += 1;
    }
    // Each step takes from one node what another one has two less of, so the sum of squares falls.
    let step = |leaders: &[u32], leads: &BTreeMap<u32, usize>| {
        let count = |node: u32| leads.get(&node).copied().unwrap_or(0);
        groups.iter().zip(leaders).enumerate().find_map(|(at, (status, leader))| {
            let others = status.members.iter().copied().filter(|member| is_there(*member));
            let to = others.min_by_key(|member| count(*member))?;
            (count(to) + 1 < count(*leader)).then_some((at, to))
        })
    };
    while let Some((at, to)) = step(&leaders, &leads) {
        if let Some(leader) = leaders.get_mut(at) {
            *leads.entry(*leader).or_default() -= 1;
            *leader = to;
            *leads.entry(to).or_default() += 1;
        }
    }
    let before = groups.iter().map(|status| status.leader_id as u32);
    let changed = leaders.into_iter().zip(before).enumerate();
    changed.filter(|(_, (to, from))| to != from).map(|(at, (to, _))| (at, to)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(group_id: i32, leader: i32, members: &[u32]) -> QueryStatusResp {
        let (node_id, leader_id) = (leader, leader);
        let members = members.to_vec();
        QueryStatusResp { group_id, node_id, leader_id, members, ..QueryStatusResp::default() }
    }

    #[test]
    fn leadership_is_spread_over_the_members_that_are_there() {
        let groups: Vec<_> = (0..6).map(|id| group(id, 1, &[1, 2, 3])).collect();
        let targets = |moves: Vec<(usize, u32)>| {
            let mut to: Vec<u32> = moves.into_iter().map(|(_, to)| to).collect();
            to.sort_unstable();
            to
        };
        assert_eq!(targets(moves(&groups, |_| true)), [2, 2, 3, 3]);
        assert_eq!(targets(moves(&groups, |node| node != 3)), [2, 2, 2]);
        let even = [group(0, 1, &[1, 2, 3]), group(1, 2, &[1, 2, 3])];
        assert_eq!(moves(&even, |_| true), []);
        // Nobody else may lead these.
        let alone = [group(0, 1, &[1]), group(1, 1, &[1])];
        assert_eq!(moves(&alone, |_| true), []);
    }
}
