//! Every change of some keys, from an index on.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use kv_api::{
    ByteStrings, CHANGES_KEYS_MAX, ChangesPhase, ChangesRequest, ChangesResponse, WatchEvent,
};
use wire::{BizCode, Command, Writer};

use crate::argument::{InvalidArgument, check_key_or_root, millis};
use crate::completion::Response;
use crate::error::Error;
use crate::event::KeyState;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Asks for changes of keys and of all below them. It may take as long as `wait` and needs more
/// time than that; [`Stream`](crate::Stream) makes one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// Each stands for itself and all below it; the empty key is the root.
    pub keys: &'a [Box<[u8]>],
    /// The first index of interest; 0 asks for the state as it is.
    pub from_index: u64,
    /// How many changes of that index are known.
    pub skip: u32,
    /// How long to wait for something to tell.
    pub wait: Duration,
    /// While the state is told, where the last reply ended.
    pub cursor: &'a [u8],
}

/// Changes, or a part of the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangesReply {
    /// In order. [`KeyState::Missing`] says that a node is gone with all that was below it.
    pub events: Vec<Change>,
    /// What to ask for next.
    pub next_index: u64,
    /// How many changes of that index were told.
    pub skip: u32,
    /// What the events are.
    pub phase: ChangesPhase,
    /// Where the next part of the state begins.
    pub cursor: Vec<u8>,
    /// Of a part of the state: it has everything up to here.
    pub state_index: u64,
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Index of the write in the log.
    pub raft_index: u64,
    /// Path of the node.
    pub key: Vec<u8>,
    /// What is there since.
    pub state: KeyState,
}

impl Operation for Changes<'_> {
    const COMMAND: Command = Command::CHANGES;
    const ACCESS: Access = Access::Read;
    type Reply = ChangesReply;

    fn takes(&self) -> Duration {
        self.wait
    }

    fn check(&self) -> Result<(), InvalidArgument> {
        match self.keys.len() {
            0 => Err(InvalidArgument::EmptyBatch),
            length if length > CHANGES_KEYS_MAX => Err(InvalidArgument::BatchTooLong),
            _ => self.keys.iter().try_for_each(|key| check_key_or_root(key)),
        }
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let keys: Vec<&[u8]> = self.keys.iter().map(|key| &**key).collect();
        let request = ChangesRequest {
            group_id: group.0,
            from_index: self.from_index,
            skip: i32::try_from(self.skip).unwrap_or(i32::MAX),
            keys: ByteStrings::new(&keys),
            wait_millis: millis(self.wait),
            cursor: self.cursor,
        };
        request.encode(&mut Writer::new(body));
    }

    fn decode(response: Response<'_>) -> Result<ChangesReply, Error> {
        match response::code(response)? {
            BizCode::Success => {}
            code => return Err(Error::Refused(code)),
        }
        let reply = ChangesResponse::decode(response.body)?;
        Ok(ChangesReply {
            events: reply.events.iter().map(Change::of).collect(),
            next_index: reply.next_index,
            skip: u32::try_from(reply.skip).unwrap_or(0),
            phase: reply.phase,
            cursor: reply.cursor.to_vec(),
            state_index: reply.state_index,
        })
    }
}

impl Change {
    fn of(event: WatchEvent<'_>) -> Change {
        let (raft_index, key) = (event.raft_index, event.key.to_vec());
        Change { raft_index, key, state: event.into() }
    }
}
