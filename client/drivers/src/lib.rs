//! Clients over real connections: thin loops around [`client_core`], which has all the rules.
//!
//! [`blocking::Client`] makes one call after the other, [`blocking::Pipeline`] keeps many in
//! flight; both belong to one thread. With the feature `tokio` there is `tokio::Client`, for any
//! number of tasks; with the feature `runtime` there is `fiber::Client`, for fibers, real or
//! simulated. All of them have the same calls and the same errors.
//!
//! ```no_run
//! use client::blocking::Client;
//! use client::{NodeId, Options, Server, new_process_id};
//!
//! let servers = vec![Server { node: NodeId(1), address: "127.0.0.1:9332".parse()? }];
//! let mut client = Client::new(Options::new(servers, new_process_id()))?;
//! client.put(b"greeting", b"hello")?;
//! let node = client.get(b"greeting")?.expect("it was just put");
//! assert_eq!(node.value, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With [`Retries::InSession`] a write whose answer is lost is sent again, to whoever leads by then, and is
//! done once: the first write opens a session, in which the group remembers what it told. An outcome is
//! unknown only when the time is over, or when the group has forgotten the session.
//!
//! ```no_run
//! use client::{Error, Options, Reason, Retries};
//! # fn example(options: Options) -> Result<(), client::Error> {
//!
//! let options = Options { retries: Retries::InSession, ..options };
//! let mut client = client::blocking::Client::new(options).expect("valid options");
//! match client.compare_and_set(b"counter", Some(b"1"), Some(b"2")) {
//!     // Also if the leader has changed meanwhile: what it did when it was carried out.
//!     Ok(reply) => println!("swapped: {}", reply.swapped),
//!     Err(Error::OutcomeUnknown(Reason::SessionExpired)) => println!("nobody knows any more"),
//!     Err(error) => return Err(error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A lock is held for a lease that the client renews. The number that comes with it, the fencing
//! token, is greater than that of every earlier holder: whatever the lock protects can refuse one
//! that was cut off and does not know it yet.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use client::LockOptions;
//! # fn example(client: &mut client::blocking::Client) -> Result<(), client::Error> {
//!
//! let options = LockOptions::new(Duration::from_secs(10)).waiting(Duration::from_secs(60));
//! if let Some(lock) = client.lock(b"jobs.nightly", options)? {
//!     println!("working with token {}", lock.fencing_token);
//!     while client.is_held(&lock) {
//!         // A part of the work, then a moment for renewals and news.
//!         client.next_event(Duration::ZERO);
//! #       break;
//!     }
//!     client.unlock(lock)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A watch tells the latest state of a key, whichever servers come and go. Its index can be kept,
//! to go on after a restart of the program.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use client::{Event, KeyState, WatchUpdate};
//! # fn example(client: &mut client::blocking::Client) -> Result<(), client::Error> {
//!
//! let watch = client.watch(b"config.level", 0)?;
//! while let Some(event) = client.next_event(Duration::from_secs(60)) {
//!     match event {
//!         Event::Watch(id, WatchUpdate::State { raft_index, state }) if id == watch => match state {
//!             KeyState::Value(value) => println!("{raft_index}: {value:?}"),
//!             KeyState::Missing | KeyState::Directory => println!("{raft_index}: no value"),
//!         },
//!         _ => break,
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Stream`] tells every change of some keys and of all below them in the order of the log, none
//! twice and none left out, from an index on; `follow` asks for the next ones. Where the log does not
//! have them any more it says so and tells the state instead.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use client::{Stream, StreamUpdate};
//! # fn example(client: &mut client::blocking::Client) -> Result<(), client::Error> {
//!
//! let mut stream = Stream::new(&[b"accounts"], 0)?;
//! loop {
//!     match client.follow(&mut stream, Duration::from_secs(10)) {
//!         Ok(updates) => {
//!             for update in updates {
//!                 match update {
//!                     StreamUpdate::Changed(change) => println!("changed: {change:?}"),
//!                     StreamUpdate::Resync => println!("all from the beginning"),
//!                     StreamUpdate::State(change) => println!("is: {change:?}"),
//!                     StreamUpdate::Synced { raft_index } => println!("complete at {raft_index}"),
//!                 }
//!             }
//!         }
//!         // No server, or none that leads: the stream is where it was.
//!         Err(error) if error.is_safe_to_retry() => {}
//!         Err(error) => return Err(error),
//!     }
//! }
//! # }
//! ```
//!
//! What this crate does not do: it resolves no names, encrypts nothing, and repeats no operation
//! that the core does not repeat.

pub mod blocking;
#[cfg(feature = "runtime")]
pub mod fiber;
#[cfg(any(feature = "runtime", feature = "tokio"))]
mod handles;
#[cfg(any(feature = "runtime", feature = "tokio"))]
mod notices;
mod process_id;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use client_core::{
    Access, Completion, Condition, Error, Event, GroupId, InvalidArgument, KeyState, LockEvent,
    LockId, LockLoss, LockOptions, NodeId, Operation, Options, OptionsError, ProtocolError, Reason,
    Relation, RequestId, Response, Retries, Server, ServerError, Step, StepKind, Stream,
    StreamUpdate, Subject, Target, WatchId, WatchUpdate, operations,
};
pub use process_id::new_process_id;
pub use wire::{BizCode, ProcessId, RespCode};
