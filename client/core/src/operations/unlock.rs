//! Give a lock back, or leave its queue.

use alloc::vec::Vec;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Gives a lock back or leaves its queue; afterwards this client has neither.
#[derive(Clone, Copy, Debug)]
pub struct Unlock<'a> {
    /// The path of the lock.
    pub key: &'a [u8],
}

/// What giving back came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnlockReply {
    /// Index of the change in the log.
    pub raft_index: u64,
    /// Whether this client held the lock until now.
    pub held: bool,
}

impl Operation for Unlock<'_> {
    const COMMAND: Command = Command::DTKV_UNLOCK;
    const ACCESS: Access = Access::Write;
    type Reply = UnlockReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        response::encode(group, KvRequest { key: self.key, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<UnlockReply, Error> {
        let held = match response::code(response)? {
            BizCode::Success => true,
            BizCode::LockByOther | BizCode::NotFound => false,
            code => return Err(Error::Refused(code)),
        };
        Ok(UnlockReply { raft_index: response::raft_index(response)?, held })
    }
}
