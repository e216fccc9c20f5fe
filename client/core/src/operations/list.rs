//! The children of a directory.

use alloc::vec::Vec;

use kv_api::KvRequest;
use wire::Command;

use crate::argument::{InvalidArgument, check_key_or_root};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::{Node, response};
use crate::options::GroupId;

/// Reads the children of a directory; the empty key is the root.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    /// Its path.
    pub key: &'a [u8],
}

/// One child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Child {
    /// Its name in the directory, the last part of its path.
    pub name: Vec<u8>,
    /// What it is.
    pub node: Node,
}

impl Operation for List<'_> {
    const COMMAND: Command = Command::DTKV_LIST;
    const ACCESS: Access = Access::Read;
    type Reply = Vec<Child>;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key_or_root(self.key)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        response::encode(group, KvRequest { key: self.key, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<Vec<Child>, Error> {
        let children = response::results(response)?.results.iter();
        children
            .map(|child| Ok(Child { name: child.name.to_vec(), node: response::node(child)? }))
            .collect()
    }
}
