//! Several nodes.

use alloc::vec::Vec;

use kv_api::{ByteStrings, KvRequest};
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_keys};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::{Node, response};
use crate::options::GroupId;

/// Reads several nodes at one point in time. The reply has an element for each key, in order,
/// `None` for a node that does not exist.
#[derive(Clone, Copy, Debug)]
pub struct BatchGet<'a> {
    /// Their paths.
    pub keys: &'a [&'a [u8]],
}

impl Operation for BatchGet<'_> {
    const COMMAND: Command = Command::DTKV_BATCH_GET;
    const ACCESS: Access = Access::Read;
    type Reply = Vec<Result<Option<Node>, BizCode>>;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_keys(self.keys)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let keys = ByteStrings::new(self.keys);
        response::encode(group, KvRequest { keys, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<Self::Reply, Error> {
        let results = response::results(response)?.results.iter();
        results
            .map(|result| match result.code {
                BizCode::Success => response::node(result).map(|node| Ok(Some(node))),
                BizCode::NotFound => Ok(Ok(None)),
                code => Ok(Err(code)),
            })
            .collect()
    }
}
