//! Give something temporary more time, or less.

use alloc::vec::Vec;
use core::time::Duration;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_time_to_live, millis};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Starts the time to live of a temporary value or directory of this client anew.
#[derive(Clone, Copy, Debug)]
pub struct UpdateTtl<'a> {
    /// Its path.
    pub key: &'a [u8],
    /// 1 ms to 36,500 days; a part of a millisecond counts as a whole one.
    pub time_to_live: Duration,
}

/// The time to live runs anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpdateTtlReply {
    /// Index of the change in the log.
    pub raft_index: u64,
}

impl Operation for UpdateTtl<'_> {
    const COMMAND: Command = Command::DTKV_UPDATE_TTL;
    const ACCESS: Access = Access::Write;
    type Reply = UpdateTtlReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        check_time_to_live(self.time_to_live)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let ttl_millis = millis(self.time_to_live);
        let key = self.key;
        response::encode(group, KvRequest { key, ttl_millis, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<UpdateTtlReply, Error> {
        match response::code(response)? {
            BizCode::Success => Ok(UpdateTtlReply { raft_index: response::raft_index(response)? }),
            code => Err(Error::Refused(code)),
        }
    }
}
