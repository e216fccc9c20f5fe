//! `kv get|put|del|ls|tree|mkdir|cas|mget|mput`; what is temporary is in [`temporary`].

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use client::NodeId;
use client::blocking::Client;
use client::operations::{GetFrom, Node};
use kv_api::{NodeFlags, ReadMode, VALUE_BYTES_MAX};
use serde_json::{Map, Value, json};

use super::arguments::{KvVerb, ReadSource};
use super::bytes::{insert, printable};
use super::connect::explain;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::{temporary, transaction};

/// Separates the components of a key.
const SEPARATOR: u8 = b'.';

pub(super) fn run(
    verb: KvVerb,
    nodes: &[NodeId],
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    match &verb {
        KvVerb::Get { key, no_newline, source } => {
            let key = key.as_bytes();
            let found = read(client, nodes, key, *source)?.ok_or_else(|| not_found(key))?;
            print_node(output, key, found, *no_newline)
        }
        KvVerb::Put { key, value, if_token: Some((lock, token)), .. } => {
            let guard = (lock.as_bytes(), *token);
            transaction::put_with_token(client, output, key.as_bytes(), &value_of(value)?, guard)
        }
        KvVerb::Txn { lines } => transaction::run(lines, client, output),
        KvVerb::Put { key, value, ttl: None, .. } => put(client, output, key.as_bytes(), value),
        KvVerb::Put { key, value, ttl: Some(ttl), .. } => {
            temporary::put(client, output, key.as_bytes(), &value_of(value)?, *ttl)
        }
        KvVerb::Ttl { key, ttl } => temporary::renew(client, output, key.as_bytes(), *ttl),
        KvVerb::Del { key } => delete(client, output, key.as_bytes()),
        KvVerb::Ls { key } => list(client, output, key.as_bytes()),
        KvVerb::Tree { key } => tree(client, output, key.as_bytes()),
        KvVerb::Mkdir { key, parents, ttl } => make(client, output, key.as_bytes(), *parents, *ttl),
        KvVerb::Cas { key, expect, new } => {
            compare_and_set(client, output, key.as_bytes(), expect.as_ref(), new.as_ref())
        }
        KvVerb::Mget { keys } => get_many(client, output, &all_bytes(keys)),
        KvVerb::Mput { pairs } => put_many(client, output, &all_bytes(pairs)),
    }
}

fn read(
    client: &mut Client,
    nodes: &[NodeId],
    key: &[u8],
    source: ReadSource,
) -> Result<Option<Node>, Failure> {
    let node = match (source.node, source.read) {
        (None, None) => return Ok(client.get(key)?),
        (Some(node), _) => NodeId(node as i32),
        (None, Some(_)) => nodes.first().copied().unwrap_or(NodeId(1)),
    };
    if !nodes.contains(&node) {
        let message = format!("--servers has no node {}; add ID=HOST:PORT for it", node.0);
        return Err(Failure::new(Exit::Usage, message));
    }
    let mode = source.read.unwrap_or(ReadMode::Linearizable);
    Ok(client.call(&GetFrom { key, node, mode })?)
}

fn print_node(
    output: &mut Output,
    key: &[u8],
    node: Node,
    no_newline: bool,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&node_as_json("key", key, &node));
    }
    if node.is_directory() {
        let message = format!("{} is a directory; list it with `kv ls`", printable(key));
        return Err(Failure::new(Exit::NotAllowed, message));
    }
    let mut value = node.value;
    if !no_newline {
        value.push(b'\n');
    }
    output.bytes(&value)
}

fn put(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    value: &OsString,
) -> Result<(), Failure> {
    let reply = client.put(key, &value_of(value)?)?;
    if output.is_json() {
        return output.json(&json!({ "index": reply.raft_index, "created": !reply.overwritten }));
    }
    let done = if reply.overwritten { "replaced" } else { "created" };
    output.line(&format!("{done} at index {}", reply.raft_index))
}

/// The value of an argument; `-` stands for standard input.
fn value_of(argument: &OsString) -> Result<Vec<u8>, Failure> {
    match argument.as_bytes() {
        b"-" => standard_input(),
        value => Ok(value.to_vec()),
    }
}

