//! What other nodes send to the replicate port of this one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use planted::{Bug, is_on};
use raft_core::{GroupId, Message, NodeId};
use raft_host::{Group, SnapshotMessage};
use rpc::{Connection, ConnectionId, Connections, Flow, Handler, TimeBudget};
use runtime::FiberGroup;
use wire::{
    Command, NODE_PROTOCOL_VERSION, NodeHello, NodeLane, NodeMessage, NodeWelcome, Packet,
    ProcessId, RespCode, ResponseHead, encode_node_message,
};

use super::acquaintance::{Acquaintance, NotMet};
use super::links::Links;
use super::lives::Meeting;
use super::message_kind::Kind;
use super::probation::{Probations, Word};
use crate::admin::answer_of_node;
use crate::identity::Identity;
use crate::machine::KvStateMachine;
use crate::mail::{Mail, Outbox};
use crate::node::NodePlan;
use crate::places::Place;
use crate::requests::RequestHandler;

/// A message on its one hop to the shard of its group.
pub struct PeerMail {
    guest: Guest,
    group: i32,
    kind: u8,
    content: Vec<u8>,
}

/// Who is on the other side of a connection that has said its hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Guest {
    node: u32,
    incarnation: u64,
}

/// Takes what comes in on the replicate port: from other nodes itself, the rest as any port does.
pub struct NodeHandler {
    requests: RequestHandler,
    plan: Arc<NodePlan>,
    /// Made anew with each start.
    process: ProcessId,
    acquaintance: Rc<Acquaintance>,
    links: Rc<Links>,
    probations: Rc<Probations>,
    connections: Rc<Connections>,
    outboxes: Rc<[Outbox]>,
    /// Owns the fibers in which a hello waits for its being written down.
    fibers: FiberGroup,
    guests: Rc<RefCell<BTreeMap<ConnectionId, Guest>>>,
}

impl NodeHandler {
    /// A handler without guests.
    pub fn new(
        requests: RequestHandler,
        plan: Arc<NodePlan>,
        acquaintance: Rc<Acquaintance>,
        links: Rc<Links>,
        probations: Rc<Probations>,
        connections: Rc<Connections>,
        fibers: FiberGroup,
    ) -> NodeHandler {
        let outboxes = requests.0.outboxes.clone();
        let guests = Rc::default();
        let random = requests.0.shard.random();
        let process = ProcessId { high: random.next_u64() | 1, low: random.next_u64() };
        NodeHandler {
            requests,
            plan,
            process,
            acquaintance,
            links,
            probations,
            connections,
            outboxes,
            fibers,
            guests,
        }
    }

    fn hello(&self, connection: &Rc<Connection>, packet: &Packet<'_>) -> Flow {
        let Ok(hello) = NodeHello::decode(packet.body_bytes()) else { return Flow::Close };
        let Some(own) = self.acquaintance.own() else {
            connection.refuse(packet, RespCode::NotInit, "the node is starting");
            return Flow::Continue;
        };
        if let Err(text) = self.judge(&own, &hello) {
            connection.refuse(packet, RespCode::SysError, &text);
            return Flow::Continue;
        }
        let guest = Guest { node: hello.node_id as u32, incarnation: hello.incarnation };
        let known = (hello.known != 0).then_some(hello.known);
        let (acquaintance, connections) = (self.acquaintance.clone(), self.connections.clone());
        let (guests, id, seq) = (self.guests.clone(), connection.id(), packet.seq);
        self.fibers.spawn_daemon("hello", async move {
            let met = acquaintance.meet(guest.node, guest.incarnation, known).await;
            let Some(connection) = connections.get(id) else { return };
            let mut welcome = NodeWelcome {
                version: NODE_PROTOCOL_VERSION,
                node_id: own.node as i32,
                incarnation: own.incarnation,
                ..NodeWelcome::default()
            };
            match met {
                Ok(is_known_otherwise) => {
                    guests.borrow_mut().insert(id, guest);
                    welcome.is_known_otherwise = is_known_otherwise;
                    answer(&connection, seq, &welcome);
                }
                Err(NotMet::Uncertain) => {
                    let current = acquaintance.lives().current(guest.node);
                    welcome.known = current.unwrap_or_default();
                    answer(&connection, seq, &welcome);
                }
                Err(NotMet::LifeIsOver) => {
                    let head = ResponseHead::refusal(
                        Command::NODE_HELLO,
                        seq,
                        RespCode::SysError,
                        LIFE_IS_OVER,
                    );
                    connection.respond(&head, |_| {});
                }
            }
        });
        Flow::Continue
    }

    /// Whether the two nodes belong together.
    fn judge(&self, own: &Identity, hello: &NodeHello) -> Result<(), String> {
        let NodeHello { version, cluster, node_id, receiver_id, .. } = hello;
        if *version != NODE_PROTOCOL_VERSION {
            return Err(format!(
                "node {} speaks version {NODE_PROTOCOL_VERSION} of the protocol between nodes, not \
                 {version}; run the same release on all nodes",
                own.node
            ));
        }
        if *cluster != own.cluster {
            return Err(format!(
                "node {} belongs to cluster {:?}, not to {cluster:?}; correct node.cluster, or the \
                 addresses in [[nodes]]",
                own.node, own.cluster
            ));
        }
        if *receiver_id != own.node as i32 {
            return Err(format!(
                "this is node {}, not node {receiver_id}; correct the addresses in [[nodes]]",
                own.node
            ));
        }
        let roster = self.requests.0.roster();
        let is_listed = roster.nodes().contains_key(&(*node_id as u32));
        if !is_listed || *node_id == *receiver_id {
            return Err(format!(
                "node {node_id} is not another node that node {} knows; give all nodes the same \
                 list and each its own node.id, or add it there with `dongting node add`",
                own.node
            ));
        }
        Ok(())
    }

