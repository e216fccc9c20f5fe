//! Clients over real connections: thin loops around [`client_core`], which has all the rules.
//!
//! [`blocking::Client`] makes one call after the other, [`blocking::Pipeline`] keeps many in
//! flight; both belong to one thread. With the feature `runtime` there is also `fiber::Client`,
//! for fibers, real or simulated.
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
//! What this crate does not do: it resolves no names, encrypts nothing, and repeats no operation
//! that the core does not repeat.

pub mod blocking;
#[cfg(feature = "runtime")]
pub mod fiber;
mod process_id;

pub use client_core::{
    Completion, Error, GroupId, InvalidArgument, NodeId, Operation, Options, OptionsError,
    ProtocolError, Reason, RequestId, Response, Server, ServerError, operations,
};
pub use process_id::new_process_id;
pub use wire::{BizCode, ProcessId, RespCode};