/// Everything from standard input, but not more than a value can have by much.
fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    io::stdin().lock().take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut value)?;
    Ok(value)
}

fn delete(client: &mut Client, output: &mut Output, key: &[u8]) -> Result<(), Failure> {
    let reply = client.remove(key)?;
    if !reply.existed {
        return Err(not_found(key));
    }
    match output.is_json() {
        true => output.json(&json!({ "index": reply.raft_index })),
        false => output.line(&format!("removed at index {}", reply.raft_index)),
    }
}

fn list(client: &mut Client, output: &mut Output, key: &[u8]) -> Result<(), Failure> {
    let children = client.list(key)?;
    if output.is_json() {
        let list = children.iter().map(|child| node_as_json("name", &child.name, &child.node));
        return output.json(&list.collect::<Vec<_>>());
    }
    let mut rows = vec![["name", "kind", "bytes", "index"].map(str::to_owned).to_vec()];
    rows.extend(children.iter().map(|child| {
        let node = &child.node;
        let bytes = if node.is_directory() { "-".to_owned() } else { node.value.len().to_string() };
        vec![printable(&child.name), kind(node).to_owned(), bytes, node.update_index.to_string()]
    }));
    output.table(&rows)
}

/// Lists directory by directory, so that a change in between may show in one part and not in
/// another.
fn tree(client: &mut Client, output: &mut Output, root: &[u8]) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut waiting = children_of(client, root, 0)?;
    while let Some((depth, key, name, node)) = waiting.pop() {
        if node.is_directory() {
            waiting.extend(children_of(client, &key, depth + 1)?);
        }
        if output.is_json() {
            found.push(node_as_json("key", &key, &node));
        } else {
            let indent = "  ".repeat(depth);
            let text = match node.is_directory() {
                true => format!("{indent}{}.", printable(&name)),
                false => format!("{indent}{} = {}", printable(&name), printable(&node.value)),
            };
            output.line(&text)?;
        }
    }
    if output.is_json() { output.json(&found) } else { Ok(()) }
}

/// Depth below the root of the listing, key, name and node.
type Found = (usize, Vec<u8>, Vec<u8>, Node);

/// The children of a directory, last one first, so that the first is popped first.
fn children_of(client: &mut Client, key: &[u8], depth: usize) -> Result<Vec<Found>, Failure> {
    let children = client.list(key)?.into_iter().rev().map(|child| {
        let separator: &[u8] = if key.is_empty() { b"" } else { &[SEPARATOR] };
        (depth, [key, separator, &child.name].concat(), child.name, child.node)
    });
    Ok(children.collect())
}

fn make(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    parents: bool,
    ttl: Option<Duration>,
) -> Result<(), Failure> {
    if parents {
        let ends = key.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR);
        for parent in ends.map(|(end, _)| &key[..end]) {
            client.mkdir(parent)?;
        }
    }
    if let Some(ttl) = ttl {
        return temporary::make_directory(client, output, key, ttl);
    }
    let reply = client.mkdir(key)?;
    if output.is_json() {
        return output.json(&json!({ "index": reply.raft_index, "created": reply.created }));
    }
    let done = if reply.created { "created" } else { "was there already" };
    output.line(&format!("{done} at index {}", reply.raft_index))
}

fn compare_and_set(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    expected: Option<&OsString>,
    new: Option<&OsString>,
) -> Result<(), Failure> {
    let expected = expected.map(|value| value.as_bytes());
    let new = new.map(|value| value.as_bytes());
    let reply = client.compare_and_set(key, expected, new)?;
    if output.is_json() {
        output.json(&json!({ "index": reply.raft_index, "swapped": reply.swapped }))?;
    }
    if !reply.swapped {
        let message = "not changed: the value is not the expected one";
        return Err(Failure::new(Exit::Conflict, message));
    }
    match output.is_json() {
        true => Ok(()),
        false => output.line(&format!("changed at index {}", reply.raft_index)),
    }
}

