//! What clients ask for, independent of how it is carried out.

use std::fmt;

use client::operations::{BatchPut, BatchRemove, CompareAndSet, Mkdir, Put, Remove};
use client::{GroupId, Operation, ProcessId};
use kv_api::{OperationKind, Owner, Payload};

/// A request of a client.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Request {
    /// Read a node.
    Get(Vec<u8>),
    /// Read a node from a server that need not lead.
    GetFrom(u16, Vec<u8>),
    /// Read the children of a directory.
    List(Vec<u8>),
    /// Read several nodes at once.
    BatchGet(Vec<Vec<u8>>),
    /// Set a value.
    Put(Vec<u8>, Vec<u8>),
    /// Remove a node.
    Remove(Vec<u8>),
    /// Make a directory.
    Mkdir(Vec<u8>),
    /// Set several values.
    BatchPut(Vec<(Vec<u8>, Vec<u8>)>),
    /// Remove several nodes.
    BatchRemove(Vec<Vec<u8>>),
    /// Replace a value by another; `None` is a node that does not exist.
    Cas(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
}

impl Request {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Request::Get(_) | Request::GetFrom(..) | Request::List(_) | Request::BatchGet(_)
        )
    }

    /// The log entry that it becomes; none for a read.
    pub fn payload(&self, group: GroupId, client: ProcessId) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        let kind = match self {
            Request::Get(_) | Request::GetFrom(..) | Request::List(_) | Request::BatchGet(_) => {
                return None;
            }
            Request::Put(key, value) => {
                Put { key, value }.encode(group, &mut body);
                OperationKind::Put
            }
            Request::Remove(key) => {
                Remove { key }.encode(group, &mut body);
                OperationKind::Remove
            }
            Request::Mkdir(key) => {
                Mkdir { key }.encode(group, &mut body);
                OperationKind::Mkdir
            }
            Request::BatchPut(pairs) => {
                let keys: Vec<&[u8]> = pairs.iter().map(|(key, _)| key.as_slice()).collect();
                let values: Vec<&[u8]> = pairs.iter().map(|(_, value)| value.as_slice()).collect();
                BatchPut { keys: &keys, values: &values }.encode(group, &mut body);
                OperationKind::BatchPut
            }
            Request::BatchRemove(keys) => {
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                BatchRemove { keys: &keys }.encode(group, &mut body);
                OperationKind::BatchRemove
            }
            Request::Cas(key, expected, new) => {
                let (expected, new) = (expected.as_deref(), new.as_deref());
                CompareAndSet { key, expected, new }.encode(group, &mut body);
                OperationKind::Cas
            }
        };
        let owner = Owner { high: client.high, low: client.low };
        let (head, length) = Payload::new(kind, owner, &body).head();
        let mut payload = head.get(..length).unwrap_or_default().to_vec();
        payload.extend_from_slice(&body);
        Some(payload)
    }
}

/// The part of a value that people read: its padding is left out.
pub fn label(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == b'-').next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn name(key: &[u8]) -> String {
    if key.is_empty() { "(root)".to_owned() } else { String::from_utf8_lossy(key).into_owned() }
}

fn names<'a>(keys: impl Iterator<Item = &'a Vec<u8>>) -> String {
    keys.map(|key| name(key)).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let absent = |value: &Option<Vec<u8>>| value.as_deref().map_or("-".to_owned(), label);
        match self {
            Request::Get(key) => write!(formatter, "get {}", name(key)),
            Request::GetFrom(node, key) => write!(formatter, "get {} from node {node}", name(key)),
            Request::List(key) => write!(formatter, "list {}", name(key)),
            Request::BatchGet(keys) => write!(formatter, "get {}", names(keys.iter())),
            Request::Put(key, value) => write!(formatter, "put {}={}", name(key), label(value)),
            Request::Remove(key) => write!(formatter, "remove {}", name(key)),
            Request::Mkdir(key) => write!(formatter, "mkdir {}", name(key)),
            Request::BatchPut(pairs) => {
                let pair =
                    |(key, value): &(Vec<u8>, Vec<u8>)| format!("{}={}", name(key), label(value));
                let pairs: Vec<_> = pairs.iter().map(pair).collect();
                write!(formatter, "put {}", pairs.join(" "))
            }
            Request::BatchRemove(keys) => write!(formatter, "remove {}", names(keys.iter())),
            Request::Cas(key, expected, new) => {
                write!(formatter, "cas {} {}>{}", name(key), absent(expected), absent(new))
            }
        }
    }
}
