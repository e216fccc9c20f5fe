//! Bytes and values of the network protocol, without meaning.
//!
//! A connection carries frames: a four-byte big-endian length, then one [`Packet`]. A packet is a
//! protobuf message; its body is a message of the command, or bytes. [`Fields`] and [`Writer`] read
//! and write such messages, [`Command`], [`RespCode`] and [`BizCode`] list all numbers.
//!
//! Contract: no decoder panics or allocates more than its input is long, whatever the bytes are; an
//! error says where; what a decoder returns borrows from its input. An encoder appends to a vector
//! of the caller and writes the same bytes for the same value.
//!
//! What this crate does not do: it keeps no connection state, knows no time, and decides nothing
//! about a request. `docs/protocol.md` describes the bytes.
#![no_std]

extern crate alloc;

mod error;

mod reader;
mod writer;

mod packet;
mod response;
mod splitter;

mod code;
mod command;

mod handshake;
mod status;

mod admin;
mod node_hello;
mod node_message;
mod peer;

pub use admin::{
    AddGroupReq, AddNodeReq, CommitOrAbortReq, ListGroupsResp, ListNodesResp, PrepareChangeReq,
    RaftNode, SnapshotEntry, SnapshotsResp, TransferLeaderReq,
};
pub use code::{BizCode, RespCode};
pub use command::{Command, PortKind, Served};
pub use error::{WireError, WireErrorKind};
pub use handshake::{ConnectionLimits, Handshake, ProcessId};
pub use node_hello::{NODE_PROTOCOL_VERSION, NodeHello, NodeLane, NodeWelcome};
pub use node_message::{NodeMessage, encode_node_message};
pub use packet::{PREFIX_BYTES, Packet, PacketKind, RequestHead, encode_request};
pub use peer::{NodePing, RaftPing};
pub use reader::{Fields, Value, decode_fixed32, decode_fixed64, int32, int64};
pub use response::{ResponseHead, encode_response};
pub use splitter::Splitter;
pub use status::{KvStatusResp, QueryStatusResp, SnapshotState, StatusFlag};
pub use writer::{Writer, varint_length};
