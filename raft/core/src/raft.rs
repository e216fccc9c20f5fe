//! The doors of the core: inputs, the one output, and questions that change nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use moment::Moment;

use crate::answers::{
    FollowerStatus, LogAfterInstall, ProposeRefused, Proposed, Sendable, Status, TransferRefused,
};
use crate::candidate::Campaign;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::membership::{Change, ChangeRefused, ConfigEntry};
use crate::message::{Body, Message};
use crate::node::Node;
use crate::options::{OlderLog, RaftOptions, RestoreError, Restored, Standing};
use crate::output::{Output, ReadAnswer, RoleChange, RoleName};
use crate::types::{HardState, Index, NodeId, Position, Term};

/// One group on one node.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) node: Node,
    pub(crate) role: Role,
    /// What the host was last told of the role.
    told: RoleChange,
}

/// What a node is in its term.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Follows, observes, or belongs to nothing.
    Follower(Follower),
    /// Asks for a term or stands in one.
    Candidate(Campaign),
    /// Leads.
    Leader(Box<Leader>),
}

impl Raft {
    /// Starts from durable state. A group whose only voter is this node elects itself at once: the
    /// first output already holds the hard state of its new term.
    ///
    /// # Errors
    /// When the durable state or the settings contradict themselves.
    pub fn new(
        options: RaftOptions,
        restored: Restored,
        now: Moment,
    ) -> Result<Raft, RestoreError> {
        let mut node = Node::restore(options, &restored, now)?;
        let follower = match node.term() {
            Term(0) => Follower::soon_to_ask(&mut node),
            _ => Follower::new(&mut node, None),
        };
        let role = Role::Follower(follower);
        let told = RoleChange { role: RoleName::Stranger, term: Term(0), leader: None };
        let mut raft = Raft { node, role, told };
        if raft.node.decides_alone() && raft.node.may_campaign() {
            raft.campaign();
        }
        Ok(raft)
    }

    /// Gives `count` entries their place in the log. The core must be drained, and the host appends
    /// exactly these entries at exactly these indexes before anything else.
    ///
    /// # Errors
    /// When this node does not lead, or is handing over. Nothing has happened then.
    #[inline]
    pub fn propose(&mut self, count: u64) -> Result<Proposed, ProposeRefused> {
        let Role::Leader(leader) = &self.role else {
            return Err(ProposeRefused::NotLeader { leader: self.leader() });
        };
        if let Some(transfer) = &leader.transfer {
            return Err(ProposeRefused::HandingOver { to: transfer.target });
        }
        let node = &mut self.node;
        assert!(node.out.own_entries.is_empty(), "entries the core owes come before new ones");
        let term = node.term();
        let first = node.log.append(count, term);
        node.out.replicate |= !leader.progress.is_empty();
        Ok(Proposed { term, first })
    }

    /// Takes a message of another node. A message that breaks the protocol is dropped.
    pub fn step(&mut self, from: NodeId, message: Message, now: Moment) {
        self.observe(now);
        self.receive(from, message);
    }

    /// Does what time alone brings about. Late calls are harmless, early ones too.
    pub fn tick(&mut self, now: Moment) {
        self.observe(now);
        match &mut self.role {
            Role::Leader(leader) => {
                if !leader.tick(&mut self.node) {
                    self.follow(self.node.term(), None);
                }
            }
            Role::Candidate(campaign) => {
                let is_over = self.node.now >= campaign.deadline();
                if is_over && campaign.is_real() && !self.node.promise_is_durable() {
                    // Nobody was asked yet. A disk that is too slow for one term is too slow for
                    // each next one, and would never elect anybody.
                    campaign.wait_again(&mut self.node);
                } else if is_over {
                    self.wait_or_campaign();
                }
            }
            Role::Follower(follower) => {
                if follower.tick(&mut self.node) {
                    self.wait_or_campaign();
                }
            }
        }
    }

    /// When [`Raft::tick`] is needed next.
    pub fn next_deadline(&self) -> Moment {
        match &self.role {
            Role::Leader(leader) => leader.deadline(&self.node),
            Role::Candidate(campaign) => campaign.deadline(),
            Role::Follower(follower) => follower.deadline(),
        }
    }

