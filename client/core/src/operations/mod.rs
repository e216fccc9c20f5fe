//! The operations: each is a value that borrows its keys and values, and names its reply.

mod node;
mod response;

mod get;
mod get_from;
mod list;

mod compare_and_set;
mod mkdir;
mod put;
mod remove;

mod batch_get;
mod batch_put;
mod batch_remove;

mod ping;
mod status;

pub use kv_api::ReadMode;

pub use batch_get::BatchGet;
pub use batch_put::{BatchPut, BatchPutReply};
pub use batch_remove::{BatchRemove, BatchRemoveReply};
pub use compare_and_set::{CompareAndSet, CompareAndSetReply};
pub use get::Get;
pub use get_from::GetFrom;
pub use list::{Child, List};
pub use mkdir::{Mkdir, MkdirReply};
pub use node::Node;
pub use ping::Ping;
pub use put::{Put, PutReply};
pub use remove::{Remove, RemoveReply};
pub use status::{KvStatus, QueryStatus};
