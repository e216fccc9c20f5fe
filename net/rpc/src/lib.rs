//! Connections of clients and nodes: from bytes of a stream to calls of a [`Handler`], and back.
//!
//! A [`Port`] has the connections of one port on one shard. Each has a read fiber, which parses
//! all that a read has brought and calls the handler for each packet with the bytes still in the
//! read buffer, and a write fiber, which sends all answers written so far in one piece. What is not
//! answered at once is answered through [`Connections::get`] with the connection's id.
//!
//! Done here, so that no handler sees it: framing, the handshake, ping, requests whose time is over,
//! commands that do not exist or belong to the other port, everything in a packet that must close
//! the connection, and the limits of [`Limits`]. A reader that is too slow makes its connection stop
//! reading; a connection that has much to read lets the reactor pass in between.
//!
//! The other way round, [`connect`] makes a connection to another node, and [`Link::carry`] sends over
//! it what a [`SendQueue`] gathers, as long as the other side gives signs of life. When to connect
//! again is its owner's business.
//!
//! What this crate does not do: it knows no group, no key and no term; it does not wait for answers
//! to what it pushed.

mod limits;

mod handler;

mod connection;
mod connections;

mod listener;
mod service;

mod close_reason;
mod dispatch;
mod inbound;
mod outbound;

mod budget;
mod read_buffer;

mod back_off;
mod link;
mod send_queue;

pub use back_off::BackOff;
pub use connection::{Connection, ConnectionId, Push};
pub use connections::{ConnectionCounts, Connections};
pub use handler::{Flow, Handler, TimeBudget};
pub use limits::Limits;
pub use link::{Link, LinkError, LinkOptions, connect};
pub use listener::Port;
pub use send_queue::SendQueue;
