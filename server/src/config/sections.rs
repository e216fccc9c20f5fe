//! What can be configured: one struct a section, with its defaults.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use core::time::Duration;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::units::{self, ByteSize};

/// The complete configuration of one node.
///
/// Every value of this type that [`Config::load`], [`Config::parse`] or [`Config::dev`] returns has
/// passed all checks: ids are unique, this node is one of [`nodes`](Config::nodes), every group has
/// a member and an existing shard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// Where this node listens.
    pub listen: Listen,
    /// All nodes of the cluster, this one included, in the order of the file.
    pub nodes: Vec<Peer>,
    /// All raft groups, in the order of the file.
    pub groups: Vec<Group>,
    /// Timers and limits of every group.
    pub raft: Raft,
    /// The log files of every group.
    pub log: Log,
    /// When snapshots of every group are saved, and what is kept.
    pub snapshot: Snapshot,
    /// Limits of connections.
    pub rpc: Rpc,
    /// How clients are told of changes.
    pub watch: Watch,
    /// What is remembered of writes that may be sent again.
    pub sessions: Sessions,
    /// What the node writes to standard error.
    pub trace: Trace,
}

/// `[node]`: who this node is and what of the machine it takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Id of this node, unique in the cluster, above zero.
    pub id: u32,
    /// Name of the cluster; written into the data directory, so that a node cannot be started on
    /// the data of another cluster.
    pub cluster: String,
    /// Everything the node stores lives below this directory.
    pub data_dir: PathBuf,
    /// How many shards to start, or on which CPUs.
    pub shards: Shards,
    /// Memory that each shard registers with the kernel for direct I/O.
    pub io_memory_bytes: ByteSize,
    /// How long a shard without work looks for more before it lets its core sleep.
    #[serde(with = "units::duration")]
    pub spin: Duration,
    /// Of two nodes that could lead a group, the one with the higher priority shall.
    pub priority: u8,
    /// Where the node stands: nodes of one zone, such as a datacentre, may fail together.
    pub zone: String,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            id: 1,
            cluster: "dongting".to_owned(),
            data_dir: PathBuf::from("data"),
            shards: Shards::Count(1),
            io_memory_bytes: ByteSize::mib(32),
            spin: Duration::from_micros(200),
            priority: 0,
            zone: String::new(),
        }
    }
}

/// How many shards (pinned threads) a node runs: a number, or a list of CPUs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shards {
    /// This many, on the first CPUs that the process may use.
    Count(u16),
    /// One on each of these CPUs.
    Cpus(Vec<usize>),
}

impl Shards {
    /// The number of shards.
    pub fn count(&self) -> usize {
        match self {
            Shards::Count(count) => usize::from(*count),
            Shards::Cpus(cpus) => cpus.len(),
        }
    }
}

impl Serialize for Shards {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shards::Count(count) => count.serialize(serializer),
            Shards::Cpus(cpus) => cpus.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shards, D::Error> {
        struct ShardsVisitor;

        impl<'de> de::Visitor<'de> for ShardsVisitor {
            type Value = Shards;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number of shards, or a list of CPUs such as [2, 3]")
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Shards, E> {
                let out_of_range = |_| E::invalid_value(de::Unexpected::Signed(count), &self);
                u16::try_from(count).map(Shards::Count).map_err(out_of_range)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut cpus: A) -> Result<Shards, A::Error> {
                let mut list = Vec::new();
                while let Some(cpu) = cpus.next_element()? {
                    list.push(cpu);
                }
                Ok(Shards::Cpus(list))
            }
        }

        deserializer.deserialize_any(ShardsVisitor)
    }
}

/// `[listen]`: the two addresses this node accepts connections on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// For clients.
    pub service: SocketAddr,
    /// For the other nodes and for administration.
    pub replicate: SocketAddr,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            service: SocketAddr::from(([127, 0, 0, 1], 9332)),
            replicate: SocketAddr::from(([127, 0, 0, 1], 9331)),
        }
    }
}

