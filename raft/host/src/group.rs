//! A group: what its owner can ask of it.

use std::rc::Rc;
use std::time::Duration;

use raft_core::{GroupId, Index, Message, NodeId, ReadAnswer, ReadToken, RoleName, Status, Term};

use crate::error::GroupError;
use crate::execute::{Life, Shared};
use crate::ports::{Outbox, Refusal, StateMachine};
use crate::received;
use crate::snapshot::save::SaveFailed;
use crate::snapshot::status::{SnapshotStatus, StoredSnapshot};
use crate::snapshot::transfer::SnapshotMessage;

/// A handle to an open group; clones are the same group. All of it stays on one shard.
pub struct Group<M: StateMachine>(pub(crate) Rc<Shared<M>>);

impl<M: StateMachine> Clone for Group<M> {
    fn clone(&self) -> Group<M> {
        Group(Rc::clone(&self.0))
    }
}

/// What a read must see, and who may answer it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadLevel {
    /// Everything that was acknowledged before; only the leader answers.
    Leader,
    /// The same, on any node that has a leader: a follower asks it how far it must have applied.
    Anywhere,
    /// Everything that was acknowledged longer ago than this, on any node.
    Within(Duration),
    /// Whatever this node has.
    AnyAge,
}

/// Whether the state machine may be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadGate {
    /// Now.
    Ready,
    /// After [`Group::ready`].
    NotReady(ReadToken),
    /// Not on this node.
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
}

/// The state of a group as its node sees it.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Consensus.
    pub raft: Status,
    /// Why the group has failed, if it has.
    pub failure: Option<GroupError>,
    /// Entries accepted and not yet applied.
    pub pending: u64,
    /// Whether the last attempt to prepare log space failed.
    pub lacks_space: bool,
}

impl<M: StateMachine> Group<M> {
    /// The group's id.
    pub fn id(&self) -> GroupId {
        self.0.options.identity.group
    }

    /// Puts a command into the log: the concatenation of `parts`. The answer comes through the
    /// state machine, with [`StateMachine::apply`] or [`StateMachine::refuse`].
    ///
    /// # Errors
    /// The caller, and why nothing was proposed.
    #[inline]
    pub fn propose(
        &self,
        parts: [&[u8]; 2],
        caller: M::Caller,
    ) -> Result<(), (M::Caller, Refusal)> {
        let shared = &*self.0;
        if !shared.accepts.get() {
            return Err((caller, shared.why_not()));
        }
        let mut core = shared.core.borrow_mut();
        let spares = shared.spares.is_in_trouble().then(|| shared.spares.ready());
        match core.propose(parts, || shared.time(), spares) {
            Ok(index) => core.proposals.push(index, caller),
            Err(refusal) => return Err((caller, refusal)),
        }
        drop(core);
        shared.write_work.set();
        if shared.replicates.get() {
            shared.send_work.set();
        }
        Ok(())
    }

    /// Lets the entries proposed from here on carry a time that is not before now. Without it they
    /// may carry the time at which their batch began, which is early for what counts time from its
    /// entry.
    pub fn advance_time(&self) {
        let (now, wall) = self.0.time();
        self.0.core.borrow_mut().clock.advance(now, wall);
    }

    /// The time now on the clock of the entries, as this node would give it to an entry.
    pub fn time_ms(&self) -> u64 {
        let (now, wall) = self.0.time();
        self.0.core.borrow().clock.now_ms(now, wall)
    }

    /// Whether a read that begins now sees all that it must see. No entry is written for it.
    #[inline]
    pub fn read(&self, level: ReadLevel) -> ReadGate {
        let now = self.0.shard.clock().now();
        let answer = {
            let raft = &mut self.0.core.borrow_mut().raft;
            match level {
                ReadLevel::Leader => raft.read(now),
                ReadLevel::Anywhere => raft.read_here(now),
                ReadLevel::Within(age) => raft.read_within(age, now),
                ReadLevel::AnyAge => ReadAnswer::Now,
            }
        };
        match answer {
            ReadAnswer::Now => ReadGate::Ready,
            ReadAnswer::NotLeader { leader } => ReadGate::NotLeader { leader },
            ReadAnswer::Wait(token) => {
                self.0.drain(&[]);
                ReadGate::NotReady(token)
            }
        }
    }

    /// Whether nobody else can have been elected by now. To be asked just before the answer to a read
    /// leaves that was [`ReadGate::Ready`] some time ago; when it does not hold, the read begins anew.
    pub fn lease_holds(&self) -> bool {
        let now = self.0.shard.clock().now();
        self.0.core.borrow().raft.lease_holds(now)
    }

    /// Whether a read of [`ReadLevel::Leader`] that began now would be [`ReadGate::Ready`]. Nothing
    /// changes: for those who look on.
    pub fn reads_at_once(&self) -> bool {
        let now = self.0.shard.clock().now();
        self.0.core.borrow().raft.reads_at_once(now)
    }

    /// The term of an entry that the log still has.
    pub fn term_of(&self, index: Index) -> Option<Term> {
        self.0.core.borrow().raft.term_of(index)
    }

