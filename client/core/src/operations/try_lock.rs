//! Take a lock, or a place in its queue.

use alloc::vec::Vec;
use core::time::Duration;

use kv_api::{KvRequest, KvResponse};
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_time_to_live, millis};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Takes a lock for the time of the lease, or a place in its queue for the time of waiting.
///
/// One step of what [`Core::lock`](crate::Core::lock) does, which also hears of a grant, renews the
/// lease and counts its time.
#[derive(Clone, Copy, Debug)]
pub struct TryLock<'a> {
    /// The path of the lock.
    pub key: &'a [u8],
    /// How long the lock is held if nobody renews it: 1 ms to 36,500 days.
    pub lease: Duration,
    /// How long the place in the queue lasts, at most the lease; zero: no place.
    pub wait: Duration,
    /// Comes back with the push of a grant, and so tells which attempt succeeded.
    pub tag: u64,
}

/// What an attempt to take a lock came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TryLockReply {
    /// Index of the attempt in the log.
    pub raft_index: u64,
    /// Who holds the lock now.
    pub holder: LockHolder,
}

/// Who holds a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockHolder {
    /// This client, whose lease has started anew.
    ThisClient {
        /// Greater than that of every earlier holder; 0 from servers that have none.
        fencing_token: u64,
    },
    /// Another one.
    Another,
}

impl Operation for TryLock<'_> {
    const COMMAND: Command = Command::DTKV_TRY_LOCK;
    const ACCESS: Access = Access::Write;
    type Reply = TryLockReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        check_time_to_live(self.lease)?;
        if self.wait > self.lease { Err(InvalidArgument::WaitOverLease) } else { Ok(()) }
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let lease = millis(self.lease);
        let mut value = [0; 16];
        value[..8].copy_from_slice(&lease.to_be_bytes());
        value[8..].copy_from_slice(&self.tag.to_be_bytes());
        let request = KvRequest {
            key: self.key,
            value: &value,
            ttl_millis: millis(self.wait).min(lease),
            ..KvRequest::default()
        };
        response::encode(group, request, body);
    }

    fn decode(response: Response<'_>) -> Result<TryLockReply, Error> {
        let code = response::code(response)?;
        let body = KvResponse::decode(response.body)?;
        let fencing_token = body.fencing_token;
        let holder = match code {
            BizCode::Success | BizCode::LockBySelf => LockHolder::ThisClient { fencing_token },
            BizCode::LockByOther => LockHolder::Another,
            code => return Err(Error::Refused(code)),
        };
        Ok(TryLockReply { raft_index: body.raft_index, holder })
    }
}
