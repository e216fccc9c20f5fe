//! `group list|add|remove`: which nodes have which groups.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use client::GroupId;
use client::operations::administration::{ListGroups, RemoveGroup, StatusOf};
use serde_json::json;
use wire::AddGroupReq;

use super::administered::{Administered, AdministeredArguments};
use super::arguments::ClientArguments;
use super::exit::{Exit, Failure};
use super::nodes::{PATIENT, joined};
use super::output::Output;

#[derive(Args, Debug)]
pub(super) struct GroupArguments {
    #[command(flatten)]
    administered: AdministeredArguments,
    #[command(subcommand)]
    verb: GroupVerb,
}

#[derive(Subcommand, Debug)]
enum GroupVerb {
    /// Show all groups: which nodes have them, who leads, who belongs to them.
    List,
    /// Begin a group on its nodes. Where it is already it stays as it is.
    Add {
        /// Its id, not used before.
        id: i32,
        /// Nodes with a vote.
        #[arg(long, value_name = "NODE,…", value_delimiter = ',', required = true)]
        members: Vec<u32>,
        /// Nodes that follow without a vote.
        #[arg(long, value_name = "NODE,…", value_delimiter = ',')]
        observers: Vec<u32>,
    },
    /// End a group on nodes. Their files of it stay: added again, it has what it had.
    Remove {
        /// Its id.
        id: i32,
        /// Only on these nodes; without it, on all that have it.
        #[arg(long, value_name = "NODE,…", value_delimiter = ',')]
        on: Option<Vec<u32>>,
    },
}

pub(super) fn run(
    arguments: &GroupArguments,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let time = client.timeout.max(PATIENT);
    let mut cluster = Administered::find(&arguments.administered, client, time)?;
    match &arguments.verb {
        GroupVerb::List => list(&mut cluster, output),
        GroupVerb::Add { id, members, observers } => {
            add(&mut cluster, *id, members, observers, output)
        }
        GroupVerb::Remove { id, on } => remove(&mut cluster, *id, on.as_deref(), output),
    }
}

/// The nodes that have each group, and the nodes that do not answer.
pub(super) fn places(cluster: &mut Administered) -> (BTreeMap<i32, Vec<u32>>, Vec<Failure>) {
    let (mut places, mut silent) = (BTreeMap::<i32, Vec<u32>>::new(), Vec::new());
    for node in cluster.nodes().keys().copied().collect::<Vec<_>>() {
        match cluster.ask(node, ListGroups) {
            Ok(list) => {
                for group in list.group_ids {
                    places.entry(group).or_default().push(node);
                }
            }
            Err(failure) => silent.push(failure),
        }
    }
    (places, silent)
}

/// What its leader says of a group, or whoever has the highest term.
pub(super) fn status_of(
    cluster: &mut Administered,
    group: i32,
    nodes: &[u32],
) -> Option<wire::QueryStatusResp> {
    let mut found = Vec::new();
    for node in nodes {
        found.extend(cluster.ask(*node, StatusOf(GroupId(group))).ok());
    }
    found.into_iter().max_by_key(|status| (status.leader_id == status.node_id, status.term))
}

fn list(cluster: &mut Administered, output: &mut Output) -> Result<(), Failure> {
    let (places, silent) = places(cluster);
    let mut statuses = BTreeMap::new();
    for (group, nodes) in &places {
        statuses.insert(*group, status_of(cluster, *group, nodes));
    }
    if output.is_json() {
        let groups = places.iter().map(|(group, nodes)| {
            let status = statuses[group].as_ref();
            json!({
                "group": group,
                "nodes": nodes,
                "leader": status.map(|status| status.leader_id).filter(|leader| *leader > 0),
                "members": status.map(|status| &status.members),
                "observers": status.map(|status| &status.observers),
            })
        });
        let silent: Vec<_> = silent.iter().map(|failure| &failure.message).collect();
        return output.json(&json!({ "groups": groups.collect::<Vec<_>>(), "silent": silent }));
    }
    let head = ["group", "nodes", "leader", "members", "observers"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for (group, nodes) in &places {
        let mut row = vec![group.to_string(), joined(nodes)];
        if let Some(status) = &statuses[group] {
            let leader = Some(status.leader_id).filter(|leader| *leader > 0);
            row.push(leader.map_or("-".to_owned(), |leader| leader.to_string()));
            row.extend([joined(&status.members), joined(&status.observers)]);
        }
        table.push(row);
    }
    output.table(&table)?;
    silent.iter().try_for_each(|failure| output.line(&failure.message))
}

fn add(
    cluster: &mut Administered,
    id: i32,
    members: &[u32],
    observers: &[u32],
    output: &mut Output,
) -> Result<(), Failure> {
    let nodes: Vec<u32> = members.iter().chain(observers).copied().collect();
    let text = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let (members, observers) = (text(members), text(observers));
    let done = cluster.at_each(nodes.iter().copied(), |cluster, node| {
        if cluster.ask(node, ListGroups)?.group_ids.contains(&id) {
            return Ok(None);
        }
        let (members, observers) = (members.clone(), observers.clone());
        cluster.ask(node, AddGroupReq { group_id: id, members, observers })?;
        Ok(Some(node))
    })?;
    let added: Vec<u32> = done.into_iter().flatten().collect();
    output.line(&match added.as_slice() {
        [] => format!("group {id} is there already"),
        added => format!("group {id} begins on {}", joined(added)),
    })
}

fn remove(
    cluster: &mut Administered,
    id: i32,
    on: Option<&[u32]>,
    output: &mut Output,
) -> Result<(), Failure> {
    let (mut places, silent) = places(cluster);
    let having = places.remove(&id).unwrap_or_default();
    let nodes: Vec<u32> = match on {
        Some(on) => on.to_vec(),
        None => having,
    };
    if let (None, Some(silent)) = (on, silent.into_iter().next()) {
        let text = format!("{}; name the others with --on", silent.message);
        return Err(Failure::new(silent.exit, text));
    }
    if nodes.is_empty() {
        return Err(Failure::new(Exit::NotFound, format!("no node has group {id}")));
    }
    cluster.at_each(nodes.iter().copied(), |cluster, node| {
        cluster.ask(node, RemoveGroup(GroupId(id)))
    })?;
    let nodes = joined(&nodes);
    output.line(&format!("group {id} is removed from {nodes}; its files, group-{id}, stay there"))
}