    /// Waits until the reads of `token` can be answered.
    ///
    /// # Errors
    /// When they cannot be answered here: nothing was read.
    pub async fn ready(&self, token: ReadToken) -> Result<(), Refusal> {
        loop {
            let reads = self.0.core.borrow().reads;
            if reads.ready.is_some_and(|ready| ready >= token) {
                return Ok(());
            }
            if matches!(*self.0.life.borrow(), Life::Closing | Life::Failed(_)) {
                return Err(self.0.why_not());
            }
            if reads.refused.is_some_and(|refused| refused >= token) {
                let leader = self.0.core.borrow().raft.leader();
                return Err(Refusal::NotLeader { leader });
            }
            self.0.changed.wait().await;
        }
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.0.core.borrow().raft.leader()
    }

    /// Waits until this node serves the group: as a leader that has applied an entry of its term, or
    /// as a follower of such a leader. Nothing is to be waited for while it is no member.
    ///
    /// # Errors
    /// When the group fails or stops before.
    pub async fn serving(&self) -> Result<(), GroupError> {
        loop {
            match &*self.0.life.borrow() {
                Life::Failed(error) => return Err(error.clone()),
                Life::Closing => return Err(GroupError::Stopped),
                Life::Running | Life::Stopping => {}
            }
            let status = self.0.core.borrow().raft.status();
            if status.ready || status.role == RoleName::Stranger {
                return Ok(());
            }
            self.0.changed.wait().await;
        }
    }

    /// Looks at the state machine, or changes what no entry depends on: watchers, counters.
    ///
    /// # Panics
    /// When called from inside the state machine.
    pub fn with_machine<R>(&self, look: impl FnOnce(&mut M) -> R) -> R {
        look(&mut self.0.machine.borrow_mut())
    }

    /// Gives the group its links to the other members; a group of one needs none.
    pub fn connect(&self, outbox: Rc<dyn Outbox>) {
        *self.0.outbox.borrow_mut() = Some(outbox);
        self.0.send_work.set();
    }

    /// Takes a message of another member with the records that came behind it. Damaged or
    /// contradicting ones are dropped, as if the network had lost them.
    pub fn step(&self, from: NodeId, message: Message, records: &[u8]) {
        if matches!(*self.0.life.borrow(), Life::Closing | Life::Failed(_))
            || received::check(self.0.seed, &message, records).is_err()
        {
            return;
        }
        self.0.core.borrow_mut().raft.step(from, message, self.0.shard.clock().now());
        self.0.drain(records);
    }

    /// Takes what another member's host says of a snapshot on its way.
    pub fn snapshot_message(&self, from: NodeId, message: &SnapshotMessage<'_>) {
        let snapshots = &self.0.snapshots;
        match message {
            SnapshotMessage::Chunk(chunk) => snapshots.receiving.came(from, chunk),
            SnapshotMessage::Reply(reply) => {
                snapshots.sending.asked(from, reply, self.0.shard.clock().now());
            }
        }
    }

    /// The link to a member broke.
    pub fn unreachable(&self, node: NodeId) {
        self.0.core.borrow_mut().raft.unreachable(node);
        self.0.drain(&[]);
        self.0.tick_work.set();
    }

    /// Saves a snapshot of all that is applied, unless the newest one has it.
    ///
    /// # Errors
    /// Why there is none. The group goes on.
    pub async fn save_snapshot(&self) -> Result<StoredSnapshot, SaveFailed> {
        let answer = self.0.snapshots.request();
        answer.await.unwrap_or(Err(SaveFailed::Stopped))
    }

    /// The snapshots of the group on this node.
    pub fn snapshots(&self) -> SnapshotStatus {
        self.0.snapshots.status()
    }

    /// The state of the group.
    pub fn status(&self) -> GroupStatus {
        let core = self.0.core.borrow();
        GroupStatus {
            raft: core.raft.status(),
            failure: self.0.failure(),
            pending: core.tail.unapplied(),
            lacks_space: self.0.spares.is_in_trouble(),
        }
    }

    /// Waits until the group fails, and says why.
    pub async fn failed(&self) -> GroupError {
        loop {
            if let Some(error) = self.0.failure() {
                return error;
            }
            self.0.life_changed.wait().await;
        }
    }

    /// Stops accepting, answers what was accepted as far as that goes without other members, and
    /// closes the files with everything durable. Callers left over get an unknown outcome.
    ///
    /// # Errors
    /// Why the group failed, before or during the stop.
    pub async fn stop(&self) -> Result<(), GroupError> {
        let shared = &self.0;
        shared.begin_life(Life::Stopping);
        while *shared.life.borrow() == Life::Stopping && shared.has_accepted_work() {
            shared.changed.wait().await;
        }
        if shared.options.snapshots.at_stop && *shared.life.borrow() == Life::Stopping {
            // What fails is said where it fails; the log has everything.
            let _ = self.save_snapshot().await;
        }
        shared.begin_life(Life::Closing);
        shared.refuse_behind(Index::ZERO, Refusal::OutcomeUnknown);
        shared.fibers.stop();
        shared.fibers.join().await;
        shared.failure().map_or(Ok(()), Err)
    }
}
