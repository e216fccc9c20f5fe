//! From a client's packet to the raft group, on this shard or on another one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kv_api::{
    ChangesRequest, KvRequest, OpenSession, OperationKind, Owner, Payload, ReadMode,
    TransactionRequest, WatchRequest, validate,
};
use moment::Moment;
use planted::{Bug, is_on};
use raft_core::{GroupId, ReadToken};
use raft_host::{Group, ReadGate, ReadLevel, Refusal};
use rpc::{Connection, Flow, Handler, TimeBudget};
use runtime::{Shard, ShardId};
use wire::{
    BizCode, Command, Packet, PortKind, ProcessId, RespCode, ResponseHead, Writer, decode_fixed32,
    encode_response,
};

use crate::admin;
use crate::caller::{Caller, Origin, is_read};
use crate::held::Held;
use crate::hosted::Hosted;
use crate::machine::KvStateMachine;
use crate::mail::{ForeignRequest, Mail, Outbox};
use crate::node::NodePlan;
use crate::places::Place;
use crate::reads::encode_read;
use crate::refusal::{refuse, refuse_read};
use crate::replies::Replies;
use crate::roster::{Order, Registrar, Roster};
use crate::status::{GroupView, encode_kv_status, encode_raft_status};
use crate::watches::WatchLinks;

/// What one shard does with requests.
pub struct Requests {
    pub(crate) shard: Shard,
    pub(crate) plan: Arc<NodePlan>,
    pub(crate) groups: RefCell<BTreeMap<GroupId, Place>>,
    pub(crate) outboxes: Rc<[Outbox]>,
    pub(crate) replies: Rc<Replies>,
    pub(crate) links: Rc<WatchLinks>,
    pub(crate) held: Held,
    pub(crate) roster: RefCell<Arc<Roster>>,
    pub(crate) registrar: Registrar,
    /// The node stops, and its groups have handed over what they led: clients have to go elsewhere.
    is_closed: Cell<bool>,
    /// Whether every group of the node has been ready once; until then clients are told to wait.
    node_ready: Cell<bool>,
}

