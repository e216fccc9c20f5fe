//! Does the cluster still have what it acknowledged?

use std::collections::BTreeMap;

use client::blocking::Client;

use crate::key::KeyName;
use crate::options::BenchError;
use crate::value::decode_value;

/// What [`verify`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verification {
    /// Keys that were read.
    pub checked: u64,
    /// Keys whose value is older than the acknowledged one, or not there.
    pub lost: Vec<Lost>,
}

/// A put that was acknowledged and is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Number of the key.
    pub key: u64,
    /// The number that was acknowledged.
    pub acknowledged: u64,
    /// The number that is there; `None` if there is no such node, or not one of a run.
    pub found: Option<u64>,
}

/// Reads every key with an acknowledged number. A higher number than that is right: the put may
/// have been executed without its answer arriving.
pub fn verify(
    options: client::Options,
    directory: &str,
    acknowledged: &BTreeMap<u64, u64>,
) -> Result<Verification, BenchError> {
    let mut client = Client::new(options).map_err(BenchError::Client)?;
    let mut name = KeyName::new(directory);
    let mut verification = Verification::default();
    for (&key, &acknowledged) in acknowledged {
        let node = client.get(name.of(key)).map_err(BenchError::Prepare)?;
        let head = node.and_then(|node| decode_value(&node.value)).filter(|head| head.key == key);
        let found = head.map(|head| head.number);
        verification.checked += 1;
        if found.is_none_or(|found| found < acknowledged) {
            verification.lost.push(Lost { key, acknowledged, found });
        }
    }
    Ok(verification)
}
