//! Renew the lease of a lock.

use alloc::vec::Vec;
use core::time::Duration;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::argument::{InvalidArgument, check_key, check_time_to_live, millis};
use crate::completion::Response;
use crate::error::Error;
use crate::operation::{Access, Operation};
use crate::operations::response;
use crate::options::GroupId;

/// Starts the lease of a lock that this client holds anew.
#[derive(Clone, Copy, Debug)]
pub struct UpdateLockLease<'a> {
    /// The path of the lock.
    pub key: &'a [u8],
    /// 1 ms to 36,500 days.
    pub lease: Duration,
}

/// What a renewal came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpdateLockLeaseReply {
    /// Index of the change in the log.
    pub raft_index: u64,
    /// Whether this client holds the lock; if not, there was nothing to renew.
    pub held: bool,
}

impl Operation for UpdateLockLease<'_> {
    const COMMAND: Command = Command::DTKV_UPDATE_LOCK_LEASE;
    const ACCESS: Access = Access::Write;
    type Reply = UpdateLockLeaseReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        check_key(self.key)?;
        check_time_to_live(self.lease)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let ttl_millis = millis(self.lease);
        let key = self.key;
        response::encode(group, KvRequest { key, ttl_millis, ..KvRequest::default() }, body);
    }

    fn decode(response: Response<'_>) -> Result<UpdateLockLeaseReply, Error> {
        let held = match response::code(response)? {
            BizCode::Success => true,
            BizCode::LockByOther | BizCode::NotFound | BizCode::NotLockNode => false,
            code => return Err(Error::Refused(code)),
        };
        Ok(UpdateLockLeaseReply { raft_index: response::raft_index(response)?, held })
    }
}