/// A request after its body was decoded.
enum Request<'a> {
    Kv(KvRequest<'a>),
    Transaction(TransactionRequest<'a>),
    Watch(WatchRequest<'a>),
    Changes(ChangesRequest<'a>),
    OpenSession(OpenSession),
    /// Only the group's number matters.
    OfGroup(GroupId),
    /// About the nodes and groups that there are.
    Order,
}

impl Request<'_> {
    fn group(&self) -> GroupId {
        match self {
            Request::Kv(request) => GroupId(request.group_id),
            Request::Transaction(request) => GroupId(request.group_id),
            Request::Watch(request) => GroupId(request.group_id),
            Request::Changes(request) => GroupId(request.group_id),
            Request::OpenSession(request) => GroupId(request.group_id),
            Request::OfGroup(group) => *group,
            Request::Order => GroupId(0),
        }
    }
}

/// The body has the shape that the command asks for, or the connection is not worth keeping.
fn decode(command: Command, body: &[u8]) -> Option<Request<'_>> {
    match command {
        Command::RAFT_QUERY_STATUS | Command::DTKV_QUERY_STATUS => {
            decode_fixed32(body).ok().map(|group| Request::OfGroup(GroupId(group as i32)))
        }
        Command::TRANSACTION => TransactionRequest::decode(body).ok().map(Request::Transaction),
        Command::SESSION_OPEN => OpenSession::decode(body).ok().map(Request::OpenSession),
        Command::DTKV_SYNC_WATCH => WatchRequest::decode(body).ok().map(Request::Watch),
        Command::CHANGES => ChangesRequest::decode(body).ok().map(Request::Changes),
        _ if is_kv(command) => KvRequest::decode(body).ok().map(Request::Kv),
        _ if Order::is_one(command) => Order::decode(command, body).ok().map(|_| Request::Order),
        _ if admin::is_of_group(command) => admin::group_of(command, body).map(Request::OfGroup),
        _ => Some(Request::OfGroup(GroupId(0))),
    }
}

/// Whether the command's message is a [`KvRequest`].
fn is_kv(command: Command) -> bool {
    is_read(command) || OperationKind::of_command(command).is_some()
}

impl Requests {
    /// Requests of one shard, with the groups of the node's configuration.
    pub fn new(
        shard: Shard,
        plan: Arc<NodePlan>,
        outboxes: Rc<[Outbox]>,
        replies: Rc<Replies>,
        links: Rc<WatchLinks>,
    ) -> Requests {
        let roster = Arc::new(Roster::of(&plan.config));
        let requests = Requests {
            shard,
            plan,
            groups: RefCell::default(),
            outboxes,
            replies,
            links,
            held: Held::default(),
            roster: RefCell::new(roster.clone()),
            registrar: Registrar::default(),
            is_closed: Cell::new(false),
            node_ready: Cell::new(false),
        };
        requests.learn(roster);
        requests
    }

    /// From now on clients are served.
    pub fn open_for_clients(&self) {
        self.node_ready.set(true);
    }

    /// From now on clients are sent away. Not before the groups have handed over what they led: until
    /// then requests are served, or wait for the next leader.
    pub fn close_for_clients(&self) {
        self.is_closed.set(true);
    }

    /// Takes a request that came to another shard.
    pub fn foreign(self: &Rc<Self>, request: &ForeignRequest, now: Moment) {
        // The other shard has decoded the same bytes before.
        if let Some(decoded) = decode(request.caller.command, &request.body) {
            self.route(request.caller, request.process, &decoded, &request.body, now);
        }
    }

    fn route(
        self: &Rc<Self>,
        caller: Caller,
        process: ProcessId,
        request: &Request<'_>,
        body: &[u8],
        now: Moment,
    ) {
        if caller.port == PortKind::Service && !self.node_ready.get() {
            let text = "the node is starting; its groups are recovering";
            return self.replies.refuse(&caller, now, RespCode::NotInit, text);
        }
        if caller.port == PortKind::Service && self.is_closed.get() {
            return self.replies.refuse(&caller, now, RespCode::Stopping, "the node is stopping");
        }
        if let Request::Order = request {
            return self.order(caller, process, body, now);
        }
        let groups = self.groups.borrow();
        match groups.get(&request.group()) {
            Some(Place::Here(hosted)) => {
                self.execute(caller, process, hosted, request, body, now);
            }
            Some(Place::There(shard)) => self.pass_on(*shard, caller, process, body, now),
            Some(Place::Starting) => {
                let text = "the group is still recovering its log";
                self.replies.refuse(&caller, now, RespCode::RaftGroupNotInit, text);
            }
            Some(Place::Stopping(_)) => {
                let text = "the group is being removed from this node";
                self.replies.refuse(&caller, now, RespCode::RaftGroupStopped, text);
            }
            None => {
                let text = format!("this node has no raft group {}", request.group().0);
                self.replies.refuse(&caller, now, RespCode::RaftGroupNotFound, &text);
            }
        }
    }

    pub(crate) fn pass_on(
        &self,
        to: ShardId,
        caller: Caller,
        process: ProcessId,
        body: &[u8],
        now: Moment,
    ) {
        let outbox = &self.outboxes[usize::from(to.0)];
        if outbox.takes_requests() {
            let body = body.to_vec();
            outbox.push(Mail::Request(ForeignRequest { caller, process, body }));
        } else {
            refuse(&self.replies, &caller, now, Refusal::FlowControl);
        }
    }

    fn execute(
        self: &Rc<Self>,
        caller: Caller,
        process: ProcessId,
        hosted: &Hosted,
        request: &Request<'_>,
        body: &[u8],
        now: Moment,
    ) {
        let group = &hosted.group;
        match request {
            Request::Kv(request) if caller.is_read() => {
                self.read(caller, group, request, body, now);
            }
            Request::Kv(request) => self.write(caller, process, group, request, body, now),
            Request::Transaction(request) => match request.check() {
                Ok(()) => self.propose(caller, process, group, body, now),
                Err((code, text)) => self.refuse_unwritten(&caller, now, code, text),
            },
            Request::OpenSession(request) => {
                self.open_session(caller, process, group, *request, now);
            }
            Request::Watch(request) => self.sync_watch(caller, hosted, request, now),
            Request::Changes(request) => self.follow(caller, hosted, request, now),
            Request::OfGroup(_) if admin::is_of_group(caller.command) => {
                let (shard, roster, replies) = (&self.shard, self.roster(), &self.replies);
                let (own, roster) = (self.plan.config.node.id, &*roster);
                admin::Desk { shard, own, roster, replies, group }.answer(caller, body, now);
            }
            Request::Order => {}
            Request::OfGroup(id) => self.report(caller, *id, hosted, now),
        }
    }

    #[inline]
    fn write(
        self: &Rc<Self>,
        caller: Caller,
        process: ProcessId,
        group: &Group<KvStateMachine>,
        request: &KvRequest<'_>,
        body: &[u8],
        now: Moment,
    ) {
        let Some(kind) = OperationKind::of_command(caller.command) else {
            return self.not_supported(caller, now);
        };
        if let Err(refusal) = validate(kind, request) {
            return self.refuse_unwritten(&caller, now, refusal.code, &refusal.to_string());
        }
        self.propose(caller, process, group, body, now);
    }

    /// Proposes a session with this node's limits, which count on all members because they stand in
    /// the entry.
    fn open_session(
        self: &Rc<Self>,
        caller: Caller,
        process: ProcessId,
        group: &Group<KvStateMachine>,
        request: OpenSession,
        now: Moment,
    ) {
        let mut body = Vec::new();
        let limits = self.plan.config.sessions.limits();
        OpenSession { limits, ..request }.encode(&mut Writer::new(&mut body));
        self.propose(caller, process, group, &body, now);
    }

    /// Refuses a write that depends on nothing but itself; it takes no place in the log.
    pub(crate) fn refuse_unwritten(&self, caller: &Caller, now: Moment, code: BizCode, text: &str) {
        let head = ResponseHead::refusal(caller.command, caller.seq, RespCode::Success, text);
        let head = head.with_biz_code(code);
        self.replies.answer(caller, now, |out| encode_response(out, &head, |_| {}));
    }

    /// Brings a write that was checked into the log.
    #[inline]
    pub(crate) fn propose(
        self: &Rc<Self>,
        caller: Caller,
        process: ProcessId,
        group: &Group<KvStateMachine>,
        body: &[u8],
        now: Moment,
    ) {
        let Some(kind) = OperationKind::of_command(caller.command) else {
            return self.not_supported(caller, now);
        };
        if kind.starts_countdown() {
            group.advance_time();
        }
        let owner = Owner { high: process.high, low: process.low };
        let payload = Payload::new(kind, owner, body);
        let (head, head_length) = payload.head();
        let origin = Origin::Client(caller);
        match group.propose([&head[..head_length], body], origin) {
            Ok(()) => {}
            Err((_, Refusal::HandingOver { .. })) => self.hold(caller, process, group, body),
            Err((_, refusal)) => refuse(&self.replies, &caller, now, refusal),
        }
    }

    #[inline]
    fn read(
        self: &Rc<Self>,
        caller: Caller,
        group: &Group<KvStateMachine>,
        request: &KvRequest<'_>,
        body: &[u8],
        now: Moment,
    ) {
        if is_on(Bug::ReadAnywhere) {
            return self.read_now(caller, group, request, now);
        }
        match group.read(level_of(request.read_mode)) {
            ReadGate::Ready => self.read_now(caller, group, request, now),
            ReadGate::NotReady(token) => {
                self.read_later(caller, group.clone(), token, body.to_vec())
            }
            ReadGate::NotLeader { leader } => {
                let refusal = Refusal::NotLeader { leader };
                refuse_read(&self.replies, &caller, now, request.read_mode, refusal);
            }
        }
    }

    #[inline]
    fn read_now(
        &self,
        caller: Caller,
        group: &Group<KvStateMachine>,
        request: &KvRequest<'_>,
        now: Moment,
    ) {
        group.with_machine(|machine| {
            let tree = machine.tree();
            self.replies.answer(&caller, now, |out| encode_read(out, &caller, tree, request));
        });
    }

    /// Waits until the read can be answered, as long as the caller has time.
    fn read_later(
        self: &Rc<Self>,
        caller: Caller,
        group: Group<KvStateMachine>,
        token: ReadToken,
        body: Vec<u8>,
    ) {
        let requests = self.clone();
        self.shard.fibers().spawn_daemon("waiting read", async move {
            let clock = requests.shard.clock();
            let left = caller.deadline.since(clock.now());
            let Some(outcome) = clock.timeout(left, group.ready(token)).await else {
                // Nobody waits any more.
                requests.replies.drop_request(&caller);
                return requests.replies.flush();
            };
            let Ok(request) = KvRequest::decode(&body) else { return };
            match outcome {
                Ok(()) => requests.read_now(caller, &group, &request, clock.now()),
                Err(refusal) => {
                    let mode = request.read_mode;
                    refuse_read(&requests.replies, &caller, clock.now(), mode, refusal);
                }
            }
            requests.replies.flush();
        });
    }

    /// Answers what is asked about a group.
    fn report(&self, caller: Caller, id: GroupId, hosted: &Hosted, now: Moment) {
        let group = &hosted.group;
        let status = GroupView {
            id,
            status: group.status(),
            snapshots: group.snapshots(),
            time_ms: group.time_ms(),
            is_drained: self.roster().is_drained(),
            zone: self.plan.config.node.zone.clone(),
            since_last_apply: now.since(group.with_machine(|machine| machine.last_apply())),
        };
        match caller.command {
            Command::RAFT_QUERY_STATUS => {
                self.replies.answer(&caller, now, |out| encode_raft_status(out, &caller, &status));
            }
            Command::DTKV_QUERY_STATUS => {
                let watches = hosted.watches.count_and_touch(caller.client(), now);
                let encode = |out: &mut Vec<u8>| encode_kv_status(out, &caller, &status, watches);
                self.replies.answer(&caller, now, encode);
            }
            _ => self.not_supported(caller, now),
        }
    }

    fn not_supported(&self, caller: Caller, now: Moment) {
        let text = format!("command {} not support", caller.command.0);
        self.replies.refuse(&caller, now, RespCode::CommandNotSupport, &text);
    }
}

fn level_of(mode: ReadMode) -> ReadLevel {
    match mode {
        ReadMode::Leader => ReadLevel::Leader,
        ReadMode::Linearizable => ReadLevel::Anywhere,
        ReadMode::Stale(Some(age)) => ReadLevel::Within(age),
        ReadMode::Stale(None) => ReadLevel::AnyAge,
    }
}

/// Takes the requests of this shard's connections.
pub struct RequestHandler(pub Rc<Requests>);

impl Handler for RequestHandler {
    #[inline]
    fn request(
        &self,
        connection: &Rc<Connection>,
        packet: &Packet<'_>,
        budget: TimeBudget,
    ) -> Flow {
        let requests = &self.0;
        let body = packet.body_bytes();
        let Some(request) = decode(packet.command, body) else {
            return Flow::Close;
        };
        let caller = Caller {
            shard: requests.shard.id(),
            port: connection.port(),
            connection: connection.id(),
            command: packet.command,
            seq: packet.seq,
            deadline: budget.deadline,
        };
        if caller.is_read() {
            connection.owe_answer();
        }
        if let Request::Watch(_) | Request::Changes(_) = &request {
            requests.open_link(connection.id(), request.group());
        }
        requests.route(caller, connection.process(), &request, body, budget.now);
        Flow::Continue
    }

    fn response(&self, connection: &Rc<Connection>, packet: &Packet<'_>) {
        if packet.command == Command::DTKV_WATCH_NOTIFY_PUSH {
            self.0.notify_answer(connection, packet);
        }
    }

    fn batch_end(&self, _connection: &Rc<Connection>) {
        self.0.replies.flush();
    }

    fn closed(&self, connection: &Rc<Connection>) {
        self.0.close_links(connection.id());
    }
}
