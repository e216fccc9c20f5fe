//! What an operator does: hands leadership over and changes the members of a group, over the network
//! and with the patience of people who are in a hurry.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::fiber::Client;
use client::{
    Access, Error, GroupId, InvalidArgument, NodeId, Operation, Options, ProcessId, Response,
    Server, Target,
};
use raft_core::Members;
use runtime::Shard;
use wire::{
    Command, CommitOrAbortReq, PrepareChangeReq, TransferLeaderReq, Writer, decode_fixed64,
};

/// Something to be done to a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Errand {
    /// Have another node lead.
    Transfer {
        /// The present leader.
        from: u32,
        /// The next one.
        to: u32,
    },
    /// Prepare a change, and go on with it after a pause, if that is wanted.
    Change {
        /// Members now.
        current: Members,
        /// Members to come.
        next: Members,
        /// Time between the two steps.
        pause: Duration,
        /// The second step.
        end: Option<End>,
    },
    /// End a change that somebody prepared.
    End {
        /// The entry that prepared it.
        prepared: u64,
        /// How.
        end: End,
    },
}

/// How a change ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The next members become the current ones.
    Commit,
    /// They do not.
    Abort,
}

/// Somebody who goes on an errand; clones are the same person.
#[derive(Clone)]
pub struct Operator {
    /// The group.
    pub group: GroupId,
    /// The ports of the nodes for each other.
    pub servers: Vec<Server>,
    /// Told apart from other processes.
    pub number: u16,
    /// What to do.
    pub errand: Errand,
    has_ended: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
}

/// What an operator was told to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// An entry prepares a change.
    Prepared {
        /// The entry.
        index: u64,
        /// Members until then.
        current: Members,
        /// Members to come.
        next: Members,
    },
    /// An entry ends one.
    Ended {
        /// The entry.
        index: u64,
        /// The one that had prepared the change, as far as the operator knew.
        prepared: u64,
        /// How.
        end: End,
    },
}

/// Patience with one call.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds over all nodes in search of the leader.
const ROUNDS: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);

impl Operator {
    /// Somebody who has not begun.
    pub fn new(group: GroupId, servers: Vec<Server>, number: u16, errand: Errand) -> Operator {
        let (has_ended, told) = (Arc::default(), Arc::default());
        Operator { group, servers, number, errand, has_ended, told }
    }

    /// What the operator was told.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_told(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    }

    /// Whether the errand is over, with or without success.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Goes on the errand.
    pub async fn run(self, shard: Shard) {
        let process = ProcessId { high: u64::from(self.number) + 1, low: u64::MAX };
        let options = Options {
            group: self.group,
            call_timeout: PATIENCE,
            connect_timeout: Duration::from_millis(500),
            reconnect_delay_min: Duration::from_millis(2),
            reconnect_delay_max: Duration::from_millis(100),
            ..Options::new(self.servers.clone(), process)
        };
        if let Ok(client) = Client::new(&shard, options) {
            self.carry_out(&client, &shard).await;
        }
        self.has_ended.store(true, Ordering::Relaxed);
    }

    async fn carry_out(&self, client: &Client, shard: &Shard) {
        match &self.errand {
            Errand::Transfer { from, to } => {
                let order = Transfer { from: *from, to: *to };
                // Who leads then is seen elsewhere.
                drop(client.call(&order).await);
            }
            Errand::Change { current, next, pause, end } => {
                let prepare = |node| Prepare { node, current, next };
                let prepared = self.of_leader(client, shard, prepare).await;
                if let Some(index) = prepared {
                    let (current, next) = (current.clone(), next.clone());
                    self.is_told(Told::Prepared { index, current, next });
                }
                if let (Some(prepared), Some(end)) = (prepared, *end) {
                    shard.clock().sleep(*pause).await;
                    self.end(client, shard, prepared, end).await;
                }
            }
            Errand::End { prepared, end } => self.end(client, shard, *prepared, *end).await,
        }
    }

