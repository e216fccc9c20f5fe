//! `snapshot`: save a group's state into a file of each node, and list these files.

use std::time::Duration;

use clap::{Args, Subcommand};
use client::blocking::Client;
use client::{Error, NodeId};
use serde_json::{Value, json};
use wire::{SnapshotEntry, SnapshotsResp};

use super::arguments::{ClientArguments, ServerArgument};
use super::connect;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::parse_duration;

#[derive(Args, Debug)]
pub(super) struct SnapshotArguments {
    /// Addresses for administration of the nodes that are asked, by node id.
    #[arg(
        long,
        global = true,
        value_name = "ID=HOST:PORT,…",
        value_delimiter = ',',
        default_value = "1=127.0.0.1:9331"
    )]
    admin: Vec<ServerArgument>,
    #[command(subcommand)]
    verb: SnapshotVerb,
}

#[derive(Subcommand, Debug)]
enum SnapshotVerb {
    /// Save one on each node, one after the other, unless its newest one has everything.
    Save {
        /// How long to wait for a node; saving goes on after that.
        #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5m")]
        wait: Duration,
    },
    /// Show those that each node keeps.
    List,
}

/// What a node has said, or why it has not.
type Answer = (NodeId, Result<SnapshotsResp, Error>);

/// Asks each node, and fails unless all of them did what they were asked for.
pub(super) fn run(
    arguments: &SnapshotArguments,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let (time, ask): (_, fn(&mut Client, NodeId) -> _) = match arguments.verb {
        SnapshotVerb::Save { wait } => (wait, Client::save_snapshot),
        SnapshotVerb::List => (client.timeout, Client::list_snapshots),
    };
    let mut client = connect::administrator(client, &arguments.admin, time)?;
    let nodes = arguments.admin.iter().map(|server| NodeId(server.id as i32));
    let answers: Vec<Answer> = nodes.map(|node| (node, ask(&mut client, node))).collect();
    if output.is_json() {
        output.json(&json!({ "nodes": answers.iter().map(as_json).collect::<Vec<_>>() }))?;
    } else {
        output.table(&as_table(&answers))?;
    }
    let saves = matches!(arguments.verb, SnapshotVerb::Save { .. });
    match answers.iter().filter_map(|answer| failure(answer, saves)).reduce(together) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Why a node has not done what it was asked for.
fn failure((node, answer): &Answer, saves: bool) -> Option<Failure> {
    match answer {
        Ok(answer) if saves && answer.snapshots.is_empty() && answer.is_saving => {
            let text = "it is still being saved; see `dongting snapshot list`";
            Some(Failure::new(Exit::OutcomeUnknown, format!("node {}: {text}", node.0)))
        }
        Ok(_) => None,
        Err(error) => {
            let failure = Failure::from(error.clone());
            Some(Failure::new(failure.exit, format!("node {}: {}", node.0, failure.message)))
        }
    }
}

/// The first one decides about the exit code.
fn together(first: Failure, next: Failure) -> Failure {
    Failure::new(first.exit, format!("{}\n{}", first.message, next.message))
}

fn as_table(answers: &[Answer]) -> Vec<Vec<String>> {
    let mut rows = vec![["node", "index", "term", "bytes", "age"].map(str::to_owned).to_vec()];
    for (node, answer) in answers {
        let said = |text: String| vec![node.0.to_string(), text];
        let Ok(answer) = answer else {
            rows.push(said("no answer".to_owned()));
            continue;
        };
        rows.extend(answer.snapshots.iter().map(|entry| as_row(*node, entry)));
        if answer.is_saving {
            rows.push(said("being saved".to_owned()));
        } else if answer.snapshots.is_empty() {
            rows.push(said("none".to_owned()));
        }
        if !answer.problem.is_empty() {
            rows.push(said(answer.problem.clone()));
        }
    }
    rows
}

fn as_row(node: NodeId, entry: &SnapshotEntry) -> Vec<String> {
    vec![
        node.0.to_string(),
        entry.index.to_string(),
        entry.term.to_string(),
        entry.bytes.to_string(),
        format!("{}s", entry.age_ms / 1000),
    ]
}

fn as_json((node, answer): &Answer) -> Value {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return json!({ "node": node.0, "error": error.to_string() }),
    };
    let entry = |entry: &SnapshotEntry| {
        json!({
            "index": entry.index,
            "term": entry.term,
            "bytes": entry.bytes,
            "age_ms": entry.age_ms,
        })
    };
    json!({
        "node": node.0,
        "snapshots": answer.snapshots.iter().map(entry).collect::<Vec<_>>(),
        "is_saving": answer.is_saving,
        "problem": (!answer.problem.is_empty()).then_some(&answer.problem),
    })
}

#[cfg(test)]
mod tests {
    use client::Reason;

    use super::*;

    fn node(number: i32, answer: SnapshotsResp) -> Answer {
        (NodeId(number), Ok(answer))
    }

    #[test]
    fn every_node_has_its_rows() {
        let entry = SnapshotEntry { index: 900, term: 4, bytes: 8192, age_ms: 61_500 };
        let stored = SnapshotsResp { snapshots: vec![entry, entry], ..SnapshotsResp::default() };
        let saving = SnapshotsResp { is_saving: true, ..SnapshotsResp::default() };
        let silent = (NodeId(4), Err(Error::Unavailable(Reason::NoConnection)));
        let answers = [node(1, stored), node(2, saving), node(3, SnapshotsResp::default()), silent];
        let rows: Vec<String> = as_table(&answers)[1..].iter().map(|row| row.join(" ")).collect();
        let expected =
            ["1 900 4 8192 61s", "1 900 4 8192 61s", "2 being saved", "3 none", "4 no answer"];
        assert_eq!(rows, expected);
    }

    #[test]
    fn what_is_still_being_saved_is_no_success() {
        let saving = node(2, SnapshotsResp { is_saving: true, ..SnapshotsResp::default() });
        assert!(failure(&saving, false).is_none());
        assert_eq!(failure(&saving, true).unwrap().exit, Exit::OutcomeUnknown);
        let none = node(3, SnapshotsResp::default());
        assert!(failure(&none, true).is_none());
    }
}
