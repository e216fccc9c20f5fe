//! Set a value that expires.

use alloc::vec::Vec;
use core::time::Duration;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_time_to_live, check_value, millis};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::{PutReply, response};
use crate::options::GroupId;

/// Creates or replaces a value that the server removes when its time to live is over. It belongs
/// to this client: no other one can replace or renew it. Each put starts the time anew.
#[derive(Clone, Copy, Debug)]
pub struct PutTemporary<'a> {
    /// Its path.
    pub key: &'a [u8],
    /// 1 byte to 1 MiB.
    pub value: &'a [u8],
    /// 1 ms to 36,500 days; a part of a millisecond counts as a whole one.
    pub time_to_live: Duration,
}

impl Operation for PutTemporary<'_> {
    const COMMAND: Command = Command::DTKV_PUT_TEMP_NODE;
    const ACCESS: Access = Access::Write;
    type Reply = PutReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        check_value(self.value)?;
        check_time_to_live(self.time_to_live)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let ttl_millis = millis(self.time_to_live);
        let (key, value) = (self.key, self.value);
        response::encode(group, KvRequest { key, value, ttl_millis, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<PutReply, Error> {
        let overwritten = match response::code(response)? {
            BizCode::Success => false,
            BizCode::SuccessOverwrite => true,
            code => return Err(Error::Refused(code)),
        };
        Ok(PutReply { raft_index: response::raft_index(response)?, overwritten })
    }
}
