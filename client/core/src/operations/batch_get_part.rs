//! A large batch of nodes, a part at a time.

use alloc::vec::Vec;

use kv_api::{ByteStrings, KvRequest};
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_keys};
use crate::completion::Response;
use crate::error::{Error, ProtocolError};
use crate::operation::{Access, Operation};
use crate::operations::{BatchGet, Node, response};
use crate::options::GroupId;

/// Reads the first ones of several nodes, as many as fit. [`Gathering`] reads all. Servers of the
/// Java project answer with all of them, or an error if that is too much.
#[derive(Clone, Copy, Debug)]
pub struct BatchGetPart<'a> {
    /// Their paths.
    pub keys: &'a [&'a [u8]],
    /// About how much to read.
    pub page_bytes: usize,
}

impl Operation for BatchGetPart<'_> {
    const COMMAND: Command = Command::DTKV_BATCH_GET;
    const ACCESS: Access = Access::Read;
    type Reply = Vec<Result<Option<Node>, BizCode>>;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_keys(self.keys)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let keys = ByteStrings::new(self.keys);
        let page_bytes = i32::try_from(self.page_bytes).unwrap_or(i32::MAX);
        response::encode(group, KvRequest { keys, page_bytes, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<Self::Reply, Error> {
        BatchGet::decode(response)
    }
}

/// Nodes that are being read. If they come in more than one part, these are of several moments.
#[derive(Clone, Debug)]
pub struct Gathering<'a> {
    keys: &'a [&'a [u8]],
    page_bytes: usize,
    results: Vec<Result<Option<Node>, BizCode>>,
}

impl<'a> Gathering<'a> {
    /// Nothing is read yet.
    pub fn new(keys: &'a [&'a [u8]], page_bytes: usize) -> Gathering<'a> {
        Gathering { keys, page_bytes, results: Vec::new() }
    }

    /// What to read next.
    pub fn next_part(&self) -> BatchGetPart<'a> {
        let keys = self.keys.get(self.results.len()..).unwrap_or_default();
        BatchGetPart { keys, page_bytes: self.page_bytes }
    }

    /// Takes what was read; returns whether that was the last part.
    ///
    /// # Errors
    /// When a server gives no result at all.
    pub fn take(&mut self, part: <BatchGetPart<'_> as Operation>::Reply) -> Result<bool, Error> {
        if part.is_empty() {
            return Err(Error::Protocol(ProtocolError::Missing("a result")));
        }
        self.results.extend(part);
        Ok(self.results.len() >= self.keys.len())
    }

    /// What was read.
    pub fn into_results(self) -> Vec<Result<Option<Node>, BizCode>> {
        self.results
    }
}
