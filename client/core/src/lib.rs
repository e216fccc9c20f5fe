//! A client of one group as plain data: no socket, no clock, no thread.
//!
//! A driver owns the sockets and feeds a [`Core`] one input at a time:
//!
//! | input | when |
//! |---|---|
//! | [`Core::submit`] | somebody wants something |
//! | [`Core::lock`], [`Core::unlock`], [`Core::watch`], [`Core::unwatch`] | or wants to be told |
//! | [`Core::link_up`], [`Core::link_down`] | a connection opened; could not be opened, or broke |
//! | [`Core::received`] | bytes came from a connection |
//! | [`Core::tick`] | [`Core::next_deadline`] has come |
//!
//! After an input it drains the outputs, until all are empty:
//!
//! | output | to do |
//! |---|---|
//! | [`Core::next_action`] | open or close a connection |
//! | [`Core::outgoing`] of each link that is up | write the bytes, remove them |
//! | [`Core::next_event`] | tell the owner of the lock or watch |
//! | [`Core::next_finished`] | hand the completion of [`Core::take`] to whoever waits for it |
//!
//! Contract: every submitted operation finishes exactly once, at the latest when its time is over
//! and [`Core::tick`] is called. With [`Retries::Never`] an operation is sent a second time only if a
//! server has said that it did not execute it, and never a third time; if the answer to a write is
//! lost, the outcome is [`Error::OutcomeUnknown`]. With [`Retries::InSession`] a write has a number in a
//! session, under which the group carries it out once: it is sent again until its time is over, and
//! only then, or when the group has forgotten the session, its outcome is unknown. Operations to the leader leave in the order of submission; one that
//! is sent a second time leaves later. No bytes from a server make a method panic.
//!
//! The leader is found by asking all servers, by the hints of those that are not it, and again
//! whenever it disappears or does not answer. Meanwhile operations wait, within their time.
//!
//! A lock is held until the client says that it is lost, by its own clock and before the server
//! frees it. Watches live on the leader and follow it; a watch that has told an index never tells
//! of an older one, whichever servers come and go.
//!
//! What this crate does not do: it has one group, does not cache, and repeats nothing whose outcome
//! is unknown, except in a session, and attempts to take a lock, where that is harmless.
#![no_std]

extern crate alloc;

mod options;

mod argument;
mod operation;
pub mod operations;

mod completion;
mod error;
mod event;

mod core;

mod calls;
mod link;
mod route;
mod sequence;

mod lock;
mod session;
mod stream;
mod watch;

mod connect;
mod delivery;
mod locking;
mod receive;
mod search;
mod watching;

pub use argument::{BATCH_KEYS_MAX, InvalidArgument};
pub use calls::RequestId;
pub use completion::{Completion, Response};
pub use core::{Action, Core};
pub use error::{Error, ProtocolError, Reason, ServerError};
pub use event::{Event, KeyState, LockEvent, LockLoss, WatchUpdate};
pub use kv_api::{Condition, Relation, Step, StepKind, Subject};
pub use link::LinkId;
pub use lock::{LockId, LockOptions};
pub use operation::{Access, Operation, Target};
pub use options::{GroupId, NodeId, Options, OptionsError, Retries, Server};
pub use stream::{Stream, StreamUpdate};
pub use watch::WatchId;