fn get_many(client: &mut Client, output: &mut Output, keys: &[&[u8]]) -> Result<(), Failure> {
    let results = client.batch_get(keys)?;
    let mut worst = None;
    let mut objects = Vec::new();
    for (key, result) in keys.iter().zip(&results) {
        let (shown, object) = match result {
            Ok(Some(node)) if node.is_directory() => {
                ("(directory)".to_owned(), node_as_json("key", key, node))
            }
            Ok(Some(node)) => (printable(&node.value), node_as_json("key", key, node)),
            Ok(None) => {
                worst = worst.or(Some(Exit::NotFound));
                ("(not found)".to_owned(), failed_as_json(key, "not found"))
            }
            Err(code) => {
                worst = Some(Exit::NotAllowed);
                (format!("({})", explain(*code)), failed_as_json(key, &explain(*code)))
            }
        };
        if output.is_json() {
            objects.push(object);
        } else {
            output.line(&format!("{} = {shown}", printable(key)))?;
        }
    }
    finish(output, objects, worst)
}

fn put_many(client: &mut Client, output: &mut Output, pairs: &[&[u8]]) -> Result<(), Failure> {
    let (pairs, rest) = pairs.as_chunks::<2>();
    if let [key] = rest {
        let message = format!("key {} has no value; give keys and values in turn", printable(key));
        return Err(Failure::new(Exit::Usage, message));
    }
    let keys: Vec<&[u8]> = pairs.iter().map(|[key, _]| *key).collect();
    let values: Vec<&[u8]> = pairs.iter().map(|[_, value]| *value).collect();
    let reply = client.batch_put(&keys, &values)?;
    let mut worst = None;
    let mut objects = Vec::new();
    for (key, result) in keys.iter().zip(&reply.overwritten) {
        let (shown, object) = match result {
            Ok(overwritten) => {
                let mut object = Map::new();
                insert(&mut object, "key", key);
                object.insert("created".to_owned(), (!overwritten).into());
                let done = if *overwritten { "replaced" } else { "created" };
                (done.to_owned(), object)
            }
            Err(code) => {
                worst = Some(Exit::NotAllowed);
                (explain(*code), failed_as_json(key, &explain(*code)))
            }
        };
        if output.is_json() {
            objects.push(object);
        } else {
            output.line(&format!("{}: {shown}", printable(key)))?;
        }
    }
    finish(output, objects, worst)
}

/// Ends a verb of several keys: the lines have said what is wrong with which.
fn finish(
    output: &mut Output,
    objects: Vec<Map<String, Value>>,
    worst: Option<Exit>,
) -> Result<(), Failure> {
    if output.is_json() {
        output.json(&objects)?;
    }
    worst.map_or(Ok(()), |exit| Err(Failure::new(exit, "")))
}

fn all_bytes(arguments: &[OsString]) -> Vec<&[u8]> {
    arguments.iter().map(|argument| argument.as_bytes()).collect()
}

fn not_found(key: &[u8]) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no key {}", printable(key)))
}

fn kind(node: &Node) -> &'static str {
    let has = |flag| node.flags.contains(flag);
    match (has(NodeFlags::DIRECTORY), has(NodeFlags::LOCK), has(NodeFlags::TEMPORARY)) {
        (true, true, _) => "lock",
        (false, true, _) => "lock entry",
        (true, false, false) => "directory",
        (true, false, true) => "temporary directory",
        (false, false, false) => "value",
        (false, false, true) => "temporary value",
    }
}

fn node_as_json(key_name: &str, key: &[u8], node: &Node) -> Map<String, Value> {
    let mut object = Map::new();
    insert(&mut object, key_name, key);
    object.insert("kind".to_owned(), kind(node).into());
    if !node.is_directory() {
        insert(&mut object, "value", &node.value);
    }
    let numbers = [
        ("create_index", node.create_index),
        ("create_time_ms", node.create_time_ms),
        ("update_index", node.update_index),
        ("update_time_ms", node.update_time_ms),
    ];
    object.extend(numbers.map(|(name, number)| (name.to_owned(), number.into())));
    object
}

fn failed_as_json(key: &[u8], error: &str) -> Map<String, Value> {
    let mut object = Map::new();
    insert(&mut object, "key", key);
    object.insert("error".to_owned(), error.into());
    object
}
