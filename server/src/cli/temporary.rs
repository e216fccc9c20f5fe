//! `kv put --ttl`, `kv mkdir --ttl`, `kv ttl`: what goes when its time is over.

use std::time::Duration;

use client::ProcessId;
use client::blocking::Client;
use serde_json::json;

use super::exit::Failure;
use super::output::Output;

pub(super) fn put(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    value: &[u8],
    ttl: Duration,
) -> Result<(), Failure> {
    let reply = client.put_temporary(key, value, ttl)?;
    let done = if reply.overwritten { "replaced" } else { "created" };
    tell(output, client.process_id(), reply.raft_index, !reply.overwritten, done)
}

pub(super) fn make_directory(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    ttl: Duration,
) -> Result<(), Failure> {
    let reply = client.make_temporary_directory(key, ttl)?;
    let done = if reply.created { "created" } else { "renewed" };
    tell(output, client.process_id(), reply.raft_index, reply.created, done)
}

pub(super) fn renew(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    ttl: Duration,
) -> Result<(), Failure> {
    let reply = client.update_ttl(key, ttl)?;
    match output.is_json() {
        true => output.json(&json!({ "index": reply.raft_index })),
        false => output.line(&format!("renewed at index {}", reply.raft_index)),
    }
}

fn tell(
    output: &mut Output,
    owner: ProcessId,
    index: u64,
    created: bool,
    done: &str,
) -> Result<(), Failure> {
    let identity = format!("{:016x}{:016x}", owner.high, owner.low);
    if output.is_json() {
        let object = json!({ "index": index, "created": created, "identity": identity });
        return output.json(&object);
    }
    output.line(&format!("{done} at index {index}, identity {identity}"))
}
