//! Set several values.

use alloc::vec::Vec;

use kv_api::{ByteStrings, KvRequest};
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_keys, check_value};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Sets several values in one write, in order. Each succeeds or fails on its own.
#[derive(Clone, Copy, Debug)]
pub struct BatchPut<'a> {
    /// The paths of the nodes.
    pub keys: &'a [&'a [u8]],
    /// One value for each key.
    pub values: &'a [&'a [u8]],
}

/// What a batch put did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchPutReply {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// For each key whether there was a value before, or why it was refused.
    pub overwritten: Vec<Result<bool, BizCode>>,
}

impl Operation for BatchPut<'_> {
    const COMMAND: Command = Command::DTKV_BATCH_PUT;
    const ACCESS: Access = Access::Write;
    type Reply = BatchPutReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_keys(self.keys)?;
        if self.keys.len() != self.values.len() {
            return Err(InvalidArgument::KeysAndValuesDiffer);
        }
        self.values.iter().try_for_each(|value| check_value(value))
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let (keys, values) = (ByteStrings::new(self.keys), ByteStrings::new(self.values));
        response::encode(group, KvRequest { keys, values, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<BatchPutReply, Error> {
        let decoded = response::results(response)?;
        let overwritten = decoded.results.iter().map(|result| match result.code {
            BizCode::Success => Ok(false),
            BizCode::SuccessOverwrite => Ok(true),
            code => Err(code),
        });
        Ok(BatchPutReply { raft_index: decoded.raft_index, overwritten: overwritten.collect() })
    }
}
