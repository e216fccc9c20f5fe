//! The connections of one shard to every other node, each kept up by a fiber.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_core::NodeId;
use rpc::{BackOff, Link, LinkError, LinkOptions, SendQueue, connect};
use runtime::{FiberGroup, Shard, race};
use wire::{
    Command, NODE_PROTOCOL_VERSION, NodeHello, NodeLane, NodeWelcome, ProcessId, RespCode, Writer,
};

use super::acquaintance::Acquaintance;
use crate::config::Endpoint;
use crate::node::NodePlan;
use crate::requests::Requests;

/// Waits between two attempts to connect, while the other side cannot be reached.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
/// The wait when the other side refuses: only a person can mend that.
const RETRY_REFUSED: Duration = Duration::from_secs(5);
/// Bytes that wait for one lane to one node. The control lane carries small messages alone; the
/// other one has room for what consensus keeps on its way to a node for several groups.
const CONTROL_BYTES_MAX: usize = 4 << 20;
const BULK_BYTES_MAX: usize = 64 << 20;

/// The links of a shard.
pub struct Links {
    shard: Shard,
    plan: Arc<NodePlan>,
    acquaintance: Rc<Acquaintance>,
    requests: Rc<Requests>,
    options: LinkOptions,
    nodes: BTreeMap<NodeId, Neighbour>,
}

/// Another node as this shard reaches it.
struct Neighbour {
    endpoint: Endpoint,
    control: SendQueue,
    bulk: SendQueue,
}

impl Neighbour {
    fn queue(&self, lane: NodeLane) -> &SendQueue {
        match lane {
            NodeLane::Control => &self.control,
            NodeLane::Bulk => &self.bulk,
        }
    }
}

/// Why there is no link to a node.
enum NoLink {
    /// Nobody knows where it is.
    NoAddress,
    /// There may be one soon.
    Broken(LinkError),
    /// One of the two does not want the other.
    Refused(String),
}

impl Links {
    /// Links to all other nodes, none of them up.
    pub fn new(
        shard: Shard,
        plan: Arc<NodePlan>,
        acquaintance: Rc<Acquaintance>,
        requests: Rc<Requests>,
    ) -> Links {
        let random = shard.random();
        let process = ProcessId { high: random.next_u64() | 1, low: random.next_u64() };
        let options = LinkOptions {
            process,
            connect_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_millis(500),
            silence_max: Duration::from_secs(3),
            packet_bytes_max: 64 << 10,
        };
        let others = plan.config.nodes.iter().filter(|peer| peer.id != plan.config.node.id);
        let neighbour = |endpoint: &Endpoint| Neighbour {
            endpoint: endpoint.clone(),
            control: SendQueue::new(CONTROL_BYTES_MAX),
            bulk: SendQueue::new(BULK_BYTES_MAX),
        };
        let nodes = others.map(|peer| (NodeId(peer.id), neighbour(&peer.replicate))).collect();
        Links { shard, plan, acquaintance, requests, options, nodes }
    }

    /// What waits to be sent to a node; `None` for a node that is not in the configuration.
    pub fn queue(&self, to: NodeId, lane: NodeLane) -> Option<&SendQueue> {
        self.nodes.get(&to).map(|neighbour| neighbour.queue(lane))
    }

    /// Starts the fibers that keep the links up until `fibers` are stopped.
    pub fn start(self: &Rc<Self>, fibers: &FiberGroup) {
        for &node in self.nodes.keys() {
            for lane in NodeLane::ALL {
                let (links, group) = (self.clone(), fibers.clone());
                drop(fibers.spawn("link", async move {
                    if let Some(neighbour) = links.nodes.get(&node) {
                        let keep_up = links.keep_up(node, neighbour, lane);
                        race(group.stopped(), keep_up).await;
                        neighbour.queue(lane).close();
                    }
                }));
            }
        }
    }

