//! What clients ask for, independent of how it is carried out.

use std::fmt;

use std::time::Duration;

use client::operations::{
    BatchPut, BatchRemove, CompareAndSet, MakeTemporaryDirectory, Mkdir, Put, PutTemporary, Remove,
    TryLock, Unlock, UpdateLockLease, UpdateTtl,
};
use client::{GroupId, Operation, ProcessId};
use kv_api::{OperationKind, Owner, Payload};

use super::transaction::Transaction;

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
    /// Set a value that goes after so many milliseconds.
    PutTemporary(Vec<u8>, Vec<u8>, u64),
    /// Make a directory that goes after so many milliseconds, with all in it.
    MakeTemporary(Vec<u8>, u64),
    /// Have something of its own live so many milliseconds from now on.
    UpdateTtl(Vec<u8>, u64),
    /// Take a lock for so many milliseconds, or wait for it so many.
    TryLock(Vec<u8>, u64, u64),
    /// Give a lock back, or its place in the queue.
    Unlock(Vec<u8>),
    /// Hold a lock so many milliseconds from now on.
    UpdateLease(Vec<u8>, u64),
    /// Replace a value by another; `None` is a node that does not exist.
    Cas(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>),
    /// Several of these as a whole, if something holds.
    Transaction(Transaction),
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
            Request::PutTemporary(..)
            | Request::MakeTemporary(..)
            | Request::UpdateTtl(..)
            | Request::TryLock(..)
            | Request::Unlock(_)
            | Request::UpdateLease(..) => self.encode_lease(group, &mut body),
            Request::Transaction(transaction) => {
                transaction.parts().operation().encode(group, &mut body);
                OperationKind::Transaction
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

    /// The requests about what expires, and about locks.
    fn encode_lease(&self, group: GroupId, out: &mut Vec<u8>) -> OperationKind {
        match self {
            Request::PutTemporary(key, value, ttl_ms) => {
                let time_to_live = Duration::from_millis(*ttl_ms);
                PutTemporary { key, value, time_to_live }.encode(group, out);
                OperationKind::PutTemp
            }
            Request::MakeTemporary(key, ttl_ms) => {
                let time_to_live = Duration::from_millis(*ttl_ms);
                MakeTemporaryDirectory { key, time_to_live }.encode(group, out);
                OperationKind::MakeTempDir
            }
            Request::UpdateTtl(key, ttl_ms) => {
                let time_to_live = Duration::from_millis(*ttl_ms);
                UpdateTtl { key, time_to_live }.encode(group, out);
                OperationKind::UpdateTtl
            }
            Request::TryLock(key, lease_ms, wait_ms) => {
                try_lock(key, *lease_ms, *wait_ms).encode(group, out);
                OperationKind::TryLock
            }
            Request::Unlock(key) => {
                Unlock { key }.encode(group, out);
                OperationKind::Unlock
            }
            Request::UpdateLease(key, lease_ms) => {
                let lease = Duration::from_millis(*lease_ms);
                UpdateLockLease { key, lease }.encode(group, out);
                OperationKind::UpdateLockLease
            }
            _ => unreachable!("{self} is not about what expires"),
        }
    }
}

/// The operation that asks for a lock.
pub(super) fn try_lock(key: &[u8], lease_ms: u64, wait_ms: u64) -> TryLock<'_> {
    let (lease, wait) = (Duration::from_millis(lease_ms), Duration::from_millis(wait_ms));
    TryLock { key, lease, wait, tag: 0 }
}

/// What stands in the entry of whoever asked for a lock.
pub fn lock_value(lease_ms: u64) -> Vec<u8> {
    [lease_ms.to_be_bytes(), [0; 8]].concat()
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
            Request::PutTemporary(key, value, ttl_ms) => {
                write!(formatter, "put {}={} for {ttl_ms} ms", name(key), label(value))
            }
            Request::MakeTemporary(key, ttl_ms) => {
                write!(formatter, "mkdir {} for {ttl_ms} ms", name(key))
            }
            Request::UpdateTtl(key, ttl_ms) => {
                write!(formatter, "keep {} for {ttl_ms} ms", name(key))
            }
            Request::TryLock(key, lease_ms, wait_ms) => {
                write!(formatter, "lock {} for {lease_ms} ms, wait {wait_ms} ms", name(key))
            }
            Request::Unlock(key) => write!(formatter, "unlock {}", name(key)),
            Request::UpdateLease(key, lease_ms) => {
                write!(formatter, "hold {} for {lease_ms} ms", name(key))
            }
            Request::Remove(key) => write!(formatter, "remove {}", name(key)),
            Request::Mkdir(key) => write!(formatter, "mkdir {}", name(key)),
            Request::BatchPut(pairs) => {
                let pair =
                    |(key, value): &(Vec<u8>, Vec<u8>)| format!("{}={}", name(key), label(value));
                let pairs: Vec<_> = pairs.iter().map(pair).collect();
                write!(formatter, "put {}", pairs.join(" "))
            }
            Request::BatchRemove(keys) => write!(formatter, "remove {}", names(keys.iter())),
            Request::Transaction(transaction) => write!(formatter, "{transaction}"),
            Request::Cas(key, expected, new) => {
                write!(formatter, "cas {} {}>{}", name(key), absent(expected), absent(new))
            }
        }
    }
}
