//! The operations: each is a value that borrows its keys and values, and names its reply.

mod node;
mod response;

mod get;
mod get_from;
mod list;
mod list_part;

mod compare_and_set;
mod mkdir;
mod put;
mod remove;

mod batch_get;
mod batch_get_part;
mod batch_put;
mod batch_remove;

mod make_temporary_directory;
mod put_temporary;
mod update_ttl;

mod try_lock;
mod unlock;
mod update_lock_lease;

mod transaction;

mod changes;

pub mod administration;
mod ping;
mod snapshot;
mod status;

pub use kv_api::ReadMode;

pub use batch_get::BatchGet;
pub use batch_get_part::{BatchGetPart, Gathering};
pub use batch_put::{BatchPut, BatchPutReply};
pub use batch_remove::{BatchRemove, BatchRemoveReply};
pub use changes::{Change, Changes, ChangesReply};
pub use compare_and_set::{CompareAndSet, CompareAndSetReply};
pub use get::Get;
pub use get_from::GetFrom;
pub use list::{Child, List};
pub use list_part::{ListPart, ListPartReply, Listing};
pub use make_temporary_directory::MakeTemporaryDirectory;
pub use mkdir::{Mkdir, MkdirReply};
pub use node::Node;
pub use ping::Ping;
pub use put::{Put, PutReply};
pub use put_temporary::PutTemporary;
pub use remove::{Remove, RemoveReply};
pub use snapshot::{ListSnapshots, SaveSnapshot};
pub use status::{KvStatus, QueryStatus};
pub use transaction::{StepReply, Transaction, TransactionDone, TransactionReply};
pub use try_lock::{LockHolder, TryLock, TryLockReply};
pub use unlock::{Unlock, UnlockReply};
pub use update_lock_lease::{UpdateLockLease, UpdateLockLeaseReply};
pub use update_ttl::{UpdateTtl, UpdateTtlReply};
