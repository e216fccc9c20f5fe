//! What a configuration must satisfy beyond the type of each setting.

use core::time::Duration;
use std::collections::BTreeSet;

use super::document::Document;
use super::error::Problem;
use super::sections::{Config, Group, Shards};
use super::units::{ByteSize, Span};
use crate::identity::CLUSTER_NAME_BYTES_MAX;

/// Disk blocks are this large; so are the steps of file sizes.
const BLOCK_BYTES: u64 = 4096;
/// The protocol's limits of a key and a value, and room for the rest of a packet.
const PACKET_BYTES_MIN: ByteSize = ByteSize::kib(1024 + 8 + 4);
/// A log file holds at least this many of the largest packets, so that none wastes most of a file.
const PACKETS_PER_SEGMENT: u64 = 2;
/// No write of a disk that is worth waiting for takes longer; beyond it a core only gets hot.
const SPIN_MAX: Duration = Duration::from_millis(10);
/// Names of zones are not longer.
const ZONE_BYTES_MAX: usize = 64;
/// With less, a snapshot would take days or never end.
const SNAPSHOT_BYTES_MIN: ByteSize = ByteSize::mib(1);
/// More sessions, or more writes in flight in one, would not be remembered in any sane memory.
const SESSIONS_MAX: u32 = 1 << 20;
/// The answer to the longest batch has some hundred kibibytes.
const SESSION_BYTES_MIN: ByteSize = ByteSize::mib(1);
/// So many heartbeats fit into an election timeout, so that one lost packet elects nobody.
const HEARTBEATS_PER_ELECTION: u32 = 3;

/// Everything that is wrong with `config`, which was read from `document`.
pub(super) fn problems(config: &Config, document: &Document<'_>) -> Vec<Problem> {
    let mut check = Check { config, document, problems: Vec::new() };
    check.node();
    check.nodes();
    check.groups();
    check.raft();
    check.sizes();
    check.snapshot();
    check.watch();
    check.sessions();
    check.problems
}