    /// The log is durable up to the entry `last` whose term is `term_of_last`. A report about an
    /// entry that has been cut off since is ignored.
    pub fn persisted(&mut self, last: Index, term_of_last: Term) {
        if !self.node.log.persisted(last, term_of_last) {
            return;
        }
        match &mut self.role {
            Role::Leader(leader) => {
                leader.count_copies(&mut self.node);
                leader.advance_transfer(&mut self.node);
            }
            Role::Follower(follower) => follower.persisted(&mut self.node),
            Role::Candidate(_) => {}
        }
    }

    /// This hard state is durable.
    pub fn hard_state_persisted(&mut self, hard_state: HardState, now: Moment) {
        self.observe(now);
        if self.node.hard_state_persisted(hard_state)
            && let Role::Candidate(campaign) = &mut self.role
            && campaign.is_real()
        {
            let tally = campaign.vote_persisted(&self.node);
            self.count_votes(tally);
        }
    }

    /// The state machine has applied everything up to `index`.
    pub fn applied(&mut self, index: Index) {
        self.node.applied_to(index);
    }

    /// The log's entries up to `index` (applied, and covered by a durable snapshot) are dropped.
    pub fn compacted(&mut self, index: Index) {
        assert!(index <= self.node.applied(), "only what is applied is dropped");
        self.node.log.compact(index);
        if let Role::Leader(leader) = &mut self.role {
            leader.compacted(&mut self.node);
        }
    }

    /// May a read that begins now be served here? Only a leader says yes.
    pub fn read(&mut self, now: Moment) -> ReadAnswer {
        self.observe(now);
        match &mut self.role {
            Role::Leader(leader) => leader.read(&mut self.node),
            _ => ReadAnswer::NotLeader { leader: self.leader() },
        }
    }

    /// Like [`Raft::read`], but a follower asks its leader how far it must have applied.
    pub fn read_here(&mut self, now: Moment) -> ReadAnswer {
        match self.read(now) {
            ReadAnswer::NotLeader { leader: Some(_) } => ReadAnswer::Wait(self.node.reads.join()),
            answer => answer,
        }
    }

    /// Like [`Raft::read_here`], but the read need not see what was acknowledged less than `age` ago.
    pub fn read_within(&mut self, age: Duration, now: Moment) -> ReadAnswer {
        if self.node.reads.is_current_within(age, now) {
            return ReadAnswer::Now;
        }
        self.read_here(now)
    }

    /// Whether nobody else can have been elected by `now`. To be asked with a fresh time just before
    /// the answer to a read that was given [`ReadAnswer::Now`] leaves; when it does not hold, the
    /// read begins anew.
    pub fn lease_holds(&self, now: Moment) -> bool {
        match &self.role {
            Role::Leader(leader) => leader.lease_holds(&self.node, now),
            _ => false,
        }
    }

    /// Whether [`Raft::read`] would be [`ReadAnswer::Now`]; for those who look on.
    pub fn reads_at_once(&self, now: Moment) -> bool {
        self.as_leader().is_some_and(|leader| leader.reads_at_once(&self.node, now))
    }

    /// The nodes this leader replicates to; empty on other nodes.
    pub fn followers(&self) -> impl Iterator<Item = NodeId> {
        self.as_leader().into_iter().flat_map(|leader| leader.progress.iter().map(|p| p.id))
    }

    /// Which entries may be sent to a follower now.
    pub fn sendable(&self, to: NodeId) -> Option<Sendable> {
        self.as_leader()?.sendable(&self.node, to)
    }

    /// The host has the records `first ..= last` of a [`Sendable`] at hand, `bytes` in all, and
    /// sends them behind the message returned. `None` when they are not wanted any more.
    pub fn send_entries(
        &mut self,
        to: NodeId,
        first: Index,
        last: Index,
        bytes: u64,
    ) -> Option<Message> {
        let Role::Leader(leader) = &mut self.role else { return None };
        let append = leader.send_entries(&mut self.node, to, (first, last), bytes)?;
        Some(Message { term: self.node.term(), body: Body::Append(append) })
    }

    /// The link to a node broke: what was on its way there may be lost. A transfer to it ends with
    /// the next tick, and a follower that loses its leader asks for an election as early as it may.
    pub fn unreachable(&mut self, id: NodeId) {
        match &mut self.role {
            Role::Leader(leader) => {
                if let Some(progress) = leader.progress_of(id) {
                    progress.lost_contact();
                    leader.lost_successor(&self.node, id);
                }
            }
            Role::Follower(follower) => follower.lost_contact(&mut self.node, id),
            Role::Candidate(_) => {}
        }
    }