    async fn end(&self, client: &Client, shard: &Shard, prepared: u64, end: End) {
        let ended = match end {
            End::Commit => {
                let commit = |node| Commit { node, prepared };
                self.of_leader(client, shard, commit).await
            }
            End::Abort => self.of_leader(client, shard, |node| Abort { node }).await,
        };
        if let Some(index) = ended {
            self.is_told(Told::Ended { index, prepared, end });
        }
    }

    /// Asks one node after the other until one has done it.
    async fn of_leader<O>(
        &self,
        client: &Client,
        shard: &Shard,
        order: impl Fn(NodeId) -> O,
    ) -> Option<u64>
    where
        O: Operation<Reply = u64>,
    {
        for _ in 0..ROUNDS {
            for server in &self.servers {
                if let Ok(index) = client.call(&order(server.node)).await {
                    return Some(index);
                }
            }
            shard.clock().sleep(PAUSE).await;
        }
        None
    }
}

struct Transfer {
    from: u32,
    to: u32,
}

struct Prepare<'a> {
    node: NodeId,
    current: &'a Members,
    next: &'a Members,
}

struct Commit {
    node: NodeId,
    prepared: u64,
}

struct Abort {
    node: NodeId,
}

/// The index that an answer tells.
fn index_of(response: Response<'_>) -> Result<u64, Error> {
    Ok(decode_fixed64(response.body)?)
}

/// An order to one node: its command, and its body.
macro_rules! order {
    ($order:ty, $command:ident, $reply:ty, $node:expr, $encode:expr, $decode:expr) => {
        impl Operation for $order {
            const COMMAND: Command = Command::$command;
            const ACCESS: Access = Access::Write;
            type Reply = $reply;

            fn target(&self) -> Target {
                let node: fn(&Self) -> NodeId = $node;
                Target::Node(node(self))
            }

            fn check(&self) -> Result<(), InvalidArgument> {
                Ok(())
            }

            fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
                let encode: fn(&Self, i32, &mut Writer<'_>) = $encode;
                encode(self, group.0, &mut Writer::new(body));
            }

            fn decode(response: Response<'_>) -> Result<$reply, Error> {
                let decode: fn(Response<'_>) -> Result<$reply, Error> = $decode;
                decode(response)
            }
        }
    };
}

order!(
    Transfer,
    RAFT_ADMIN_TRANSFER_LEADER,
    (),
    |order| NodeId(order.from as i32),
    |order, group_id, writer| {
        let (old_leader_id, new_leader_id) = (order.from as i32, order.to as i32);
        let request =
            TransferLeaderReq { group_id, old_leader_id, new_leader_id, ..Default::default() };
        request.encode(writer);
    },
    |_| Ok(())
);

order!(
    Prepare<'_>,
    RAFT_ADMIN_PREPARE_CHANGE,
    u64,
    |order| order.node,
    |order, group_id, writer| {
        let ids = |nodes: &[raft_core::NodeId]| nodes.iter().map(|node| node.0).collect();
        let request = PrepareChangeReq {
            group_id,
            members: ids(&order.current.voters),
            observers: ids(&order.current.observers),
            prepared_members: ids(&order.next.voters),
            prepared_observers: ids(&order.next.observers),
        };
        request.encode(writer);
    },
    index_of
);

order!(
    Commit,
    RAFT_ADMIN_COMMIT_CHANGE,
    u64,
    |order| order.node,
    |order, group_id, writer| {
        CommitOrAbortReq { group_id, prepare_index: order.prepared }.encode(writer);
    },
    index_of
);

order!(
    Abort,
    RAFT_ADMIN_ABORT_CHANGE,
    u64,
    |order| order.node,
    |_, group_id, writer| CommitOrAbortReq { group_id, prepare_index: 0 }.encode(writer),
    index_of
);
