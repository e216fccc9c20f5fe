//! The connections of one shard to every other node, each kept up by a fiber.

use std::cell::{Cell, RefCell};
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

use super::acquaintance::{Acquaintance, NotMet};
use crate::config::Endpoint;
use crate::node::NodePlan;
use crate::requests::Requests;
use crate::roster::Roster;

/// Waits between two attempts to connect, while the other side cannot be reached.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
/// The wait when the other side refuses: only a person can mend that.
const RETRY_REFUSED: Duration = Duration::from_secs(5);
/// How often a node says who it is on the way to one link: the other side may know it under another
/// incarnation, and says so first.
const HELLOS_MAX: usize = 3;
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
    nodes: RefCell<BTreeMap<NodeId, Rc<Neighbour>>>,
    /// Whether links are kept up; that begins with the first group.
    are_up: Cell<bool>,
}

/// Another node as this shard reaches it.
struct Neighbour {
    endpoint: Endpoint,
    control: Rc<SendQueue>,
    bulk: Rc<SendQueue>,
    /// The fibers that keep its links up.
    fibers: FiberGroup,
}

impl Neighbour {
    fn queue(&self, lane: NodeLane) -> &Rc<SendQueue> {
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
    /// One of the two has just begun another life, and the other one does not know yet which counts.
    Uncertain,
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
        let (nodes, are_up) = (RefCell::default(), Cell::new(false));
        Links { shard, plan, acquaintance, requests, options, nodes, are_up }
    }

    /// What waits to be sent to a node; `None` for a node that nobody has told of.
    pub fn queue(&self, to: NodeId, lane: NodeLane) -> Option<Rc<SendQueue>> {
        self.nodes.borrow().get(&to).map(|neighbour| neighbour.queue(lane).clone())
    }

    /// Drops the links to nodes that are not in a roster any more, and begins those to new ones.
    pub fn update(self: &Rc<Self>, roster: &Roster) {
        let mut nodes = self.nodes.borrow_mut();
        nodes.retain(|node, neighbour| {
            let stays = roster.nodes().get(&node.0) == Some(&neighbour.endpoint);
            if !stays {
                neighbour.fibers.stop();
            }
            stays
        });
        let others = roster.nodes().iter().filter(|(id, _)| **id != self.plan.config.node.id);
        for (id, endpoint) in others {
            nodes.entry(NodeId(*id)).or_insert_with(|| {
                let neighbour = Rc::new(Neighbour {
                    endpoint: endpoint.clone(),
                    control: Rc::new(SendQueue::new(CONTROL_BYTES_MAX)),
                    bulk: Rc::new(SendQueue::new(BULK_BYTES_MAX)),
                    fibers: FiberGroup::new(&self.shard, "link"),
                });
                if self.are_up.get() {
                    self.start_link(NodeId(*id), &neighbour);
                }
                neighbour
            });
        }
    }

    /// Starts the fibers that keep the links up, unless they run.
    pub fn start(self: &Rc<Self>) {
        if !self.are_up.replace(true) {
            for (node, neighbour) in self.nodes.borrow().iter() {
                self.start_link(*node, neighbour);
            }
        }
    }

    /// Ends all links.
    pub async fn stop(&self) {
        self.are_up.set(false);
        let nodes = self.nodes.take();
        for neighbour in nodes.values() {
            neighbour.fibers.stop();
        }
        for neighbour in nodes.values() {
            neighbour.fibers.join().await;
        }
    }

    fn start_link(self: &Rc<Self>, node: NodeId, neighbour: &Rc<Neighbour>) {
        for lane in NodeLane::ALL {
            let (links, neighbour) = (self.clone(), neighbour.clone());
            let fibers = neighbour.fibers.clone();
            drop(fibers.spawn("link", async move {
                race(neighbour.fibers.stopped(), links.keep_up(node, &neighbour, lane)).await;
                neighbour.queue(lane).close();
            }));
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
                        NoLink::NoAddress | NoLink::Broken(_) | NoLink::Uncertain => {
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
        let own = self.acquaintance.own().ok_or(NoLink::NoAddress)?;
        let mut hello = NodeHello {
            version: NODE_PROTOCOL_VERSION,
            cluster: own.cluster.clone(),
            node_id: own.node as i32,
            incarnation: own.incarnation,
            receiver_id: node.0 as i32,
            lane: lane.number(),
            known: 0,
        };
        let mut attempts = HELLOS_MAX;
        loop {
            let known_before = self.acquaintance.lives().current(node.0);
            let (link, welcome) = self.greet(node, &hello).await?;
            let met = self.acquaintance.meet(node.0, welcome.incarnation, known_before).await;
            match met {
                Ok(_) if welcome.known == 0 => return Ok(link),
                Ok(_) => hello.known = welcome.known,
                Err(NotMet::LifeIsOver) => {
                    let text = "it runs on a disk that it had given up".to_owned();
                    return Err(NoLink::Refused(text));
                }
                Err(NotMet::Uncertain) => {}
            }
            attempts -= 1;
            if attempts == 0 {
                return Err(NoLink::Uncertain);
            }
        }
    }

    /// Connects and says once who this node is.
    async fn greet(&self, node: NodeId, hello: &NodeHello) -> Result<(Link, NodeWelcome), NoLink> {
        let address = self.plan.addresses.of_node(node.0).ok_or(NoLink::NoAddress)?;
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
        Ok((link, welcome))
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
            NoLink::Uncertain => "its disk or this node's was exchanged just now".to_owned(),
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