struct Check<'a> {
    config: &'a Config,
    document: &'a Document<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn refuse(&mut self, section: &str, key: &str, cause: impl Into<String>, mend: &str) {
        let cause = format!("[{section}] {key} {}", cause.into());
        self.problems.push(Problem::new(self.document.place(section, key), cause, mend));
    }

    fn refuse_entry(&mut self, place: (&str, usize, &str), cause: String, mend: &str) {
        let (section, position, key) = place;
        let origin = self.document.place_in_list(section, position, key);
        self.problems.push(Problem::new(origin, cause, mend));
    }

    fn node(&mut self) {
        let node = &self.config.node;
        if node.id == 0 {
            self.refuse("node", "id", "is 0", "ids of nodes begin with 1");
        }
        if node.cluster.trim().is_empty() {
            self.refuse("node", "cluster", "is empty", "give the cluster a name");
        }
        if node.cluster.len() > CLUSTER_NAME_BYTES_MAX {
            let cause = format!("has {} bytes", node.cluster.len());
            let mend = format!("a name has at most {CLUSTER_NAME_BYTES_MAX}");
            self.refuse("node", "cluster", cause, &mend);
        }
        if node.zone.len() > ZONE_BYTES_MAX || node.zone.contains(char::is_whitespace) {
            let mend = format!("a name without blanks of at most {ZONE_BYTES_MAX} bytes");
            self.refuse("node", "zone", format!("is {:?}", node.zone), &mend);
        }
        if node.priority == u8::MAX {
            self.refuse("node", "priority", "is 255", "at most 254");
        }
        if node.spin > SPIN_MAX {
            let cause = format!("is {}", Span(node.spin));
            let mend = format!("at most {}; \"200us\" is usual, \"0s\" for none", Span(SPIN_MAX));
            self.refuse("node", "spin", cause, &mend);
        }
        if node.data_dir.as_os_str().is_empty() {
            self.refuse("node", "data_dir", "is empty", "name a directory");
        }
        match &node.shards {
            Shards::Count(0) => self.refuse("node", "shards", "is 0", "a node needs a shard"),
            Shards::Cpus(cpus) if cpus.is_empty() => {
                self.refuse("node", "shards", "is empty", "name a CPU, or give a number");
            }
            Shards::Cpus(cpus) if has_twice(cpus) => {
                self.refuse("node", "shards", "names a CPU twice", "give each shard its own");
            }
            Shards::Count(_) | Shards::Cpus(_) => {}
        }
        let listen = &self.config.listen;
        if listen.service == listen.replicate && listen.service.port() != 0 {
            let mend = "give each its own port";
            self.refuse("listen", "replicate", "is the same as service", mend);
        }
    }

    fn nodes(&mut self) {
        let config = self.config;
        let mut ids = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for (position, peer) in config.nodes.iter().enumerate() {
            if peer.id == 0 {
                let mend = "ids of nodes begin with 1";
                self.refuse_entry(("nodes", position, "id"), "node id is 0".to_owned(), mend);
            }
            if !ids.insert(peer.id) {
                let cause = format!("node {} is there twice", peer.id);
                self.refuse_entry(("nodes", position, "id"), cause, "remove one, or renumber it");
            }
            for (key, address) in [("replicate", &peer.replicate), ("service", &peer.service)] {
                if !addresses.insert(address) {
                    let cause = format!("address {address} is there twice");
                    let mend = "give each node and each purpose its own";
                    self.refuse_entry(("nodes", position, key), cause, mend);
                }
            }
        }
        if !ids.contains(&config.node.id) {
            let cause = format!("is {}, but [[nodes]] has no such node", config.node.id);
            self.refuse("node", "id", cause, "add this node to [[nodes]], or correct its id");
        }
    }

    fn groups(&mut self) {
        let config = self.config;
        let mut ids = BTreeSet::new();
        for (position, group) in config.groups.iter().enumerate() {
            if group.id < 0 {
                let cause = format!("group id {} is below zero", group.id);
                self.refuse_entry(("groups", position, "id"), cause, "ids of groups begin with 0");
            }
            if !ids.insert(group.id) {
                let cause = format!("group {} is there twice", group.id);
                self.refuse_entry(("groups", position, "id"), cause, "remove one, or renumber it");
            }
            let shards = config.node.shards.count();
            if usize::from(group.shard) >= shards && shards > 0 {
                let cause = format!("group {} is on shard {} of {shards}", group.id, group.shard);
                let mend = "shards count from 0; raise [node] shards, or move the group";
                self.refuse_entry(("groups", position, "shard"), cause, mend);
            }
            self.group_nodes(position, group);
        }
    }

    fn group_nodes(&mut self, position: usize, group: &Group) {
        let id = group.id;
        if group.members.is_empty() {
            let mend = "name at least one node, or leave the key out";
            let cause = format!("group {id} has no members");
            self.refuse_entry(("groups", position, "members"), cause, mend);
        }
        let mut seen = BTreeSet::new();
        let lists = [("members", &group.members), ("observers", &group.observers)];
        for (key, node) in lists.iter().flat_map(|(key, list)| list.iter().map(|n| (*key, *n))) {
            if !self.config.nodes.iter().any(|peer| peer.id == node) {
                let cause = format!("group {id} names node {node}, which is not in [[nodes]]");
                self.refuse_entry(
                    ("groups", position, key),
                    cause,
                    "add the node, or correct the id",
                );
            }
            if !seen.insert(node) {
                let cause = format!("group {id} names node {node} twice");
                let mend = "a node is a member or an observer, once";
                self.refuse_entry(("groups", position, key), cause, mend);
            }
        }
    }

    fn raft(&mut self) {
        let raft = &self.config.raft;
        if raft.heartbeat_interval == Duration::ZERO {
            self.refuse("raft", "heartbeat_interval", "is 0", "100ms is usual");
        }
        let longest = raft.election_timeout / HEARTBEATS_PER_ELECTION;
        if raft.heartbeat_interval > longest {
            let cause = format!(
                "is {}, more than a third of election_timeout ({}), so one lost packet could \
                 start an election",
                Span(raft.heartbeat_interval),
                Span(raft.election_timeout)
            );
            let mend = "lower it, or raise election_timeout";
            self.refuse("raft", "heartbeat_interval", cause, mend);
        }
        if raft.pending_tasks_max == 0 {
            let mend = "with 0 every write would be refused";
            self.refuse("raft", "pending_tasks_max", "is 0", mend);
        }
        if raft.pending_bytes_max < self.config.rpc.packet_bytes_max {
            let cause = format!(
                "is {}, less than [rpc] packet_bytes_max ({})",
                raft.pending_bytes_max, self.config.rpc.packet_bytes_max
            );
            let mend = "raise it: the largest write must fit";
            self.refuse("raft", "pending_bytes_max", cause, mend);
        }
    }

    fn snapshot(&mut self) {
        let snapshot = &self.config.snapshot;
        if snapshot.keep == 0 {
            let mend = "at least one snapshot is kept";
            self.refuse("snapshot", "keep", "is 0", mend);
        }
        let rates = [
            ("save_bytes_per_second", snapshot.save_bytes_per_second),
            ("send_bytes_per_second", snapshot.send_bytes_per_second),
            ("kept_bytes_max", snapshot.kept_bytes_max),
        ];
        for (key, bytes) in rates {
            if bytes < SNAPSHOT_BYTES_MIN {
                let mend = format!("at least {SNAPSHOT_BYTES_MIN}");
                self.refuse("snapshot", key, format!("is {bytes}"), &mend);
            }
        }
    }

    fn sessions(&mut self) {
        let sessions = &self.config.sessions;
        for (key, value) in
            [("count_max", sessions.count_max), ("results_max", sessions.results_max)]
        {
            if !(1..=SESSIONS_MAX).contains(&value) {
                let cause = format!("is {value}");
                self.refuse("sessions", key, cause, &format!("from 1 to {SESSIONS_MAX}"));
            }
        }
        if sessions.bytes_max < SESSION_BYTES_MIN {
            let cause = format!("is {}", sessions.bytes_max);
            let mend = format!("at least {SESSION_BYTES_MIN}, so that a session outlasts a write");
            self.refuse("sessions", "bytes_max", cause, &mend);
        }
    }

    fn watch(&mut self) {
        let watch = &self.config.watch;
        if watch.batch_max == 0 {
            self.refuse("watch", "batch_max", "is 0", "with 0 nobody would be told anything");
        }
        if watch.in_flight_bytes_max.bytes() == 0 {
            let mend = "with 0 nobody would be told anything";
            self.refuse("watch", "in_flight_bytes_max", "is 0", mend);
        }
        if watch.keep_alive_timeout == Duration::ZERO {
            self.refuse("watch", "keep_alive_timeout", "is 0", "120s is usual");
        }
    }

    fn sizes(&mut self) {
        let (log, rpc) = (&self.config.log, &self.config.rpc);
        if rpc.packet_bytes_max < PACKET_BYTES_MIN {
            let cause = format!("is {}", rpc.packet_bytes_max);
            let mend = format!("the largest key and value need {PACKET_BYTES_MIN}");
            self.refuse("rpc", "packet_bytes_max", cause, &mend);
        }
        if rpc.out_buffer_bytes_max < rpc.packet_bytes_max {
            let cause = format!(
                "is {}, less than packet_bytes_max ({})",
                rpc.out_buffer_bytes_max, rpc.packet_bytes_max
            );
            self.refuse("rpc", "out_buffer_bytes_max", cause, "raise it: an answer must fit");
        }
        if rpc.connections_max == 0 {
            self.refuse("rpc", "connections_max", "is 0", "with 0 nobody could connect");
        }
        if rpc.handshake_timeout == Duration::ZERO {
            self.refuse("rpc", "handshake_timeout", "is 0", "5s is usual");
        }
        let aligned =
            [("segment_bytes", log.segment_bytes), ("batch_bytes_max", log.batch_bytes_max)];
        for (key, size) in aligned {
            if size.bytes() == 0 || !size.bytes().is_multiple_of(BLOCK_BYTES) {
                let cause = format!("is {size}");
                self.refuse("log", key, cause, "it must be a multiple of 4KiB, above 0");
            }
        }
        let smallest =
            ByteSize::new(rpc.packet_bytes_max.bytes().saturating_mul(PACKETS_PER_SEGMENT));
        if log.segment_bytes < smallest {
            let cause = format!("is {}", log.segment_bytes);
            let mend =
                format!("two packets of [rpc] packet_bytes_max must fit: at least {smallest}");
            self.refuse("log", "segment_bytes", cause, &mend);
        }
        if log.batch_bytes_max > log.segment_bytes {
            let cause = format!(
                "is {}, more than segment_bytes ({})",
                log.batch_bytes_max, log.segment_bytes
            );
            self.refuse("log", "batch_bytes_max", cause, "lower it, or raise segment_bytes");
        }
    }
}

fn has_twice<T: Ord>(items: &[T]) -> bool {
    let mut seen = BTreeSet::new();
    !items.iter().all(|item| seen.insert(item))
}
