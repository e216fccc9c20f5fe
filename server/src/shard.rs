//! What lives on one core: groups, connections, and the mail of the other shards.

mod groups;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use raft_core::NodeId;
use rpc::Connections;
use runtime::{
    Either, FiberGroup, ListenOptions, Listener, MailReceiver, Shard, ShardId, Signal, race,
};
use wire::PortKind;

use crate::handover::hand_over;
use crate::hosted::Hosted;
use crate::identity;
use crate::locks;
use crate::mail::{Mail, Outbox, tell_all};
use crate::node::{NodeError, NodePlan};
use crate::peers::{Acquaintance, Keeper, Links, LivesFile, NodeHandler, Probations};
use crate::places::FIRST;
use crate::ports::Ports;
use crate::replies::Replies;
use crate::requests::{RequestHandler, Requests};
use crate::roster::{Means, Report, RosterFile};
use crate::watches::WatchLinks;
use groups::Changing;

/// How long a stopping shard waits for the answers that the other shards still owe its clients.
const OTHERS_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs one shard of a node until the node is asked to stop, or something on it fails.
pub async fn run(shard: Shard, plan: Arc<NodePlan>) -> Result<(), NodeError> {
    let core = Rc::new(Core::new(shard.clone(), plan));
    core.start_mail();
    let served = race(shard.stopping(), core.serve()).await;
    // After a failure here the other shards have to stop as well, or the wait for them is in vain.
    shard.stop_node();
    let stopped = core.stop().await;
    match served {
        Either::Left(()) => stopped,
        Either::Right(Ok(never)) => match never {},
        Either::Right(Err(failure)) => Err(failure),
    }
}

/// Nothing: a shard serves until it is told to stop.
enum Never {}

/// One shard with everything on it.
struct Core {
    shard: Shard,
    plan: Arc<NodePlan>,
    /// Accepting and connections; the first to stop.
    network: FiberGroup,
    /// Mail from and to the other shards; the last to stop.
    mail: FiberGroup,
    connections: Rc<Connections>,
    outboxes: Rc<[Outbox]>,
    replies: Rc<Replies>,
    requests: Rc<Requests>,
    acquaintance: Rc<Acquaintance>,
    links: Rc<Links>,
    probations: Rc<Probations>,
    nodes: Rc<NodeHandler>,
    keeper: Rc<Keeper>,
    ports: Ports,
    heard: Heard,
    changing: Rc<Changing>,
}

/// What the mail has told so far, and a signal that there is more.
#[derive(Default)]
struct Heard {
    ready: RefCell<BTreeSet<ShardId>>,
    stopped: RefCell<BTreeSet<ShardId>>,
    news: Signal,
}

impl Drop for Core {
    /// Groups know the links, and the links the groups: here the circle is cut. A process would not
    /// notice, a simulator with thousands of them does.
    fn drop(&mut self) {
        self.requests.forget_groups();
    }
}

impl Core {
    fn new(shard: Shard, plan: Arc<NodePlan>) -> Core {
        let pending_max = plan.config.raft.pending_tasks_max as usize;
        let outboxes: Rc<[Outbox]> =
            plan.senders.iter().map(|sender| Outbox::new(sender.clone(), pending_max)).collect();
        let connections = Connections::new();
        let replies = Replies::new(shard.id(), connections.clone(), outboxes.clone());
        let replies = Rc::new(replies);
        let links = Rc::new(WatchLinks::new(connections.clone()));
        let (boxes, answers) = (outboxes.clone(), replies.clone());
        let (own, known) = (shard.clone(), plan.clone());
        let requests = Rc::new(Requests::new(own, known, boxes, answers, links));
        let network = FiberGroup::new(&shard, "network");
        let acquaintance = Rc::new(Acquaintance::new(outboxes.clone()));
        let (own, known) = (shard.clone(), acquaintance.clone());
        let links = Rc::new(Links::new(own, plan.clone(), known, requests.clone()));
        let probations = Rc::<Probations>::default();
        let nodes = Rc::new(NodeHandler::new(
            RequestHandler(requests.clone()),
            plan.clone(),
            acquaintance.clone(),
            links.clone(),
            probations.clone(),
            connections.clone(),
            network.clone(),
        ));
        let handlers = (Rc::new(RequestHandler(requests.clone())), nodes.clone());
        Core {
            ports: Ports::new(&shard, &plan, &connections, handlers, &network),
            links,
            probations,
            mail: FiberGroup::new(&shard, "mail"),
            keeper: Rc::default(),
            heard: Heard::default(),
            changing: Rc::default(),
            shard,
            plan,
            network,
            connections,
            outboxes,
            replies,
            requests,
            acquaintance,
            nodes,
        }
    }

