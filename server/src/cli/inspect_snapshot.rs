//! `inspect snapshot`: what the snapshots of a stopped node cover, and whether they are intact.

use std::fs;

use kv_machine::{Loader, Machine, MachineOptions};
use raft_host::snapshot::check::{Part, SnapshotCheck, part_length};
use raft_host::snapshot::name::snapshot_position;
use serde_json::{Value, json};

use super::exit::Failure;
use super::inspect::{Files, damaged, read, unreadable};
use super::output::Output;

/// Steps of fitting a loaded tree together at once; nobody else waits.
const LINK_STEPS: u32 = 1 << 20;

/// Reads every snapshot of the group as a start would.
pub(super) fn snapshots(files: &Files, output: &mut Output) -> Result<(), Failure> {
    let folder = files.folder.join("snapshot");
    let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(&folder, &error))?;
        names.extend(entry.file_name().into_string());
    }
    names.retain(|name| snapshot_position(name).is_some());
    names.sort();
    let mut values = Vec::new();
    for name in names {
        let value = snapshot(files, &name)?;
        if !output.is_json() {
            output.table(&rows(&value))?;
        }
        values.push(value);
    }
    if output.is_json() { output.json(&values) } else { Ok(()) }
}

fn snapshot(files: &Files, name: &str) -> Result<Value, Failure> {
    let path = files.folder.join("snapshot").join(name);
    let file = read(&path)?;
    let mut check = SnapshotCheck::new(files.identity);
    let mut loader = Loader::new(MachineOptions::default());
    loop {
        let offset = check.offset();
        let length = part_length(offset, file.len() as u64);
        if length == 0 {
            break;
        }
        let part = file.get(offset as usize..).and_then(|rest| rest.get(..length));
        let taken = check.take(part.unwrap_or_default());
        let taken = taken.map_err(|fault| damaged(&path, offset, &fault.to_string()))?;
        if let Part::Content(content) = taken {
            let fed = loader.feed(content);
            fed.map_err(|malformed| damaged(&path, offset, &malformed.to_string()))?;
        }
    }
    let whole = check.header().filter(|_| check.is_complete());
    let header = whole.ok_or_else(|| damaged(&path, check.offset(), "it ends too early"))?;
    let machine = link(loader).map_err(|what| damaged(&path, 0, &what))?;
    let position = header.boundary.position;
    Ok(json!({
        "file": name,
        "index": position.index.0,
        "term": position.term.0,
        "time_ms": header.time_ms,
        "membership_index": header.boundary.config.index.0,
        "bytes": file.len(),
        "chunks": check.sum().chunks,
        "nodes": machine.len(),
        "state_hash": format!("{:016x}", machine.state_hash()),
    }))
}

/// The same for people: a line for each field.
fn rows(value: &Value) -> Vec<Vec<String>> {
    let fields = value.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.map(|(name, value)| vec![name.replace('_', " "), text(value)]).collect()
}

fn link(mut loader: Loader) -> Result<Machine, String> {
    while !loader.link(LINK_STEPS).map_err(|malformed| malformed.to_string())? {}
    Ok(loader.finish())
}
