//! One node.

use alloc::vec::Vec;

use kv_api::{KvRequest, KvResponse};
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key_or_root};
use crate::completion::Response;
use crate::error::{Error, ProtocolError};
use crate::operation::{Access, Operation};
use crate::operations::{Node, response};
use crate::options::GroupId;

/// Reads a node; the empty key is the root. The reply is `None` if there is no such node.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Its path.
    pub key: &'a [u8],
}

impl Operation for Get<'_> {
    const COMMAND: Command = Command::DTKV_GET;
    const ACCESS: Access = Access::Read;
    type Reply = Option<Node>;

    #[inline]
    fn check(&self) -> Result<(), InvalidArgument> {
        check_key_or_root(self.key)
    }

    #[inline]
    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        response::encode(group, KvRequest { key: self.key, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<Option<Node>, Error> {
        match response::code(response)? {
            BizCode::Success => {}
            BizCode::NotFound => return Ok(None),
            code => return Err(Error::Refused(code)),
        }
        let result = KvResponse::decode(response.body)?.results.iter().next();
        let result = result.ok_or(Error::Protocol(ProtocolError::Missing("the result")))?;
        response::node(result).map(Some)
    }
}
