//! A node that stops hands the leadership of its groups over first, so that writes go on at once.

use std::time::Duration;

use raft_core::{FollowerStatus, NodeId, RoleName, Status};
use raft_host::Group;
use runtime::{Moment, Shard};

use crate::machine::KvStateMachine;

/// How long a stop waits for it. A successor takes over within milliseconds, or not at all.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// Hands over every group that this node leads, all at the same time.
pub async fn hand_over(shard: &Shard, groups: Vec<Group<KvStateMachine>>) {
    let now = shard.clock().now();
    let mut under_way = Vec::new();
    for group in groups {
        let Some(successor) = successor(&group.status().raft, now) else { continue };
        under_way.push(shard.fibers().spawn("hand over", async move {
            let ended = group.transfer(successor, HAND_OVER_TIMEOUT).await;
            let (group, to) = (group.id().0, successor.0);
            match ended {
                Ok(true) => tracing::info!(group, to, "handed leadership over"),
                // As when the whole cluster stops. Without a successor the others elect a leader.
                Ok(false) => tracing::info!(group, to, "no successor took over"),
                Err(error) => tracing::warn!(group, to, ?error, "cannot hand leadership over"),
            }
        }));
    }
    for fiber in under_way {
        let _ = fiber.await;
    }
}

/// The voter that answered lately and holds most of the log, one that is not drained if there is any. `None` on whoever does not lead.
fn successor(status: &Status, now: Moment) -> Option<NodeId> {
    if status.role != RoleName::Leader {
        return None;
    }
    let is_there = |follower: &&FollowerStatus| {
        let heard = follower.heard.is_some_and(|heard| now.since(heard) < HEARD_LATELY);
        heard && !follower.needs_snapshot && status.config.votes(follower.id)
    };
    let rank = |follower: &&FollowerStatus| (follower.priority > 0, follower.matched);
    status.followers.iter().filter(is_there).max_by_key(rank).map(|follower| follower.id)
}

/// A node that has answered nothing for this long may be gone.
const HEARD_LATELY: Duration = Duration::from_secs(1);