    /// A node is back with a newer incarnation: what it acknowledged before is proven anew.
    pub fn peer_restarted(&mut self, id: NodeId, now: Moment) {
        self.observe(now);
        if let Role::Leader(leader) = &mut self.role
            && let Some(progress) = leader.progress_of(id)
        {
            progress.restarted();
            leader.probe_at_once(&mut self.node, id);
            leader.count_answers(&mut self.node);
        }
    }

    /// The host has found entries in front of the log, up to its boundary: nodes that need them need
    /// no snapshot. Says whether they fit to the log, which is what it was otherwise.
    pub fn log_found(&mut self, older: OlderLog) -> bool {
        let fits = self.node.log.extend_back(older);
        if let Role::Leader(leader) = &mut self.role {
            leader.log_found(&mut self.node);
        }
        fits
    }

    /// The leader's host has a durable snapshot for a follower in [`Output::snapshots`]. `false`
    /// when it is not wanted any more.
    pub fn offer_snapshot(&mut self, to: NodeId, boundary: Position) -> bool {
        match &mut self.role {
            Role::Leader(leader) => leader.offer_snapshot(&mut self.node, to, boundary),
            _ => false,
        }
    }

    /// Streaming a snapshot to a node has ended, well or not. What it lacks then is found out.
    pub fn snapshot_ended(&mut self, to: NodeId) {
        if let Role::Leader(leader) = &mut self.role {
            leader.snapshot_ended(&mut self.node, to);
        }
    }

    /// A wanted snapshot has arrived whole. Says what becomes of the log; until
    /// [`Raft::finish_install`] or [`Raft::abort_install`] no entries are accepted and nothing is
    /// to be applied. `None` when the log has caught up meanwhile: drop the snapshot.
    pub fn begin_install(&mut self, boundary: Position) -> Option<LogAfterInstall> {
        let is_needed = boundary.index > self.node.commit() || boundary.index > self.node.applied();
        if !is_needed || self.node.installing.is_some() || self.as_leader().is_some() {
            return None;
        }
        if let Role::Candidate(_) = self.role {
            self.follow(self.node.term(), None);
        }
        self.node.installing = Some(boundary);
        match self.node.log.holds(boundary) {
            true => Some(LogAfterInstall::KeepTail),
            false => Some(LogAfterInstall::Reset),
        }
    }

    /// The snapshot is durable, the log cut as told, and the state machine loaded. `config` is the
    /// membership at the boundary.
    pub fn finish_install(&mut self, boundary: Position, config: ConfigEntry) {
        let begun = self.node.installing.take();
        assert!(begun == Some(boundary), "the snapshot that was begun is the one that is finished");
        assert!(config.index <= boundary.index, "a snapshot's membership is covered by it");
        self.node.log.install(boundary, config);
        self.node.installed(boundary);
        if let Role::Follower(follower) = &mut self.role {
            follower.answer_offer(&mut self.node, boundary, true);
        }
    }

    /// The wanted snapshot did not arrive or could not be put in place.
    pub fn abort_install(&mut self, boundary: Position) {
        self.node.installing = None;
        if let Role::Follower(follower) = &mut self.role {
            follower.answer_offer(&mut self.node, boundary, false);
        }
    }

    /// Hands leadership over. Proposals are refused until [`Output::transfer`] tells the end.
    ///
    /// # Errors
    /// When this node does not lead, the target cannot, or a transfer is under way.
    pub fn transfer(
        &mut self,
        target: NodeId,
        limit: Duration,
        now: Moment,
    ) -> Result<(), TransferRefused> {
        self.observe(now);
        match &mut self.role {
            Role::Leader(leader) => leader.begin_transfer(&mut self.node, target, limit),
            _ => Err(TransferRefused::NotLeader { leader: self.leader() }),
        }
    }

    /// Changes the membership. [`Output::change`] tells the index of the entry. A change to prepare
    /// waits up to `limit` for its newcomers.
    ///
    /// # Errors
    /// When it cannot be done now or at all; nothing has happened then.
    pub fn change(
        &mut self,
        change: Change,
        limit: Duration,
        now: Moment,
    ) -> Result<(), ChangeRefused> {
        self.observe(now);
        match &mut self.role {
            Role::Leader(leader) => leader.begin_change(&mut self.node, change, limit),
            _ => Err(ChangeRefused::NotLeader { leader: self.leader() }),
        }
    }

