//! Set a value.

use alloc::vec::Vec;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_value};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Creates a node with a value or replaces its value. Its directory must exist.
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Its path.
    pub key: &'a [u8],
    /// 1 byte to 1 MiB.
    pub value: &'a [u8],
}

/// What a put did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PutReply {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// Whether there was a value before.
    pub overwritten: bool,
}

impl Operation for Put<'_> {
    const COMMAND: Command = Command::DTKV_PUT;
    const ACCESS: Access = Access::Write;
    type Reply = PutReply;

    #[inline]
    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        check_value(self.value)
    }

    #[inline]
    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let request = KvRequest { key: self.key, value: self.value, ..KvRequest::default() };
        response::encode(group, request, body);
    }

    #[inline]
    fn decode(response: Response<'_>) -> Result<PutReply, Error> {
        let overwritten = match response::code(response)? {
            BizCode::Success => false,
            BizCode::SuccessOverwrite => true,
            code => return Err(Error::Refused(code)),
        };
        Ok(PutReply { raft_index: response::raft_index(response)?, overwritten })
    }
}