/// One of `[[nodes]]`: where the others reach a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Id of the node.
    pub id: u32,
    /// Where other nodes reach it.
    pub replicate: Endpoint,
    /// Where clients reach it.
    pub service: Endpoint,
}

/// One of `[[groups]]`: a raft group, its own log and its own tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Group {
    /// Id of the group, as clients name it.
    pub id: i32,
    /// Ids of the nodes that vote.
    pub members: Vec<u32>,
    /// Ids of the nodes that follow without a vote.
    pub observers: Vec<u32>,
    /// The shard of this node that the group lives on.
    pub shard: u16,
}

/// A host name or address, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port, not zero.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        let split = || {
            let (host, port) = text.rsplit_once(':')?;
            let bare = match host.strip_prefix('[') {
                Some(rest) => rest.strip_suffix(']')?,
                None if host.contains(':') => return None,
                None => host,
            };
            let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
            let plain = !bare.is_empty() && !bare.contains(char::is_whitespace);
            plain.then(|| Endpoint { host: bare.to_owned(), port })
        };
        split().ok_or_else(|| {
            format!("`{text}` is not an address; write host:port, and an IPv6 address in brackets, as in \"[::1]:9332\"")
        })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint { host: address.ip().to_string(), port: address.port() }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Endpoint, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// `[raft]`: timers and limits, the same for every group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Raft {
    /// A follower that hears nothing for this long (up to twice as long, at random) stands for
    /// election.
    #[serde(with = "units::duration")]
    pub election_timeout: Duration,
    /// A leader with nothing to send speaks this often.
    #[serde(with = "units::duration")]
    pub heartbeat_interval: Duration,
    /// Whether an answer waits until the write is durable. Without it, a power failure loses
    /// acknowledged writes.
    pub sync_force: bool,
    /// How a read is made sure to see every write that was acknowledged before.
    pub reads: Reads,
    /// A group refuses new writes while this many wait to be applied.
    pub pending_tasks_max: u32,
    /// A group refuses new writes while this many bytes wait to be applied.
    pub pending_bytes_max: ByteSize,
}

impl Default for Raft {
    fn default() -> Raft {
        Raft {
            election_timeout: Duration::from_secs(1),
            heartbeat_interval: Duration::from_millis(100),
            sync_force: true,
            reads: Reads::Lease,
            pending_tasks_max: 50_000,
            pending_bytes_max: ByteSize::mib(256),
        }
    }
}

/// How a leader knows that it still leads when it answers a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// By a lease that a majority renews with its answers; needs clocks that run at the same rate.
    Lease,
    /// By asking a majority for each round of reads.
    ReadIndex,
}

/// `[log]`: the log files of a group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Size of a log file.
    pub segment_bytes: ByteSize,
    /// Zero-filled files kept ready for when the current one is full.
    pub spare_segments: u16,
    /// Most bytes that one write to the disk takes.
    pub batch_bytes_max: ByteSize,
    /// Recent records that a shard keeps in memory.
    pub cache_bytes_max: ByteSize,
    /// Log that no snapshot needs any more is dropped after this time.
    #[serde(with = "units::duration")]
    pub delete_delay: Duration,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            segment_bytes: ByteSize::mib(64),
            spare_segments: 2,
            batch_bytes_max: ByteSize::mib(1),
            cache_bytes_max: ByteSize::mib(64),
            delete_delay: Duration::from_secs(60),
        }
    }
}

/// `[snapshot]`: when the state of a group is saved, how fast, and what is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshot {
    /// A snapshot is saved this long after the one before, if anything has changed; never when zero.
    #[serde(with = "units::duration")]
    pub interval: Duration,
    /// A snapshot is saved when so much log was written since the one before, or as much as that
    /// has, whichever is more; never when zero.
    pub log_bytes: ByteSize,
    /// Newest snapshots that are kept, and the log behind the oldest of them.
    pub keep: u16,
    /// Whether one is saved when the node stops.
    pub at_stop: bool,
    /// Bytes that are saved in a second.
    pub save_bytes_per_second: ByteSize,
    /// Memory for what changes while a snapshot is saved; beyond it saving is given up.
    pub kept_bytes_max: ByteSize,
    /// Bytes of snapshots that a group sends to other nodes in a second.
    pub send_bytes_per_second: ByteSize,
}

impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot {
            interval: Duration::from_secs(3600),
            log_bytes: ByteSize::mib(1024),
            keep: 2,
            at_stop: true,
            save_bytes_per_second: ByteSize::mib(256),
            kept_bytes_max: ByteSize::mib(256),
            send_bytes_per_second: ByteSize::mib(128),
        }
    }
}

/// `[rpc]`: limits of connections.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rpc {
    /// A connection that announces a longer packet is closed.
    pub packet_bytes_max: ByteSize,
    /// While a client leaves this much of its answers unread, the node reads no more from it.
    pub out_buffer_bytes_max: ByteSize,
    /// Further connections of a shard are closed at once.
    pub connections_max: u32,
    /// A connection that has not introduced itself by then is closed.
    #[serde(with = "units::duration")]
    pub handshake_timeout: Duration,
}

impl Default for Rpc {
    fn default() -> Rpc {
        Rpc {
            packet_bytes_max: ByteSize::mib(5),
            out_buffer_bytes_max: ByteSize::mib(16),
            connections_max: 10_000,
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

/// `[watch]`: how clients are told of changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Watch {
    /// The shortest time between two dispatches of a group.
    #[serde(with = "units::duration")]
    pub dispatch_interval: Duration,
    /// Clients that are sent to before other requests get their turn.
    pub batch_max: u32,
    /// A notification gets no further event once its keys and values have this many bytes.
    pub notify_bytes_max: ByteSize,
    /// A group sends nothing while its unanswered notifications have this many bytes.
    pub in_flight_bytes_max: ByteSize,
    /// Keys that one client may watch in a group.
    pub keys_max: u32,
    /// Requests for changes that may wait in a group.
    pub followers_max: u32,
    /// A client that says nothing about its watches for this long loses them.
    #[serde(with = "units::duration")]
    pub keep_alive_timeout: Duration,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            dispatch_interval: Duration::from_millis(5),
            batch_max: 100,
            notify_bytes_max: ByteSize::kib(80),
            in_flight_bytes_max: ByteSize::mib(64),
            keys_max: 100_000,
            followers_max: 100_000,
            keep_alive_timeout: Duration::from_secs(120),
        }
    }
}

/// `[sessions]`: what each group remembers of writes that may be sent again. The leader's settings count,
/// from the next session that is opened on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// Sessions of a group; beyond it the one that was used least recently ends.
    pub count_max: u32,
    /// Writes that one client may have in flight in its session.
    pub results_max: u32,
    /// Bytes of all answers and sessions that a group remembers; beyond it sessions end as well.
    pub bytes_max: ByteSize,
}

impl Sessions {
    /// What the leader of a group puts into the entry that opens a session.
    pub fn limits(&self) -> kv_api::SessionLimits {
        kv_api::SessionLimits {
            sessions_max: self.count_max,
            results_max: self.results_max,
            bytes_max: self.bytes_max.bytes(),
        }
    }
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { count_max: 4_096, results_max: 2_048, bytes_max: ByteSize::mib(64) }
    }
}

/// `[trace]`: what the node writes to standard error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trace {
    /// The least important lines that are written.
    pub level: Level,
    /// How a line looks.
    pub format: TraceFormat,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { level: Level::Info, format: TraceFormat::Text }
    }
}

/// Importance of a trace line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is lost or stopped.
    Error,
    /// Something that a person should look at.
    Warn,
    /// Starts, stops, elections.
    Info,
    /// Each connection and each file.
    Debug,
    /// Each request.
    Trace,
}

/// How a trace line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
