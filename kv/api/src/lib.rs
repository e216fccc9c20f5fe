//! What can be asked of the key-value tree: messages, keys, limits and log payloads.
//!
//! The tree itself lives in `kv-machine`. This crate says how a question and its answer look on the
//! wire ([`KvRequest`], [`KvResponse`], the watch messages), which keys and numbers are acceptable
//! before anything is looked up ([`check_key`], [`validate()`]), and how a write stands in the log
//! ([`Payload`]).
//!
//! Contract:
//! - A decoder takes any bytes: it returns a value that borrows from them or a `WireError`, and
//!   never panics. It has seen all of the message when it returns a value; what it returned can be
//!   iterated without further errors. Decoding does not allocate.
//! - An encoder writes the bytes that a decoder reads back as the same value, fields in ascending
//!   order, defaults omitted.
//! - Absent bytes and empty bytes are the same thing.
//!
//! What it deliberately does not do: it knows no state, no clock and no connection.
#![no_std]

#[cfg(test)]
extern crate alloc;

mod key;
mod owner;
mod read_mode;
mod repeated;

mod request;
mod session;
mod validate;

mod node;
mod response;
mod result;

mod transaction;

mod changes_request;
mod changes_response;

mod operation;

mod watch_notify;
mod watch_request;

pub use changes_request::{CHANGES_KEYS_MAX, ChangesRequest};
pub use changes_response::{ChangesPhase, ChangesResponse, encode_change};
pub use key::{
    ClientKeyError, KEY_BYTES_MAX, RootKey, SEPARATOR, check_client_key, check_key, split_key,
};
pub use node::{KvNode, NodeFlags};
pub use operation::{HEAD_BYTES_MAX, OperationKind, Payload, encode_expire};
pub use owner::Owner;
pub use read_mode::ReadMode;
pub use repeated::{ByteStrings, Element, Repeated, RepeatedIter};
pub use request::KvRequest;
pub use response::{
    KvResponse, encode_grant, encode_page, encode_response_body, encode_results, encode_transaction,
};
pub use result::KvResult;
pub use session::{OpenSession, SessionLimits, SessionOpened, SessionStamp};
pub use transaction::{
    Condition, Relation, Step, StepKind, Subject, TRANSACTION_PARTS_MAX, TransactionRequest,
};
pub use validate::{Refusal, TTL_MS_MAX, VALUE_BYTES_MAX, lock_lease_ms, validate};
pub use watch_notify::{WatchEvent, WatchNotifyRequest, WatchNotifyResponse, WatchState};
pub use watch_request::{WATCH_KEYS_MAX, WatchRequest};