    /// Gives this node its vote, or takes it away. A leader whose vote is taken steps down; a node
    /// without a leader that is given its vote soon asks whether it could win.
    pub fn set_standing(&mut self, standing: Standing, now: Moment) {
        self.observe(now);
        let is_given = standing == Standing::Full && self.node.standing == Standing::Withheld;
        self.node.standing = standing;
        if is_given && self.leader().is_none() {
            self.role = Role::Follower(Follower::soon_to_ask(&mut self.node));
        }
        if standing == Standing::Withheld && !matches!(self.role, Role::Follower(_)) {
            self.follow(self.node.term(), None);
        }
    }

    /// Sets how much this node wants to lead; see [`RaftOptions::priority`]. A leader asks at once
    /// whether somebody wants to more.
    pub fn set_priority(&mut self, priority: u8, now: Moment) {
        self.observe(now);
        let is_lower = priority < self.node.options.priority;
        self.node.options.priority = priority;
        if is_lower && let Role::Leader(leader) = &mut self.role {
            leader.takeover_from = self.node.now;
            leader.begin_round(&mut self.node);
        }
    }

    /// Everything owed since the last call, to be carried out in the order of the fields. Costs
    /// nothing when nothing is owed.
    pub fn output(&mut self) -> Output {
        match &mut self.role {
            Role::Leader(leader) => {
                if !leader.finish_input(&mut self.node) {
                    self.follow(self.node.term(), None);
                }
            }
            Role::Follower(follower) => follower.ask_about_reads(&mut self.node),
            Role::Candidate(_) => {}
        }
        let told =
            RoleChange { role: self.role_name(), term: self.node.term(), leader: self.leader() };
        if told != self.told {
            self.told = told;
            self.node.out.role = Some(told);
        }
        self.node.take_output()
    }

    /// The state of the group as this node sees it.
    pub fn status(&self) -> Status {
        let node = &self.node;
        let leader = self.as_leader();
        let entry = node.log.config();
        let of_this_term = node.log.term(node.applied()) == Some(node.term());
        let followers = leader.into_iter().flat_map(|leader| &leader.progress);
        Status {
            id: node.id(),
            role: self.role_name(),
            term: node.term(),
            vote: node.vote(),
            durable_hard_state: node.durable_hard_state(),
            leader: self.leader(),
            boundary: node.log.boundary(),
            last: node.log.last(),
            durable: node.log.durable(),
            commit: node.commit(),
            commit_term: node.log.term(node.commit()),
            applied: node.applied(),
            ready: self.leader().is_some() && of_this_term,
            config: entry.config.clone(),
            config_index: entry.index,
            transfer_to: leader.and_then(|leader| leader.transfer.as_ref()).map(|t| t.target),
            followers: followers
                .map(|progress| FollowerStatus {
                    id: progress.id,
                    matched: progress.matched,
                    next: progress.next,
                    needs_snapshot: progress.needs_snapshot(),
                    heard: progress.heard,
                    priority: progress.priority,
                })
                .collect::<Vec<FollowerStatus>>(),
        }
    }

    /// The term in which this node leads.
    pub fn leads(&self) -> Option<Term> {
        self.as_leader().map(|_| self.node.term())
    }

    /// Whom this node takes for the leader.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(_) => Some(self.node.id()),
            Role::Follower(follower) => follower.leader,
            Role::Candidate(_) => None,
        }
    }

    /// The term of an entry that the log still has.
    pub fn term_of(&self, index: Index) -> Option<Term> {
        self.node.log.term(index)
    }

    fn as_leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        }
    }

    fn role_name(&self) -> RoleName {
        let config = &self.node.log.config().config;
        match &self.role {
            Role::Leader(_) => RoleName::Leader,
            Role::Candidate(campaign) if campaign.is_real() => RoleName::Candidate,
            Role::Candidate(_) => RoleName::PreCandidate,
            Role::Follower(_) if config.votes(self.node.id()) => RoleName::Follower,
            Role::Follower(_) if config.contains(self.node.id()) => RoleName::Observer,
            Role::Follower(_) => RoleName::Stranger,
        }
    }

    /// Takes note of the time. A gap that the host did not tell of is a pause, after which a lease
    /// from before it counts for nothing.
    fn observe(&mut self, now: Moment) {
        let paused = now.since(self.node.now) > self.node.options.heartbeat_interval * 2;
        if paused && let Role::Leader(leader) = &mut self.role {
            leader.drop_lease();
        }
        self.node.now = self.node.now.max(now);
    }
}