    /// Starts the fibers that carry mail both ways.
    fn start_mail(self: &Rc<Self>) {
        let receiver = self.plan.take_receiver(self.shard.id());
        let core = self.clone();
        self.mail.spawn_daemon("mail in", async move { core.receive_mail(receiver).await });
        for at in 0..self.outboxes.len() {
            let outboxes = self.outboxes.clone();
            self.mail.spawn_daemon("mail out", async move { outboxes[at].carry().await });
        }
    }

    async fn receive_mail(&self, mut receiver: MailReceiver<Mail>) {
        let mut batch = Vec::new();
        while receiver.recv_all(&mut batch).await.is_ok() {
            let now = self.shard.clock().now();
            for mail in batch.drain(..) {
                self.handle_mail(mail, now);
            }
            self.replies.flush();
            self.shard.pass().await;
        }
    }

    fn handle_mail(&self, mail: Mail, now: moment::Moment) {
        match mail {
            Mail::Request(request) => self.requests.foreign(&request, now),
            Mail::Answers(answers) => {
                if let Some(connection) = self.connections.get(answers.connection) {
                    connection.write(|out| out.extend_from_slice(&answers.bytes));
                    connection.settle_answers(answers.settled);
                }
            }
            Mail::Notification(notification) => self.requests.pass_notification(&notification),
            Mail::NotifyAnswer(answer) => self.requests.foreign_answer(&answer, now),
            Mail::WatcherGone(client, group) => self.requests.watcher_gone(client, group),
            Mail::LockPush(push) => locks::push_to(&self.connections, &push),
            Mail::Stream(port, stream) => match stream.attach(&self.shard) {
                Ok(stream) => self.ports.adopt(port, stream),
                Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
            },
            Mail::Identity(identity) => {
                self.acquaintance.introduce(identity);
                self.heard.news.set();
            }
            Mail::Lives(lives) => {
                for node in self.acquaintance.update(lives) {
                    let groups = self.requests.groups_here();
                    groups.iter().for_each(|group| group.peer_restarted(NodeId(node)));
                }
            }
            Mail::Wish(wish) => self.keeper.take(wish),
            Mail::Roster(roster) => self.learn(roster),
            Mail::RosterReport(shard, report) => self.requests.registrar().hear(shard, report),
            Mail::Leave(group) => self.leave(group),
            Mail::Census(node) => {
                let groups = self.requests.groups_with(node);
                self.report(Report::Counted { node, groups });
            }
            Mail::Peer(mail) => self.nodes.foreign(&mail),
            Mail::GroupsReady(shard) => {
                self.heard.ready.borrow_mut().insert(shard);
                self.heard.news.set();
            }
            Mail::GroupsStopped(shard) => {
                self.heard.stopped.borrow_mut().insert(shard);
                self.heard.news.set();
            }
        }
    }

