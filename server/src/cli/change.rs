//! `change show|prepare|commit|abort`: the single steps of a change of members.

use std::thread;
use std::time::Instant;

use clap::{Args, Subcommand};
use client::operations::administration::{AbortChange, Administration, CommitChange};
use serde_json::json;
use wire::{CommitOrAbortReq, PrepareChangeReq, QueryStatusResp};

use super::administered::{Administered, AdministeredArguments};
use super::arguments::ClientArguments;
use super::exit::{Exit, Failure};
use super::nodes::{PATIENT, joined};
use super::output::Output;
use super::survey::{LEADER_TIMEOUT, LOOK_INTERVAL, Survey};

#[derive(Args, Debug)]
pub(super) struct ChangeArguments {
    #[command(flatten)]
    administered: AdministeredArguments,
    #[command(subcommand)]
    verb: ChangeVerb,
}

#[derive(Subcommand, Debug)]
enum ChangeVerb {
    /// Show the members of the group of --group, and those that are prepared.
    Show,
    /// Prepare other members: from then on both sets decide.
    Prepare {
        /// Nodes with a vote afterwards.
        #[arg(long, value_name = "NODE,…", value_delimiter = ',', required = true)]
        members: Vec<u32>,
        /// Nodes without a vote afterwards.
        #[arg(long, value_name = "NODE,…", value_delimiter = ',')]
        observers: Vec<u32>,
    },
    /// Put the prepared members in force.
    Commit,
    /// Drop the prepared members.
    Abort,
}

/// Members and observers, each in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sets {
    pub(super) members: Vec<u32>,
    pub(super) observers: Vec<u32>,
}

impl Sets {
    pub(super) fn of(members: &[u32], observers: &[u32]) -> Sets {
        let sorted = |ids: &[u32]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        Sets { members: sorted(members), observers: sorted(observers) }
    }

    /// Those in force.
    pub(super) fn current(status: &QueryStatusResp) -> Sets {
        Sets::of(&status.members, &status.observers)
    }
}

impl core::fmt::Display for Sets {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "members {}", joined(&self.members))?;
        match self.observers.as_slice() {
            [] => Ok(()),
            observers => write!(formatter, ", observers {}", joined(observers)),
        }
    }
}

pub(super) fn run(
    arguments: &ChangeArguments,
    client: &ClientArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let time = client.timeout.max(PATIENT);
    let mut cluster = Administered::find(&arguments.administered, client, time)?;
    let group = client.group;
    match &arguments.verb {
        ChangeVerb::Show => show(&Survey::of(&mut cluster, group)?.leader, output),
        ChangeVerb::Prepare { members, observers } => {
            let current = Sets::current(&Survey::of(&mut cluster, group)?.leader);
            let next = Sets::of(members, observers);
            let index = prepare(&mut cluster, group, &current, &next)?;
            output.line(&format!("{next} are prepared, at index {index}"))
        }
        ChangeVerb::Commit => {
            let index = commit(&mut cluster, group)?;
            output.line(&format!("the change is committed, at index {index}"))
        }
        ChangeVerb::Abort => {
            let index = abort(&mut cluster, group)?;
            output.line(&format!("the change is taken back, at index {index}"))
        }
    }
}

fn show(status: &QueryStatusResp, output: &mut Output) -> Result<(), Failure> {
    let current = Sets::current(status);
    let prepared = Sets::of(&status.prepared_members, &status.prepared_observers);
    let is_prepared = !prepared.members.is_empty();
    if output.is_json() {
        return output.json(&json!({
            "group": status.group_id,
            "leader": status.leader_id,
            "index": status.last_config_change_index,
            "members": current.members,
            "observers": current.observers,
            "prepared_members": prepared.members,
            "prepared_observers": prepared.observers,
        }));
    }
    let (group, index) = (status.group_id, status.last_config_change_index);
    output.line(&format!("group {group}: {current}, led by node {}", status.leader_id))?;
    match is_prepared {
        true => output.line(&format!("prepared at index {index}: {prepared}")),
        false => output.line("nothing is prepared"),
    }
}

/// Prepares a change and returns the index of its entry.
pub(super) fn prepare(
    cluster: &mut Administered,
    group: i32,
    current: &Sets,
    next: &Sets,
) -> Result<u64, Failure> {
    at_leader(cluster, group, |_| PrepareChangeReq {
        group_id: group,
        members: current.members.clone(),
        observers: current.observers.clone(),
        prepared_members: next.members.clone(),
        prepared_observers: next.observers.clone(),
    })
}

/// Puts what is prepared in force.
pub(super) fn commit(cluster: &mut Administered, group: i32) -> Result<u64, Failure> {
    if Survey::of(cluster, group)?.leader.prepared_members.is_empty() {
        let text = format!("nothing is prepared in group {group}; see `dongting change show`");
        return Err(Failure::new(Exit::NotFound, text));
    }
    at_leader(cluster, group, |status| {
        CommitChange(CommitOrAbortReq {
            group_id: group,
            prepare_index: status.last_config_change_index,
        })
    })
}

/// Drops what is prepared; does no harm when nothing is.
pub(super) fn abort(cluster: &mut Administered, group: i32) -> Result<u64, Failure> {
    at_leader(cluster, group, |_| {
        AbortChange(CommitOrAbortReq { group_id: group, prepare_index: 0 })
    })
}

/// Asks the leader, whoever it is, and once more when it has changed meanwhile.
fn at_leader<R: Administration>(
    cluster: &mut Administered,
    group: i32,
    request: impl Fn(&QueryStatusResp) -> R,
) -> Result<R::Reply, Failure> {
    let end = Instant::now() + LEADER_TIMEOUT;
    loop {
        let asked = Survey::of(cluster, group).and_then(|survey| {
            let leader = survey.leader.node_id as u32;
            cluster.ask(leader, request(&survey.leader))
        });
        match asked {
            // Surely not carried out.
            Err(failure) if failure.exit == Exit::Unavailable && Instant::now() < end => {
                thread::sleep(LOOK_INTERVAL);
            }
            settled => return settled,
        }
    }
}
