//! Start and end of a node.

use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use raft_core::GroupId;
use raft_host::GroupError;
use runtime::{
    BootError, BootPlan, MailReceiver, MailSender, ProbeError, ShardId, ShardPlacement, StopHandle,
    boot, lock_data_dir, mailbox, probe,
};

use wire::PortKind;

use crate::config::{Config, Shards};
use crate::identity::{Identity, IdentityError};
use crate::mail::Mail;
use crate::peers::{Addresses, LivesError};
use crate::roster::{Roster, RosterError};
use crate::shard;
use crate::witness::Witness;

/// Messages that may wait for one shard to take them.
const MAILBOX_CAPACITY: usize = 4096;
/// How often names are looked up.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(2);
/// What a node's message may have beside the largest entry: other entries, and what describes them.
const NODE_PACKET_HEAD_BYTES: usize = 2 << 20;

/// Runs a node on this machine until `stop` says so. `on_ready` is called once, when it serves.
pub fn serve(
    config: Config,
    stop: StopHandle,
    on_ready: impl Fn(Ready) + Send + Sync + 'static,
) -> Result<(), NodeError> {
    let data_dir = config.node.data_dir.clone();
    std::fs::create_dir_all(&data_dir)
        .map_err(|error| NodeError::DataDir { data_dir: data_dir.clone(), error })?;
    let _lock = lock_data_dir(&data_dir)
        .map_err(|error| NodeError::DataDir { data_dir: data_dir.clone(), error })?;
    probe(&data_dir).map_err(NodeError::Probe)?;
    let placement = match &config.node.shards {
        Shards::Count(count) => ShardPlacement::Count(usize::from(*count)),
        Shards::Cpus(cpus) => ShardPlacement::Cpus(cpus.clone()),
    };
    let mut boot_plan = BootPlan::new(placement, data_dir);
    boot_plan.io_memory = config.node.io_memory_bytes.as_usize();
    boot_plan.spin = config.node.spin;
    let plan = Arc::new(NodePlan::new(config, on_ready));
    let (known, until) = (plan.clone(), stop.clone());
    // Not joined: a lookup may take long, and the process does not wait for it.
    thread::spawn(move || look_up_names(&known.addresses, &until));
    boot(boot_plan, stop, move |shard| shard::run(shard, plan.clone()))
}

/// Looks the names of the other nodes up, again and again: a node may come back somewhere else.
fn look_up_names(addresses: &Addresses, stop: &StopHandle) {
    while !stop.is_stopped() {
        for (node, endpoint) in addresses.names() {
            let Ok(found) = (endpoint.host.as_str(), endpoint.port).to_socket_addrs() else {
                continue;
            };
            let found: Vec<SocketAddr> = found.collect();
            // A name such as `localhost` may have both kinds; nodes listen on IPv4 unless told
            // otherwise.
            if let Some(address) = found.iter().find(|found| found.is_ipv4()).or(found.first()) {
                addresses.found(node, &endpoint, *address);
            }
        }
        addresses.wait(LOOK_UP_INTERVAL);
    }
}

/// What all shards of a node know when they start.
pub struct NodePlan {
    /// The node's configuration.
    pub config: Config,
    /// The way to each shard.
    pub senders: Vec<MailSender<Mail>>,
    /// Where the other nodes are.
    pub addresses: Addresses,
    /// Called when all shards serve.
    pub on_ready: Box<dyn Fn(Ready) + Send + Sync>,
    /// Who looks on, if anybody does.
    pub witness: Option<Arc<dyn Witness>>,
    receivers: Mutex<BTreeMap<ShardId, MailReceiver<Mail>>>,
}

/// Where a node that serves can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// For clients.
    pub service: SocketAddr,
    /// For the other nodes and for administration.
    pub replicate: SocketAddr,
}

impl NodePlan {
    /// A plan, with a mailbox for every shard.
    pub fn new(config: Config, on_ready: impl Fn(Ready) + Send + Sync + 'static) -> NodePlan {
        let mut senders = Vec::new();
        let mut receivers = BTreeMap::new();
        for id in 0..config.node.shards.count() {
            let (sender, receiver) = mailbox(MAILBOX_CAPACITY);
            senders.push(sender);
            receivers.insert(ShardId(id as u16), receiver);
        }
        let receivers = Mutex::new(receivers);
        let addresses = Addresses::default();
        addresses.update(&Roster::of(&config));
        let on_ready = Box::new(on_ready);
        NodePlan { config, senders, addresses, on_ready, witness: None, receivers }
    }