    /// Starts everything in its order and serves; returns only when something fails.
    async fn serve(self: &Rc<Self>) -> Result<Never, NodeError> {
        if self.shard.id() != FIRST {
            return Box::pin(self.serve_groups(None)).await;
        }
        let config = &self.plan.config.node;
        let identity = identity::open_or_create(&self.shard, &config.cluster, config.id).await;
        let identity = Arc::new(identity.map_err(|error| self.plan.identity_error(error))?);
        let lives = LivesFile::open_or_create(&self.shard, &identity).await;
        let (file, lives) = lives.map_err(|error| self.plan.lives_error(error))?;
        let roster = RosterFile::open(&self.shard, &identity, &self.plan.config).await;
        let (roster_file, roster) = roster.map_err(|error| self.plan.roster_error(error))?;
        for overridden in roster.overridden() {
            tracing::warn!("{overridden} while the node ran; its configuration says otherwise");
        }
        if roster.is_drained() {
            let id = config.id;
            tracing::warn!("the node is drained and lets others lead until `node undrain {id}`");
        }
        self.plan.addresses.update(&roster);
        let (known, current) = (Arc::new(lives.clone()), Arc::new(roster.clone()));
        tell_all(&self.plan.senders, || Mail::Roster(current.clone())).await?;
        tell_all(&self.plan.senders, || Mail::Lives(known.clone())).await?;
        tell_all(&self.plan.senders, || Mail::Identity(identity.clone())).await?;
        let addresses = self.listen().await?;
        let kept = self.keeper.run(file, lives, &self.plan.senders);
        let means = Means {
            shard: self.shard.clone(),
            plan: self.plan.clone(),
            identity: identity.clone(),
            acquaintance: self.acquaintance.clone(),
            replies: self.replies.clone(),
            outboxes: self.outboxes.clone(),
        };
        let registered = Box::pin(self.requests.registrar().run(means, roster_file, roster));
        let served = Box::pin(self.serve_groups(Some(addresses)));
        match race(race(served, kept), registered).await {
            Either::Left(Either::Left(ended)) => ended,
            Either::Left(Either::Right(error)) => Err(NodeError::Lives(error)),
            Either::Right(error) => Err(NodeError::Roster(error)),
        }
    }

    /// Waits for news that make `condition` true.
    async fn until(&self, condition: impl Fn(&Heard) -> bool) {
        while !condition(&self.heard) {
            self.heard.news.wait().await;
        }
    }

    /// Opens both ports; the connections are spread over all shards in turn.
    async fn listen(self: &Rc<Self>) -> Result<(SocketAddr, SocketAddr), NodeError> {
        let config = &self.plan.config.listen;
        let service = self.bind(config.service).await?;
        let replicate = self.bind(config.replicate).await?;
        let addresses = (service.local_addr(), replicate.local_addr());
        self.spread(PortKind::Service, service);
        self.spread(PortKind::Replicate, replicate);
        Ok(addresses)
    }

    async fn bind(&self, address: SocketAddr) -> Result<Listener, NodeError> {
        let options = ListenOptions { reuse_port: false };
        let listener = self.shard.network().listen(address, options).await;
        listener.map_err(|error| NodeError::Listen { address, error })
    }

    fn spread(self: &Rc<Self>, kind: PortKind, listener: Listener) {
        let core = self.clone();
        let accept = async move {
            let mut next = 0;
            let place = |stream: runtime::Stream| {
                let to = ShardId(next);
                next = (next + 1) % core.plan.shards() as u16;
                if to == core.shard.id() {
                    core.ports.adopt(kind, stream);
                } else {
                    let outbox = &core.outboxes[usize::from(to.0)];
                    outbox.push(Mail::Stream(kind, stream.detach()));
                    outbox.flush();
                }
            };
            core.ports.accept(kind, listener, place).await;
        };
        drop(self.network.spawn("accept", accept));
    }

    /// Stops in the order in which nothing acknowledged, and no answer, is lost: no new requests, the
    /// groups with what they have taken, then the answers, then the mail that carried them.
    async fn stop(&self) -> Result<(), NodeError> {
        hand_over(&self.shard, self.requests.groups_here()).await;
        self.requests.close_for_clients();
        let mut result = Ok(());
        let hosted = self.requests.hosted_here();
        for Hosted { group, .. } in &hosted {
            let id = group.id();
            let stopped = group.stop().await;
            result = result.and(stopped.map_err(|error| NodeError::Group { group: id, error }));
        }
        self.replies.flush();
        // A shard that has already ended cannot be told, and need not be.
        let _ = tell_all(&self.plan.senders, || Mail::GroupsStopped(self.shard.id())).await;
        let all_stopped = self.until(|heard| heard.stopped.borrow().len() == self.plan.shards());
        if self.shard.clock().timeout(OTHERS_STOP_TIMEOUT, all_stopped).await.is_none() {
            tracing::warn!("other shards did not stop in time; their answers are lost");
        }
        hosted.iter().for_each(|hosted| hosted.fibers.cancel());
        self.links.stop().await;
        self.network.stop();
        self.connections.close_all(PortKind::Service);
        self.connections.close_all(PortKind::Replicate);
        self.network.join().await;
        self.mail.stop();
        self.mail.join().await;
        result
    }
}