    fn message(&self, connection: &Rc<Connection>, packet: &Packet<'_>) -> Flow {
        let Some(guest) = self.guests.borrow().get(&connection.id()).copied() else {
            return Flow::Close;
        };
        match NodeMessage::decode(packet.body_bytes()) {
            Some(message) => self.deliver(guest, message),
            None => Flow::Close,
        }
    }

    /// Takes a message that came in on another shard.
    pub fn foreign(&self, mail: &PeerMail) {
        let PeerMail { guest, group, kind, content } = mail;
        // A message that cannot be read is dropped here; its connection is another shard's.
        let _ = self.deliver(*guest, NodeMessage { group_id: *group, kind: *kind, content });
    }

    /// Brings a message to its group, or on its way there. Consensus survives what is dropped.
    fn deliver(&self, guest: Guest, message: NodeMessage<'_>) -> Flow {
        if self.acquaintance.lives().current(guest.node) != Some(guest.incarnation)
            && !is_on(Bug::OldLifeHeard)
        {
            return Flow::Close;
        }
        let groups = self.requests.0.groups.borrow();
        match groups.get(&GroupId(message.group_id)) {
            Some(Place::Here(hosted)) => self.receive(&hosted.group, guest, message),
            Some(Place::There(shard)) => {
                let outbox = &self.outboxes[usize::from(shard.0)];
                if outbox.takes_requests() {
                    let (group, kind) = (message.group_id, message.kind);
                    let content = message.content.to_vec();
                    outbox.push(Mail::Peer(PeerMail { guest, group, kind, content }));
                }
                Flow::Continue
            }
            Some(Place::Starting | Place::Stopping(_)) | None => Flow::Continue,
        }
    }

    fn receive(
        &self,
        group: &Group<KvStateMachine>,
        guest: Guest,
        message: NodeMessage<'_>,
    ) -> Flow {
        let from = NodeId(guest.node);
        match Kind(message.kind) {
            Kind::RAFT => {
                let Ok((step, records)) = Message::decode(message.content) else {
                    return Flow::Close;
                };
                if self.probations.follows(group.id()) {
                    group.step(from, step, records);
                }
            }
            Kind::SNAPSHOT => match SnapshotMessage::decode(message.content) {
                Some(Ok(message)) => group.snapshot_message(from, &message),
                Some(Err(_)) => return Flow::Close,
                None => {}
            },
            Kind::ASK => self.give_word(group, guest),
            Kind::WORD => {
                let Some(word) = Word::decode(message.content) else { return Flow::Close };
                let own = self.acquaintance.own();
                if own.is_some_and(|own| own.incarnation == word.incarnation) {
                    self.probations.heard(group.id(), from, word);
                }
            }
            // A later release may say more.
            _ => {}
        }
        Flow::Continue
    }

    /// Tells a node on a new disk what is known of its earlier ones.
    fn give_word(&self, group: &Group<KvStateMachine>, guest: Guest) {
        let lives = self.acquaintance.lives();
        let Meeting::Known { had_another } = lives.meeting(guest.node, guest.incarnation) else {
            return;
        };
        let term = group.status().raft.term;
        let word = Word { incarnation: guest.incarnation, knew_another: had_another, term };
        let (id, to) = (group.id().0, NodeId(guest.node));
        if let Some(queue) = self.links.queue(to, NodeLane::Control) {
            queue.push(id, |out| encode_node_message(out, id, Kind::WORD.0, &word.encode(), &[]));
        }
    }
}

fn answer(connection: &Connection, seq: i32, welcome: &NodeWelcome) {
    let head = ResponseHead::success(Command::NODE_HELLO, seq);
    connection.respond(&head, |writer| welcome.encode(writer));
}

const LIFE_IS_OVER: &str = "this node has come back on another disk since; stop the process that \
                            runs on the old one, and do not use its data directory again";

impl Handler for NodeHandler {
    fn request(
        &self,
        connection: &Rc<Connection>,
        packet: &Packet<'_>,
        budget: TimeBudget,
    ) -> Flow {
        match packet.command {
            Command::NODE_MESSAGE => self.message(connection, packet),
            Command::NODE_HELLO => self.hello(connection, packet),
            _ => {
                let own = self.plan.config.node.id;
                let roster = self.requests.0.roster();
                match answer_of_node(own, &roster, self.process, connection, packet) {
                    true => Flow::Continue,
                    false => self.requests.request(connection, packet, budget),
                }
            }
        }
    }

    fn batch_end(&self, connection: &Rc<Connection>) {
        self.requests.batch_end(connection);
    }

    fn closed(&self, connection: &Rc<Connection>) {
        self.guests.borrow_mut().remove(&connection.id());
        self.requests.closed(connection);
    }
}
