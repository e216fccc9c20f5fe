//! What lives on one core: groups, connections, and the mail of the other shards.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use planted::{Bug, is_on};
use raft_core::{GroupId, NodeId, Standing};
use raft_host::Group;
use rpc::Connections;
use runtime::{
    Either, FiberGroup, ListenOptions, Listener, MailReceiver, Shard, ShardId, Signal, race,
};
use wire::PortKind;

use crate::config;
use crate::group_options::group_options;
use crate::handover::hand_over;
use crate::hosted::{Hosted, Surroundings};
use crate::identity::{self, Identity};
use crate::locks;
use crate::machine::KvStateMachine;
use crate::mail::{Mail, Outbox, tell_all};
use crate::node::{NodeError, NodePlan, Ready};
use crate::peers::{
    Acquaintance, Candidacy, GroupOutbox, Keeper, Links, LivesFile, NodeHandler, Probations, Wish,
};
use crate::ports::Ports;
use crate::replies::Replies;
use crate::requests::{Place, RequestHandler, Requests};
use crate::watches::WatchLinks;

/// The shard that accepts connections and owns the node's files outside the groups.
const FIRST: ShardId = ShardId(0);

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
    /// What keeps the links up; stops after the groups.
    link_fibers: FiberGroup,
    nodes: Rc<NodeHandler>,
    keeper: Rc<Keeper>,
    ports: Ports,
    heard: Heard,
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
        let places = places(&plan, shard.id());
        let links = Rc::new(WatchLinks::new(connections.clone()));
        let (boxes, answers) = (outboxes.clone(), replies.clone());
        let (own, known) = (shard.clone(), plan.clone());
        let requests = Rc::new(Requests::new(own, known, places, boxes, answers, links));
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
            link_fibers: FiberGroup::new(&shard, "links"),
            mail: FiberGroup::new(&shard, "mail"),
            keeper: Rc::default(),
            heard: Heard::default(),
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
            return self.serve_groups(None).await;
        }
        let config = &self.plan.config.node;
        let identity = identity::open_or_create(&self.shard, &config.cluster, config.id).await;
        let identity = Arc::new(identity.map_err(|error| self.plan.identity_error(error))?);
        let lives = LivesFile::open_or_create(&self.shard, &identity).await;
        let (file, lives) = lives.map_err(|error| self.plan.lives_error(error))?;
        let known = Arc::new(lives.clone());
        tell_all(&self.plan.senders, || Mail::Lives(known.clone())).await?;
        tell_all(&self.plan.senders, || Mail::Identity(identity.clone())).await?;
        let addresses = self.listen().await?;
        let kept = self.keeper.run(file, lives, &self.plan.senders);
        match race(self.serve_groups(Some(addresses)), kept).await {
            Either::Left(ended) => ended,
            Either::Right(error) => Err(NodeError::Lives(error)),
        }
    }

    async fn serve_groups(
        self: &Rc<Self>,
        addresses: Option<(SocketAddr, SocketAddr)>,
    ) -> Result<Never, NodeError> {
        let groups = self.open_groups().await?;
        if !groups.is_empty() {
            self.links.start(&self.link_fibers);
        }
        // Each group says for itself whether it serves: one without a leader holds up no other.
        self.requests.open_for_clients();
        for (id, group) in &groups {
            let serving = group.serving().await;
            serving.map_err(|error| NodeError::Group { group: *id, error })?;
        }
        tell_all(&self.plan.senders, || Mail::GroupsReady(self.shard.id())).await?;
        self.until(|heard| heard.ready.borrow().len() == self.plan.shards()).await;
        if let Some((service, replicate)) = addresses {
            (self.plan.on_ready)(Ready { service, replicate });
        }
        Err(first_failure(groups).await)
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

    /// Recovers the groups of this shard, one after the other: each uses the whole disk.
    async fn open_groups(&self) -> Result<Vec<(GroupId, Group<KvStateMachine>)>, NodeError> {
        let identity = loop {
            match self.acquaintance.own() {
                Some(identity) => break identity,
                None => self.heard.news.wait().await,
            }
        };
        let mut opened = Vec::new();
        for config in &self.plan.config.groups {
            if self.plan.shard_of(config) != self.shard.id() {
                continue;
            }
            let group = self.open_group(config, &identity).await?;
            opened.push((group.id(), group));
        }
        Ok(opened)
    }

    async fn open_group(
        &self,
        config: &config::Group,
        identity: &Identity,
    ) -> Result<Group<KvStateMachine>, NodeError> {
        let id = GroupId(config.id);
        let is_trusted = self.acquaintance.lives().is_trusted(config.id);
        let seed = self.shard.random().next_u64();
        let mut machine =
            KvStateMachine::new(seed, self.replies.clone(), self.shard.clock().clone());
        if let Some(witness) = &self.plan.witness {
            machine = machine.with_witness(id, witness.clone());
        }
        let mut options = group_options(&self.plan.config, config, identity, seed);
        let exists = self.shard.storage().exists(&options.hard_state_path()).await;
        if is_trusted && !exists.map_err(|error| self.plan.lives_error(error.into()))? {
            return Err(NodeError::GroupGone { group: id, dir: options.dir });
        }
        // A node that decides alone has nobody to ask, and nobody whom it could mislead.
        let is_alone = config.members == [identity.node];
        if !is_trusted && !is_alone && !is_on(Bug::NewDiskTrusted) {
            options.standing = Standing::Withheld;
        }
        let group = Group::open(&self.shard, options, machine).await;
        let group = group.map_err(|error| NodeError::Group { group: id, error })?;
        if let Some(witness) = &self.plan.witness {
            witness.opened(&group);
        }
        group.connect(Rc::new(GroupOutbox::new(self.links.clone(), id)));
        self.requests.add_group(id, Hosted::start(group.clone(), &self.surroundings()));
        if is_alone && !is_trusted {
            self.acquaintance.wish(Wish::Trust { group: config.id });
        } else if !is_trusted {
            let candidacy = Candidacy {
                shard: self.shard.clone(),
                links: self.links.clone(),
                acquaintance: self.acquaintance.clone(),
                probations: self.probations.clone(),
                group: group.clone(),
            };
            self.link_fibers.spawn_daemon("probation", candidacy.begin());
        }
        Ok(group)
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            shard: self.shard.clone(),
            connections: self.connections.clone(),
            links: self.requests.links.clone(),
            replies: self.replies.clone(),
            outboxes: self.outboxes.clone(),
            watch: self.plan.config.watch.clone(),
        }
    }

    /// Stops in the order in which nothing acknowledged, and no answer, is lost: no new requests, the
    /// groups with what they have taken, then the answers, then the mail that carried them.
    async fn stop(&self) -> Result<(), NodeError> {
        hand_over(&self.shard, self.requests.groups_here()).await;
        self.requests.close_for_clients();
        let mut result = Ok(());
        for group in self.requests.groups_here() {
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
        self.link_fibers.stop();
        self.link_fibers.join().await;
        self.network.stop();
        self.connections.close_all(PortKind::Service);
        self.connections.close_all(PortKind::Replicate);
        self.network.join().await;
        self.mail.stop();
        self.mail.join().await;
        result
    }
}

/// Where each of the node's groups lives, seen from one shard.
fn places(plan: &NodePlan, own: ShardId) -> BTreeMap<GroupId, Place> {
    let place = |group| match plan.shard_of(group) {
        shard if shard == own => Place::Starting,
        shard => Place::There(shard),
    };
    plan.config.groups.iter().map(|group| (GroupId(group.id), place(group))).collect()
}

/// Waits until one of the groups fails.
async fn first_failure(groups: Vec<(GroupId, Group<KvStateMachine>)>) -> NodeError {
    let mut waits: Vec<_> =
        groups.iter().map(|(id, group)| (*id, Box::pin(group.failed()))).collect();
    core::future::poll_fn(|context| {
        for (group, wait) in &mut waits {
            if let core::task::Poll::Ready(error) = wait.as_mut().poll(context) {
                return core::task::Poll::Ready(NodeError::Group { group: *group, error });
            }
        }
        core::task::Poll::Pending
    })
    .await
}
