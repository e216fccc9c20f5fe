//! Make a directory that expires.

use alloc::vec::Vec;
use core::time::Duration;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_time_to_live, millis};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::{MkdirReply, response};
use crate::options::GroupId;

/// Makes a directory that the server removes, with everything below it, when its time to live is
/// over. If it exists already and belongs to this client, its time starts anew.
#[derive(Clone, Copy, Debug)]
pub struct MakeTemporaryDirectory<'a> {
    /// Its path.
    pub key: &'a [u8],
    /// 1 ms to 36,500 days; a part of a millisecond counts as a whole one.
    pub time_to_live: Duration,
}

impl Operation for MakeTemporaryDirectory<'_> {
    const COMMAND: Command = Command::DTKV_MAKE_TEMP_DIR;
    const ACCESS: Access = Access::Write;
    type Reply = MkdirReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        check_time_to_live(self.time_to_live)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let ttl_millis = millis(self.time_to_live);
        let key = self.key;
        response::encode(group, KvRequest { key, ttl_millis, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<MkdirReply, Error> {
        let created = match response::code(response)? {
            BizCode::Success => true,
            BizCode::DirExists => false,
            code => return Err(Error::Refused(code)),
        };
        Ok(MkdirReply { raft_index: response::raft_index(response)?, created })
    }
}
