//! Tells those who waited for a lock that they hold it now.
//!
//! The leader pushes to the connection that the new holder's process has made last, whatever shard
//! it lives on. The answer of the unlock has been written before: the fiber looks only after the
//! entry was applied. Who is not connected is not told, and holds the lock until its lease ends.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kv_api::KvRequest;
use kv_machine::LockGranted;
use raft_core::{GroupId, RoleName};
use raft_host::Group;
use rpc::{Connections, Push};
use runtime::ShardId;
use wire::{Command, PortKind, ProcessId};

use crate::machine::KvStateMachine;
use crate::mail::{Mail, Outbox};
use crate::news::News;

/// The push of a granted lock, for the shard that has the holder's connection.
pub struct LockPush {
    /// The group of the lock.
    pub group: GroupId,
    /// The lock and its new holder.
    pub granted: LockGranted,
}

/// One way only, but every packet has a budget.
const PUSH_BUDGET: Duration = Duration::from_secs(5);
/// Times of entries have lost their fraction: the holder must not think that it waited longer than
/// it did, because its lease would end after the server's.
const FRACTION_NANOS: u64 = 1_000_000;

/// Sends the pushes of a group as long as its shard runs.
pub async fn push_granted(
    group: Group<KvStateMachine>,
    news: Rc<News>,
    own: ShardId,
    connections: Rc<Connections>,
    outboxes: Rc<[Outbox]>,
) {
    loop {
        news.locks.wait().await;
        let granted: Vec<_> = group.with_machine(|machine| machine.take_granted().collect());
        if group.status().raft.role != RoleName::Leader {
            continue;
        }
        for granted in granted {
            let push = Arc::new(LockPush { group: group.id(), granted });
            push_to(&connections, &push);
            for (shard, outbox) in outboxes.iter().enumerate() {
                if shard != usize::from(own.0) {
                    outbox.push(Mail::LockPush(push.clone()));
                }
            }
        }
        for outbox in outboxes.iter() {
            outbox.flush();
        }
    }
}

/// Sends a push if the holder has a connection on this shard.
pub fn push_to(connections: &Connections, push: &LockPush) {
    let LockPush { group, granted } = push;
    let holder = ProcessId { high: granted.owner.high, low: granted.owner.low };
    let Some(connection) = connections.of_process(PortKind::Service, holder) else {
        return;
    };
    let waited_nanos = granted.waited_ms.saturating_mul(1_000_000).saturating_sub(FRACTION_NANOS);
    let body = KvRequest {
        group_id: group.0,
        key: &granted.key,
        value: &granted.value,
        ttl_millis: i64::try_from(waited_nanos).unwrap_or(i64::MAX),
        fencing_token: granted.fencing_token,
        ..KvRequest::default()
    };
    let head = Push { command: Command::DTKV_LOCK_PUSH, timeout: PUSH_BUDGET, one_way: true };
    connection.push(head, |writer| body.encode(writer));
}