    /// The same plan with somebody who looks on.
    pub fn with_witness(self, witness: Arc<dyn Witness>) -> NodePlan {
        NodePlan { witness: Some(witness), ..self }
    }

    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.senders.len()
    }

    /// The mailbox of a shard, which takes it when it starts.
    pub(crate) fn take_receiver(&self, shard: ShardId) -> MailReceiver<Mail> {
        let mut receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        match receivers.remove(&shard) {
            Some(receiver) => receiver,
            None => unreachable!("each shard starts once and takes its own mailbox"),
        }
    }

    /// The limits of the connections of one shard and port.
    pub(crate) fn connection_limits(&self, port: PortKind) -> rpc::Limits {
        let rpc = &self.config.rpc;
        let head = if port == PortKind::Replicate { NODE_PACKET_HEAD_BYTES } else { 0 };
        rpc::Limits {
            packet_bytes_max: rpc.packet_bytes_max.as_usize() + head,
            out_buffer_bytes: rpc.out_buffer_bytes_max.as_usize(),
            connections_max: rpc.connections_max as usize,
            handshake_timeout: rpc.handshake_timeout,
            ..rpc::Limits::default()
        }
    }

    /// Says why the data directory cannot be used.
    pub(crate) fn identity_error(&self, error: IdentityError) -> NodeError {
        let data_dir = self.config.node.data_dir.clone();
        match error {
            IdentityError::Io(error) => NodeError::DataDir { data_dir, error },
            IdentityError::Damaged => NodeError::IdentityDamaged { data_dir },
            IdentityError::Foreign { found } => NodeError::Foreign { data_dir, found },
        }
    }

    /// Says why the file `roster` cannot be used.
    pub(crate) fn roster_error(&self, error: RosterError) -> NodeError {
        let data_dir = self.config.node.data_dir.clone();
        match error {
            RosterError::Io(error) => NodeError::DataDir { data_dir, error },
            RosterError::Damaged => NodeError::RosterDamaged { data_dir },
        }
    }

    /// Says why the file `lives` cannot be used.
    pub(crate) fn lives_error(&self, error: LivesError) -> NodeError {
        let data_dir = self.config.node.data_dir.clone();
        match error {
            LivesError::Io(error) => NodeError::DataDir { data_dir, error },
            LivesError::Damaged => NodeError::LivesDamaged { data_dir },
        }
    }
}

