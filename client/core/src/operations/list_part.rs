//! A long list, a part at a time.

use alloc::vec::Vec;

use kv_api::{KvRequest, KvResponse};
use wire::Command;

use crate::argument::{InvalidArgument, check_key_or_root};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::{Child, List, response};
use crate::options::GroupId;

/// Reads some children of a directory; the empty key is the root. [`Listing`] reads all. Servers of
/// the Java project answer with all of them, or an error if that is too much.
#[derive(Clone, Copy, Debug)]
pub struct ListPart<'a> {
    /// Its path.
    pub key: &'a [u8],
    /// Where the part before ended; empty at the beginning.
    pub cursor: &'a [u8],
    /// About how much to read.
    pub page_bytes: usize,
}

/// Some children.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListPartReply {
    /// In the order of their creation.
    pub children: Vec<Child>,
    /// Where the next part begins; empty at the end.
    pub cursor: Vec<u8>,
    /// The index at which these were read; 0 if the server does not tell it.
    pub read_index: u64,
}

impl Operation for ListPart<'_> {
    const COMMAND: Command = Command::DTKV_LIST;
    const ACCESS: Access = Access::Read;
    type Reply = ListPartReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key_or_root(self.key)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let ListPart { key, cursor, .. } = *self;
        let page_bytes = i32::try_from(self.page_bytes).unwrap_or(i32::MAX);
        response::encode(
            group,
            KvRequest { key, cursor, page_bytes, ..KvRequest::default() },
            body,
        );
    }

    fn decode(response: Response<'_>) -> Result<ListPartReply, Error> {
        let children = List::decode(response)?;
        let KvResponse { cursor, read_index, .. } = KvResponse::decode(response.body)?;
        Ok(ListPartReply { children, cursor: cursor.to_vec(), read_index })
    }
}

/// A list that is being read. If it has more than one part, these are of several moments: what is
/// there all the time is in it.
#[derive(Clone, Debug)]
pub struct Listing<'a> {
    key: &'a [u8],
    page_bytes: usize,
    cursor: Option<Vec<u8>>,
    children: Vec<Child>,
}

impl<'a> Listing<'a> {
    /// Nothing is read yet.
    pub fn new(key: &'a [u8], page_bytes: usize) -> Listing<'a> {
        Listing { key, page_bytes, cursor: Some(Vec::new()), children: Vec::new() }
    }

    /// What to read next; `None` at the end.
    pub fn next_part(&self) -> Option<ListPart<'_>> {
        let Listing { key, page_bytes, .. } = *self;
        self.cursor.as_deref().map(|cursor| ListPart { key, cursor, page_bytes })
    }

    /// Takes what was read. What was created together may come again.
    pub fn take(&mut self, part: ListPartReply) {
        let last = self.children.last().map(|child| child.node.create_index);
        for child in part.children {
            let created = child.node.create_index;
            let mut of_same_entry =
                self.children.iter().rev().take_while(|known| known.node.create_index == created);
            if Some(created) != last || of_same_entry.all(|known| known.name != child.name) {
                self.children.push(child);
            }
        }
        self.cursor = Some(part.cursor).filter(|cursor| !cursor.is_empty());
    }

    /// What was read.
    pub fn into_children(self) -> Vec<Child> {
        self.children
    }
}
