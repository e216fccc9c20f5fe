//! From the configuration to the options of a raft group.

use raft_core::{Config as Membership, GroupId, NodeId, RaftOptions, ReadMode};
use raft_host::GroupOptions;
use raft_host::log::segment::Identity as LogIdentity;

use crate::config::{Config, Group, Reads};
use crate::identity::Identity;

/// The options of one group on this node.
pub fn group_options(config: &Config, group: &Group, node: &Identity, seed: u64) -> GroupOptions {
    let mut raft = RaftOptions::new(NodeId(config.node.id), seed);
    raft.election_timeout = config.raft.election_timeout;
    raft.heartbeat_interval = config.raft.heartbeat_interval;
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
    options.segment_bytes = config.log.segment_bytes.bytes();
    options.spare_segments = usize::from(config.log.spare_segments);
    options.batch_bytes = config.log.batch_bytes_max.as_usize();
    options.payload_bytes_max = config.rpc.packet_bytes_max.as_usize();
    options.pending_max = u64::from(config.raft.pending_tasks_max);
    options.pending_bytes_max = config.raft.pending_bytes_max.bytes();
    options.cache_bytes_max = match group.members.len() + group.observers.len() {
        // Nobody follows, and whoever joins later is served from the files.
        1 => 0,
        _ => config.log.cache_bytes_max.as_usize(),
    };
    options
}

/// The directory of a group below the node's data directory.
pub fn directory(group: i32) -> String {
    format!("group-{group}")
}
