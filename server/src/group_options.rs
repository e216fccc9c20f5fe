//! From the configuration to the options of a raft group.

use core::time::Duration;

use raft_core::{Config as Membership, GroupId, NodeId, RaftOptions, ReadMode};
use raft_host::log::segment::Identity as LogIdentity;
use raft_host::{GroupOptions, SnapshotOptions};

use crate::config::{Config, Group, Reads};
use crate::identity::Identity;

/// A quarter of the election timeout: enough for two clocks of which one runs 10 % too fast and the
/// other one 10 % too slow (1 − 0.9 / 1.1 = 0.182).
const LEASE_MARGIN_DIVISOR: u32 = 4;

/// Longer than from one put to the next of a client that waits for its answers, so that it costs no
/// message of its own; far below what anybody would notice on a node that only follows.
const COMMIT_NOTICE_DELAY: Duration = Duration::from_millis(5);

/// A group gets this much of the cache, if there is as much, however many others there are.
const CACHE_BYTES_MIN: usize = 256 << 10;

/// The options of one group on this node.
pub fn group_options(config: &Config, group: &Group, node: &Identity, seed: u64) -> GroupOptions {
    let mut raft = RaftOptions::new(NodeId(config.node.id), seed);
    raft.election_timeout = config.raft.election_timeout;
    raft.heartbeat_interval = config.raft.heartbeat_interval;
    raft.commit_notice_delay = COMMIT_NOTICE_DELAY;
    raft.lease_margin = config.raft.election_timeout / LEASE_MARGIN_DIVISOR;
    raft.priority = priority(config, false);
    raft.read_mode = match config.raft.reads {
        Reads::Lease => ReadMode::Lease,
        Reads::ReadIndex => ReadMode::ReadIndex,
    };
    let identity = LogIdentity { cluster: node.cluster_hash(), group: GroupId(group.id) };
    let founding = Membership::of(
        group.members.iter().copied().map(NodeId),
        group.observers.iter().copied().map(NodeId),
    );
    let mut options = GroupOptions::new(&directory(group.id), identity, raft, founding);
    options.incarnation = node.incarnation;
    options.sync_force = config.raft.sync_force;
    options.segment_bytes = config.log.segment_bytes.bytes();
    options.spare_segments = usize::from(config.log.spare_segments);
    options.batch_bytes = config.log.batch_bytes_max.as_usize();
    options.payload_bytes_max = config.rpc.packet_bytes_max.as_usize();
    options.pending_max = u64::from(config.raft.pending_tasks_max);
    options.pending_bytes_max = config.raft.pending_bytes_max.bytes();
    options.cache_bytes_max = match group.members.len() + group.observers.len() {
        // Nobody follows, and whoever joins later is served from the files.
        1 => 0,
        _ => share_of_cache(config, group),
    };
    let snapshot = &config.snapshot;
    options.snapshots = SnapshotOptions {
        interval: snapshot.interval,
        log_bytes: snapshot.log_bytes.bytes(),
        keep: usize::from(snapshot.keep),
        at_stop: snapshot.at_stop,
        save_bytes_per_second: snapshot.save_bytes_per_second.bytes(),
        kept_bytes_max: snapshot.kept_bytes_max.as_usize(),
        log_delete_delay: config.log.delete_delay,
        send_bytes_per_second: snapshot.send_bytes_per_second.bytes(),
    };
    options
}

/// How much a node wants to lead. One that is drained wants it less than any other.
pub fn priority(config: &Config, is_drained: bool) -> u8 {
    if is_drained { 0 } else { config.node.priority.saturating_add(1) }
}

/// The part of the shard's cache that one group gets.
fn share_of_cache(config: &Config, group: &Group) -> usize {
    let all = config.log.cache_bytes_max.as_usize();
    let groups = config.groups.iter().filter(|other| other.shard == group.shard).count();
    (all / groups.max(1)).max(all.min(CACHE_BYTES_MIN))
}

/// The directory of a group below the node's data directory.
pub fn directory(group: i32) -> String {
    format!("group-{group}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

    #[test]
    fn groups_share_the_cache_of_their_shard() {
        let identity = Identity { cluster: "orders".into(), node: 1, incarnation: 1 };
        let mut config = Config::default();
        let mut group = config.groups.first().cloned().expect("the default has a group");
        group.members = vec![1, 2, 3];
        let cache = |config: &Config| {
            let group = config.groups.first().expect("there are groups");
            group_options(config, group, &identity, 1).cache_bytes_max
        };
        for (count, share) in [(1, 64 << 20), (4, 16 << 20), (1_000, CACHE_BYTES_MIN)] {
            config.groups = vec![group.clone(); count];
            assert_eq!(cache(&config), share, "{count} groups");
        }
        // Groups of other shards have caches of their own.
        config.groups = vec![group.clone(), group.clone()];
        config.groups.last_mut().expect("there are two").shard = 1;
        assert_eq!(cache(&config), 64 << 20);
        config.log.cache_bytes_max = ByteSize::kib(8);
        config.groups = vec![group; 4];
        assert_eq!(cache(&config), 8 << 10, "a small cache is not cut up");
    }

    #[test]
    fn lease_is_shorter_than_the_election_timeout_whatever_that_is() {
        let identity = Identity { cluster: "orders".into(), node: 1, incarnation: 1 };
        for millis in [1, 10, 100, 1_000, 60_000] {
            let mut config = Config::default();
            config.raft.election_timeout = Duration::from_millis(millis);
            let group = config.groups.first().cloned().expect("the default has a group");
            let raft = group_options(&config, &group, &identity, 1).raft;
            // The leader's clock is slow, the voter's is fast.
            let lease = (raft.election_timeout - raft.lease_margin).as_secs_f64() / 0.9;
            assert!(lease < raft.election_timeout.as_secs_f64() / 1.1, "{millis} ms");
        }
    }
}
