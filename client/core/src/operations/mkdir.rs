//! Make a directory.

use alloc::vec::Vec;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Makes a directory in an existing one. A directory that exists is no error.
#[derive(Clone, Copy, Debug)]
pub struct Mkdir<'a> {
    /// Its path.
    pub key: &'a [u8],
}

/// What a mkdir did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MkdirReply {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// Whether there was no such directory before.
    pub created: bool,
}

impl Operation for Mkdir<'_> {
    const COMMAND: Command = Command::DTKV_MKDIR;
    const ACCESS: Access = Access::Write;
    type Reply = MkdirReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        response::encode(group, KvRequest { key: self.key, ..KvRequest::default() }, body);
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
