//! `watch --from`: every change of a key and of all below it, none left out.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::Duration;

use client::blocking::Client;
use client::operations::Change;
use client::{KeyState, Stream, StreamUpdate};
use serde_json::Map;

use super::bytes::{insert, printable};
use super::command::{cannot_run, pass_on, prepare};
use super::exit::Failure;
use super::output::Output;
use super::watch::{WatchArguments, name};

/// How long a request waits for changes.
const WAIT: Duration = Duration::from_secs(10);
/// Between two attempts while no server answers.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Tells the changes from an index on. While no server can be asked it tries again.
pub(super) fn run(
    arguments: &WatchArguments,
    from_index: u64,
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut stream = Stream::new(&[arguments.key.as_bytes()], from_index)
        .map_err(|error| Failure::from(client::Error::from(error)))?;
    let mut left = arguments.count;
    let mut is_reached = false;
    loop {
        let updates = match client.follow(&mut stream, WAIT) {
            Ok(updates) => updates,
            Err(error) if is_reached && error.is_safe_to_retry() => {
                std::thread::sleep(RETRY_DELAY);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        is_reached = true;
        for update in updates {
            let (word, change) = match &update {
                StreamUpdate::Changed(change) => ("changed", Some(change)),
                StreamUpdate::State(change) => ("state", Some(change)),
                StreamUpdate::Resync => ("resync", None),
                StreamUpdate::Synced { .. } => ("synced", None),
            };
            let index = match &update {
                StreamUpdate::Synced { raft_index } => *raft_index,
                _ => change.map_or(0, |change| change.raft_index),
            };
            match arguments.command.is_empty() {
                true => print(output, word, index, change)?,
                false => hand_over(arguments, word, index, change)?,
            }
            if change.is_some() {
                left = left.map(|count| count - 1);
            }
            if left == Some(0) {
                return Ok(());
            }
        }
    }
}

/// One line an update, at once.
fn print(
    output: &mut Output,
    word: &str,
    index: u64,
    change: Option<&Change>,
) -> Result<(), Failure> {
    if output.is_json() {
        let mut object = Map::new();
        object.insert("event".to_owned(), word.into());
        object.insert("index".to_owned(), index.into());
        if let Some(change) = change {
            insert(&mut object, "key", &change.key);
            object.insert("state".to_owned(), name(&change.state).into());
            if let KeyState::Value(value) = &change.state {
                insert(&mut object, "value", value);
            }
        }
        let text = serde_json::to_string(&object).map_err(std::io::Error::from)?;
        output.line(&text)?;
    } else {
        let text = match change {
            None => format!("{index} {word}"),
            Some(Change { key, state: KeyState::Value(value), .. }) => {
                format!("{index} {word} {} value {}", printable(key), printable(value))
            }
            Some(Change { key, state, .. }) => {
                format!("{index} {word} {} {}", printable(key), name(state))
            }
        };
        output.line(&text)?;
    }
    output.flush()
}

/// Runs the command and waits for its end.
fn hand_over(
    arguments: &WatchArguments,
    word: &str,
    index: u64,
    change: Option<&Change>,
) -> Result<(), Failure> {
    let mut command = prepare(&arguments.command)?;
    command
        .env("DONGTING_EVENT", word)
        .env("DONGTING_INDEX", index.to_string())
        .stdin(Stdio::piped());
    if let Some(change) = change {
        command
            .env("DONGTING_KEY", std::ffi::OsStr::from_bytes(&change.key))
            .env("DONGTING_STATE", name(&change.state));
    }
    let mut child = command.spawn().map_err(|error| cannot_run(&arguments.command, &error))?;
    if let (Some(mut input), Some(Change { state: KeyState::Value(value), .. })) =
        (child.stdin.take(), change)
    {
        // The command need not read it.
        let _ = input.write_all(value);
    }
    pass_on(child.wait()?)
}
