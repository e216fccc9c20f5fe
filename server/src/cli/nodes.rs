//! `node list|add|remove`: which nodes know which; and the door to `drain`.

use std::time::Duration;

use clap::{Args, Subcommand};
use client::NodeId;
use client::operations::administration::{ListGroups, ListNodes, RemoveNode};
use serde_json::json;
use wire::{AddNodeReq, NodePing};

use super::administered::{Administered, AdministeredArguments};
use super::arguments::{ClientArguments, ServerArgument};
use super::drain::{drain, undrain};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::{Endpoint, parse_duration};

#[derive(Args, Debug)]
pub(super) struct NodeArguments {
    #[command(flatten)]
    administered: AdministeredArguments,
    #[command(subcommand)]
    verb: NodeVerb,
}

#[derive(Subcommand, Debug)]
enum NodeVerb {
    /// Show all nodes: where they are, who knows them, and which groups they have.
    List,
    /// Make a node known to all others, under its address for the other nodes. It must run, and its
    /// own configuration must list them.
    Add {
        /// The new node.
        #[arg(value_name = "ID=HOST:PORT")]
        node: ServerArgument,
    },
    /// Have all others forget a node that is in no group any more.
    Remove {
        /// Its id.
        node: u32,
    },
    /// Prepare a node for a stop: others lead what it leads, its snapshots are saved, and it leads
    /// nothing that another node can lead until `undrain`, restarts included.
    Drain {
        /// Its id.
        node: u32,
        /// How long the others may take to take over.
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
        wait: Duration,
    },
    /// End `drain`, as soon as the node follows in all of its groups and has caught up.
    Undrain {
        /// Its id.
        node: u32,
        /// How long that may take.
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
        wait: Duration,
    },
}

pub(super) fn run(
    arguments: &NodeArguments,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let time = match arguments.verb {
        // A snapshot takes as long as it takes.
        NodeVerb::Drain { .. } => client.timeout.max(SAVING),
        _ => client.timeout,
    };
    let mut cluster = Administered::find(&arguments.administered, client, time)?;
    match &arguments.verb {
        NodeVerb::List => list(&mut cluster, output),
        NodeVerb::Add { node } => add(&mut cluster, node, client, output),
        NodeVerb::Remove { node } => remove(&mut cluster, *node, output),
        NodeVerb::Drain { node, wait } => drain(&mut cluster, *node, *wait, output),
        NodeVerb::Undrain { node, wait } => undrain(&mut cluster, *node, *wait, output),
    }
}

/// What is known of a node.
struct Row {
    node: u32,
    address: Endpoint,
    /// Who has it in its list; of those that answer.
    known_by: Vec<u32>,
    /// Its groups, if it answers.
    groups: Result<Vec<i32>, Failure>,
}

fn list(cluster: &mut Administered, output: &mut Output) -> Result<(), Failure> {
    let nodes: Vec<(u32, Endpoint)> = cluster.nodes().clone().into_iter().collect();
    let mut lists = Vec::new();
    for (node, _) in &nodes {
        if let Ok(known) = cluster.ask(*node, ListNodes) {
            lists.push((*node, known));
        }
    }
    let mut rows = Vec::new();
    for (node, address) in nodes {
        let has = |list: &wire::ListNodesResp| {
            list.nodes.iter().any(|known| known.node_id as u32 == node)
        };
        let known_by = lists.iter().filter(|(_, list)| has(list)).map(|(by, _)| *by).collect();
        let groups = cluster.ask(node, ListGroups).map(|list| list.group_ids);
        rows.push(Row { node, address, known_by, groups });
    }
    if output.is_json() {
        return output.json(&json!({ "nodes": rows.iter().map(as_json).collect::<Vec<_>>() }));
    }
    let head = ["node", "address", "known by", "groups"].map(str::to_owned).to_vec();
    let table: Vec<_> = core::iter::once(head).chain(rows.iter().map(as_row)).collect();
    output.table(&table)
}

fn as_row(row: &Row) -> Vec<String> {
    let groups = row.groups.as_ref().map_or("no answer".to_owned(), |groups| joined(groups));
    vec![row.node.to_string(), row.address.to_string(), joined(&row.known_by), groups]
}

fn as_json(row: &Row) -> serde_json::Value {
    json!({
        "node": row.node,
        "address": row.address.to_string(),
        "known_by": row.known_by,
        "groups": row.groups.as_ref().ok(),
        "error": row.groups.as_ref().err().map(|failure| &failure.message),
    })
}

/// Ids with commas between; `-` when there are none.
pub(super) fn joined<T: ToString>(ids: &[T]) -> String {
    match ids {
        [] => "-".to_owned(),
        _ => ids.iter().map(T::to_string).collect::<Vec<_>>().join(","),
    }
}

/// The new node is greeted in the name of each other one before any of them hears of it.
fn add(
    cluster: &mut Administered,
    new: &ServerArgument,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let others: Vec<u32> = cluster.nodes().keys().copied().filter(|id| *id != new.id).collect();
    cluster.meet(new.id, &new.address, client, client.timeout)?;
    for other in &others {
        greet(cluster, new.id, *other)?;
    }
    let Endpoint { host, port } = &new.address;
    let (node_id, port) = (new.id as i32, i32::from(*port));
    cluster.at_each(others.iter().copied(), |cluster, other| {
        cluster.ask(other, AddNodeReq { node_id, host: host.clone(), port })
    })?;
    output.line(&format!("node {} at {} is known to {}", new.id, new.address, joined(&others)))
}

/// Whether a node is who it should be, and knows another one.
pub(super) fn greet(cluster: &mut Administered, new: u32, other: u32) -> Result<(), Failure> {
    let ping =
        NodePing { local_node_id: other as i32, remote_node_id: new as i32, ..NodePing::default() };
    let mend =
        "start it with a configuration whose [[nodes]] lists all nodes, or check the address";
    match cluster.ask(new, ping) {
        Ok(_) => Ok(()),
        Err(failure) if failure.exit == Exit::NotAllowed => {
            Err(Failure::new(failure.exit, format!("{}; {mend}", failure.message)))
        }
        Err(failure) => Err(failure),
    }
}

fn remove(cluster: &mut Administered, old: u32, output: &mut Output) -> Result<(), Failure> {
    if !cluster.nodes().contains_key(&old) {
        return Err(Failure::new(Exit::NotFound, format!("no node {old} is known")));
    }
    let others: Vec<u32> = cluster.nodes().keys().copied().filter(|id| *id != old).collect();
    let mut used = false;
    let removed = cluster.at_each(others.iter().copied(), |cluster, other| {
        let removed = cluster.ask(other, RemoveNode(NodeId(old as i32)));
        used |= removed.as_ref().is_err_and(|failure| failure.exit == Exit::NotAllowed);
        removed
    });
    match removed {
        Ok(_) => output.line(&format!("node {old} is forgotten by {}", joined(&others))),
        Err(failure) if used => {
            let mend = format!(
                "take node {old} out of the groups that have it first; `dongting group list` \
                 shows them"
            );
            Err(Failure::new(failure.exit, format!("{}\n{mend}", failure.message)))
        }
        Err(failure) => Err(failure),
    }
}

/// Time for a snapshot to be saved.
const SAVING: Duration = Duration::from_secs(300);
/// Time for what waits for disks and for hand-overs.
pub(super) const PATIENT: Duration = Duration::from_secs(30);
