//! Remove several nodes.

use alloc::vec::Vec;

use kv_api::{ByteStrings, KvRequest};
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_keys};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Removes several nodes in one write, in order. Each succeeds or fails on its own.
#[derive(Clone, Copy, Debug)]
pub struct BatchRemove<'a> {
    /// Their paths; a directory goes after what is in it.
    pub keys: &'a [&'a [u8]],
}

/// What a batch remove did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchRemoveReply {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// For each key whether there was such a node, or why it was refused.
    pub existed: Vec<Result<bool, BizCode>>,
}

impl Operation for BatchRemove<'_> {
    const COMMAND: Command = Command::DTKV_BATCH_REMOVE;
    const ACCESS: Access = Access::Write;
    type Reply = BatchRemoveReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_keys(self.keys)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let keys = ByteStrings::new(self.keys);
        response::encode(group, KvRequest { keys, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<BatchRemoveReply, Error> {
        let decoded = response::results(response)?;
        let existed = decoded.results.iter().map(|result| match result.code {
            BizCode::Success => Ok(true),
            BizCode::NotFound => Ok(false),
            code => Err(code),
        });
        Ok(BatchRemoveReply { raft_index: decoded.raft_index, existed: existed.collect() })
    }
}
