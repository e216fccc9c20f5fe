//! Who waits for an answer.

use moment::Moment;
use rpc::ConnectionId;
use runtime::ShardId;
use wire::{Command, PortKind};

use crate::watches::ClientId;

/// One request that waits for its answer, wherever on this node the answer is made.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The shard that holds the connection.
    pub shard: ShardId,
    /// The port that the request came in by.
    pub port: PortKind,
    /// The connection on that shard; it may be gone by the time the answer is there.
    pub connection: ConnectionId,
    /// The request's command.
    pub command: Command,
    /// The request's sequence number.
    pub seq: i32,
    /// The end of the caller's time budget: afterwards nobody listens, and nothing is sent.
    pub deadline: Moment,
}

impl Caller {
    /// Whether the answer carries what is stored, and so may be large.
    #[inline]
    pub fn is_read(&self) -> bool {
        is_read(self.command)
    }

    /// The connection, wherever on this node.
    pub fn client(&self) -> ClientId {
        ClientId { shard: self.shard, connection: self.connection }
    }
}

/// Whether a command asks for what is stored.
#[inline]
pub(crate) fn is_read(command: Command) -> bool {
    matches!(command, Command::DTKV_GET | Command::DTKV_LIST | Command::DTKV_BATCH_GET)
}

/// Who had an entry proposed on this node.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    /// A client, which waits for the result.
    Client(Caller),
    /// The fiber that removes what has expired.
    Expiry,
}

// One stands beside each entry under way; the second variant must not make it larger.
const _: () = assert!(size_of::<Option<Origin>>() == size_of::<Caller>());
