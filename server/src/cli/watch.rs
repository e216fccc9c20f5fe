//! `watch`: each new state of a key is printed, or handed to a command; with `--from` each change.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use client::blocking::Client;
use client::{Event, KeyState, WatchUpdate};
use serde_json::Map;

use super::bytes::{insert, printable};
use super::command::{cannot_run, pass_on, prepare};
use super::exit::Failure;
use super::follow;
use super::output::Output;

#[derive(Args, Debug)]
pub(super) struct WatchArguments {
    /// The key, components separated by dots; it need not exist.
    pub(super) key: OsString,
    /// Only states that are newer than this index of the log.
    #[arg(long, value_name = "INDEX", default_value_t = 0, conflicts_with = "from")]
    pub(super) newer_than: u64,
    /// Not only the latest state: every change of the key and of all below it, in order, from this
    /// index of the log on; where the log does not go back so far, and from 0 on, the state first.
    /// The command gets DONGTING_EVENT as well (changed, resync, state or synced).
    #[arg(long, value_name = "INDEX")]
    pub(super) from: Option<u64>,
    /// End after so many states.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// Run this for each state, one after the other, with the value on standard input and
    /// DONGTING_KEY, DONGTING_INDEX and DONGTING_STATE (value, directory or missing) in its
    /// environment. The first one that fails ends the watch.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// Nothing is to be done between two events.
const WAIT: Duration = Duration::from_secs(60);

pub(super) fn run(
    arguments: &WatchArguments,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(index) = arguments.from {
        return follow::run(arguments, index, client, output);
    }
    client.watch(arguments.key.as_bytes(), arguments.newer_than)?;
    let mut left = arguments.count;
    while left != Some(0) {
        match client.next_event(WAIT) {
            Some(Event::Watch(_, WatchUpdate::State { raft_index, state })) => {
                match arguments.command.is_empty() {
                    true => print(arguments, output, raft_index, &state)?,
                    false => hand_over(arguments, raft_index, &state)?,
                }
                left = left.map(|count| count - 1);
            }
            Some(Event::Watch(_, WatchUpdate::Ended(error))) => return Err(error.into()),
            Some(Event::Lock(..)) | None => {}
        }
    }
    Ok(())
}

/// One line a state, at once.
fn print(
    arguments: &WatchArguments,
    output: &mut Output,
    raft_index: u64,
    state: &KeyState,
) -> Result<(), Failure> {
    if output.is_json() {
        let mut object = Map::new();
        insert(&mut object, "key", arguments.key.as_bytes());
        object.insert("index".to_owned(), raft_index.into());
        object.insert("state".to_owned(), name(state).into());
        if let KeyState::Value(value) = state {
            insert(&mut object, "value", value);
        }
        let text = serde_json::to_string(&object).map_err(std::io::Error::from)?;
        output.line(&text)?;
    } else {
        let text = match state {
            KeyState::Value(value) => format!("{raft_index} value {}", printable(value)),
            state => format!("{raft_index} {}", name(state)),
        };
        output.line(&text)?;
    }
    output.flush()
}

/// Runs the command and waits for its end.
fn hand_over(arguments: &WatchArguments, raft_index: u64, state: &KeyState) -> Result<(), Failure> {
    let mut command = prepare(&arguments.command)?;
    command
        .env("DONGTING_KEY", &arguments.key)
        .env("DONGTING_INDEX", raft_index.to_string())
        .env("DONGTING_STATE", name(state))
        .stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(&arguments.command, &error))?;
    if let (Some(mut input), KeyState::Value(value)) = (child.stdin.take(), state) {
        // The command need not read it.
        let _ = input.write_all(value);
    }
    pass_on(child.wait()?)
}

pub(super) fn name(state: &KeyState) -> &'static str {
    match state {
        KeyState::Missing => "missing",
        KeyState::Value(_) => "value",
        KeyState::Directory => "directory",
    }
}
