//! Remove a node.

use alloc::vec::Vec;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Removes a value or an empty directory. A node that does not exist is no error.
#[derive(Clone, Copy, Debug)]
pub struct Remove<'a> {
    /// Its path.
    pub key: &'a [u8],
}

/// What a remove did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RemoveReply {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// Whether there was such a node.
    pub existed: bool,
}

impl Operation for Remove<'_> {
    const COMMAND: Command = Command::DTKV_REMOVE;
    const ACCESS: Access = Access::Write;
    type Reply = RemoveReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        response::encode(group, KvRequest { key: self.key, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<RemoveReply, Error> {
        let existed = match response::code(response)? {
            BizCode::Success => true,
            BizCode::NotFound => false,
            code => return Err(Error::Refused(code)),
        };
        Ok(RemoveReply { raft_index: response::raft_index(response)?, existed })
    }
}
