//! Set a value if it is what the caller believes.

use alloc::vec::Vec;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_value};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Creates, replaces or removes a value if it is the expected one.
///
/// Not idempotent: when its outcome is unknown, only reading can tell.
#[derive(Clone, Copy, Debug)]
pub struct CompareAndSet<'a> {
    /// The path of the node.
    pub key: &'a [u8],
    /// The value it must have; `None`: it must not exist.
    pub expected: Option<&'a [u8]>,
    /// The value it gets; `None`: it is removed.
    pub new: Option<&'a [u8]>,
}

/// What a compare-and-set did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompareAndSetReply {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// Whether the value was the expected one, and so was set.
    pub swapped: bool,
}

impl Operation for CompareAndSet<'_> {
    const COMMAND: Command = Command::DTKV_CAS;
    const ACCESS: Access = Access::Write;
    type Reply = CompareAndSetReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        // An empty value would stand for none at all, and none for none changes nothing.
        match (self.expected, self.new) {
            (None, None) => Err(InvalidArgument::EmptyValue),
            (expected, new) => expected.into_iter().chain(new).try_for_each(check_value),
        }
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let request = KvRequest {
            key: self.key,
            value: self.new.unwrap_or_default(),
            expect_value: self.expected.unwrap_or_default(),
            ..KvRequest::default()
        };
        response::encode(group, request, body);
    }

    fn decode(response: Response<'_>) -> Result<CompareAndSetReply, Error> {
        let swapped = match response::code(response)? {
            BizCode::Success => true,
            BizCode::CasMismatch => false,
            code => return Err(Error::Refused(code)),
        };
        Ok(CompareAndSetReply { raft_index: response::raft_index(response)?, swapped })
    }
}
