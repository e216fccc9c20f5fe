//! Who waits for an answer.

use moment::Moment;
use rpc::ConnectionId;
use runtime::ShardId;
use wire::Command;

/// One request that waits for its answer, wherever on this node the answer is made.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The shard that holds the connection.
    pub shard: ShardId,
    /// The connection on that shard; it may be gone by the time the answer is there.
    pub connection: ConnectionId,
    /// The request's command.
    pub command: Command,
    /// The request's sequence number.
    pub seq: i32,
    /// The end of the caller's time budget: afterwards nobody listens, and nothing is sent.
    pub deadline: Moment,
}