    async fn keep_up(&self, node: NodeId, neighbour: &Neighbour, lane: NodeLane) {
        let queue = neighbour.queue(lane);
        let mut back_off = BackOff::new(RETRY_FIRST, RETRY_LONGEST);
        let mut reports = Reports { node, lane, endpoint: &neighbour.endpoint, last: None };
        loop {
            let wait = match self.link(node, lane).await {
                Ok(link) => {
                    reports.up();
                    back_off.reset();
                    queue.open();
                    let end = link.carry(queue).await;
                    queue.close();
                    reports.down(&NoLink::Broken(end));
                    for group in self.requests.groups_here() {
                        group.unreachable(node);
                    }
                    back_off.wait(|bound| self.shard.random().below(bound))
                }
                Err(why) => {
                    reports.down(&why);
                    match why {
                        NoLink::Refused(_) => RETRY_REFUSED,
                        NoLink::NoAddress | NoLink::Broken(_) => {
                            back_off.wait(|bound| self.shard.random().below(bound))
                        }
                    }
                }
            };
            self.shard.clock().sleep(wait).await;
        }
    }

    /// Connects, and returns once both sides know each other.
    async fn link(&self, node: NodeId, lane: NodeLane) -> Result<Link, NoLink> {
        let address = self.plan.addresses.of_node(node.0).ok_or(NoLink::NoAddress)?;
        let own = self.acquaintance.own().ok_or(NoLink::NoAddress)?;
        let hello = NodeHello {
            version: NODE_PROTOCOL_VERSION,
            cluster: own.cluster.clone(),
            node_id: own.node as i32,
            incarnation: own.incarnation,
            receiver_id: node.0 as i32,
            lane: lane.number(),
        };
        let mut body = Vec::new();
        hello.encode(&mut Writer::new(&mut body));
        let made = connect(&self.shard, address, self.options, Command::NODE_HELLO, &body).await;
        let link = made.map_err(|error| match error {
            LinkError::Refused { code, text } if code != RespCode::NotInit.number() => {
                NoLink::Refused(text)
            }
            error => NoLink::Broken(error),
        })?;
        let welcome = NodeWelcome::decode(link.answer())
            .map_err(|error| NoLink::Broken(LinkError::Wire(error)))?;
        if welcome.node_id != node.0 as i32 {
            return Err(NoLink::Refused(format!("it is node {}", welcome.node_id)));
        }
        let met = self.acquaintance.meet(node.0, welcome.incarnation).await;
        met.map_err(|_| NoLink::Refused("it runs on a disk that it had given up".to_owned()))?;
        Ok(link)
    }
}

/// Says each change of a link's state once.
struct Reports<'a> {
    node: NodeId,
    lane: NodeLane,
    endpoint: &'a Endpoint,
    /// What was said last about a link that is down.
    last: Option<String>,
}

impl Reports<'_> {
    fn up(&mut self) {
        self.last = None;
        if self.lane == NodeLane::Control {
            tracing::info!(node = self.node.0, address = %self.endpoint, "connected to node");
        }
    }

    fn down(&mut self, why: &NoLink) {
        let (node, address) = (self.node.0, self.endpoint);
        let text = match why {
            NoLink::NoAddress => "its name has no address yet".to_owned(),
            NoLink::Broken(error) => error.to_string(),
            NoLink::Refused(text) => text.clone(),
        };
        let is_refusal = matches!(why, NoLink::Refused(_));
        // An outage is said once, whatever the attempts in it fail with; a refusal in its own words.
        let is_new = self.last.as_ref().is_none_or(|last| is_refusal && *last != text);
        if !is_new || self.lane != NodeLane::Control {
            return;
        }
        if is_refusal {
            tracing::warn!(node, %address, "no link to node: {text}; trying again every 5 s");
        } else {
            tracing::info!(node, %address, "no link to node: {text}; trying again");
        }
        self.last = Some(text);
    }
}