/// Why a node did not start, or ended by itself.
#[derive(Debug)]
pub enum NodeError {
    /// The data directory cannot be made, locked or used.
    DataDir {
        /// The directory.
        data_dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The identity file is damaged or missing, and there is data beside it.
    IdentityDamaged {
        /// The directory.
        data_dir: PathBuf,
    },
    /// The file that knows the lives of all nodes is damaged or missing, and there is data beside it.
    LivesDamaged {
        /// The directory.
        data_dir: PathBuf,
    },
    /// This node has voted in a group whose files are not there.
    GroupGone {
        /// The group.
        group: GroupId,
        /// Its directory.
        dir: String,
    },
    /// What was learnt about another node cannot be written down.
    Lives(io::Error),
    /// The file that knows what was changed at run time is damaged.
    RosterDamaged {
        /// The directory.
        data_dir: PathBuf,
    },
    /// Nobody knows whether a change of nodes or groups is durable.
    Roster(io::Error),
    /// The data directory belongs to another node.
    Foreign {
        /// The directory.
        data_dir: PathBuf,
        /// Whose data it holds.
        found: Identity,
    },
    /// The machine does not offer what the node needs.
    Probe(ProbeError),
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A raft group failed.
    Group {
        /// The group.
        group: GroupId,
        /// Why.
        error: GroupError,
    },
    /// A shard's executor could not be started, or panicked.
    Boot(BootError),
    /// Another shard ended before this one; its own error says why.
    ShardGone,
}

impl NodeError {
    /// Whether stored data is damaged, or belongs to something else.
    pub fn is_integrity(&self) -> bool {
        match self {
            NodeError::IdentityDamaged { .. }
            | NodeError::LivesDamaged { .. }
            | NodeError::RosterDamaged { .. }
            | NodeError::GroupGone { .. }
            | NodeError::Foreign { .. } => true,
            NodeError::Group { error, .. } => {
                matches!(error, GroupError::Damaged { .. } | GroupError::Restore(_))
            }
            NodeError::DataDir { .. }
            | NodeError::Probe(_)
            | NodeError::Lives(_)
            | NodeError::Roster(_)
            | NodeError::Listen { .. }
            | NodeError::Boot(_)
            | NodeError::ShardGone => false,
        }
    }
}

impl From<BootError> for NodeError {
    fn from(error: BootError) -> NodeError {
        NodeError::Boot(error)
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::DataDir { data_dir, error } => {
                let data_dir = data_dir.display();
                let mend = match error.kind() {
                    io::ErrorKind::WouldBlock => "end that process",
                    _ => "let the user that runs the node write there",
                };
                write!(
                    formatter,
                    "the data directory {data_dir} cannot be used: {error}; {mend}, or choose \
                     another node.data_dir"
                )
            }
            NodeError::IdentityDamaged { data_dir } => write!(
                formatter,
                "the file `identity` in {} is damaged or missing, and there is data beside it; \
                 restore the file from a backup, or move the directory away to start with an \
                 empty one",
                data_dir.display()
            ),
            NodeError::LivesDamaged { data_dir } => {
                write!(formatter, "the file `lives` in {} is {LIVES_DAMAGED}", data_dir.display())
            }
            NodeError::GroupGone { group, dir } => write!(
                formatter,
                "the data directory has no {dir}/hard-state, but this node has voted in raft group \
                 {}; restore it, or move the whole data directory away to come back with an empty \
                 one",
                group.0
            ),
            NodeError::RosterDamaged { data_dir } => {
                write!(formatter, "the file `roster` in {} is {ROSTER_DAMAGED}", data_dir.display())
            }
            NodeError::Roster(error) => {
                write!(formatter, "cannot write the file `roster`: {error}; {ROSTER_UNKNOWN}")
            }
            NodeError::Lives(error) => write!(formatter, "cannot write the file `lives`: {error}"),
            NodeError::Foreign { data_dir, found } => write!(
                formatter,
                "the data directory {} belongs to node {} of cluster {:?}; correct node.id and \
                 node.cluster, or give this node another node.data_dir",
                data_dir.display(),
                found.node,
                found.cluster
            ),
            NodeError::Probe(error) => error.fmt(formatter),
            NodeError::Listen { address, error } => write!(
                formatter,
                "cannot listen on {address}: {error}; end the process that uses it, or choose \
                 another address in [listen]"
            ),
            NodeError::Group { group, error } => {
                write!(formatter, "raft group {}: {error}{}", group.0, mend_of(error))
            }
            NodeError::Boot(error) => {
                let mend = match error {
                    BootError::ShardCount(_) | BootError::Cpu(_) | BootError::TooFewCpus { .. } => {
                        "; correct node.shards, or let the process use more cpus"
                    }
                    BootError::DataDir(..)
                    | BootError::Executor(..)
                    | BootError::Panicked { .. } => "",
                };
                write!(formatter, "{error}{mend}")
            }
            NodeError::ShardGone => formatter.write_str("another shard ended first"),
        }
    }
}

impl std::error::Error for NodeError {}

const LIVES_DAMAGED: &str = "damaged or missing, and there is data beside it, so that nobody knows \
                             whether this node may vote; move the directory away to come back with \
                             an empty one";
const ROSTER_DAMAGED: &str = "damaged, and with it what was changed of nodes and groups while the \
                              node ran; restore it from a backup, or remove it and make the changes \
                              again: without it the configuration alone counts";
const ROSTER_UNKNOWN: &str = "see to the disk and start the node again, then list its nodes and \
                              groups to see what has come of the change";

/// What to do about a group that failed.
fn mend_of(error: &GroupError) -> &'static str {
    match error {
        GroupError::Damaged { .. } | GroupError::Restore(_) => {
            "; nothing was changed: restore the data directory from a backup, or move it away to \
             start with an empty one"
        }
        GroupError::Io { kind: io::ErrorKind::StorageFull, .. } => {
            "; make room on the disk and start the node again"
        }
        GroupError::Io { .. } => {
            "; see to the disk and start the node again: nothing acknowledged is lost by the stop"
        }
        GroupError::Options(_) | GroupError::Stopped => "",
    }
}
