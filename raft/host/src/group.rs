//! A group: what its owner can ask of it, and the one place where consensus' output is carried out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use raft_core::entry::RecordSeed;
use raft_core::{GroupId, Index, Message, NodeId, Output, ReadAnswer, ReadToken, RoleName, Status};
use runtime::{Condition, FiberGroup, Moment, Shard, Signal, WallTime};

use crate::core::Core;
use crate::error::GroupError;
use crate::log::spares::Spares;
use crate::options::GroupOptions;
use crate::ports::{Outbox, Refusal, StateMachine};
use crate::received;

/// A handle to an open group; clones are the same group. All of it stays on one shard.
pub struct Group<M: StateMachine>(pub(crate) Rc<Shared<M>>);

impl<M: StateMachine> Clone for Group<M> {
    fn clone(&self) -> Group<M> {
        Group(Rc::clone(&self.0))
    }
}

/// What the fibers of a group share.
pub(crate) struct Shared<M: StateMachine> {
    pub(crate) shard: Shard,
    pub(crate) options: GroupOptions,
    pub(crate) seed: RecordSeed,
    pub(crate) core: RefCell<Core<M::Caller>>,
    pub(crate) machine: RefCell<M>,
    pub(crate) outbox: RefCell<Option<Rc<dyn Outbox>>>,
    pub(crate) spares: Rc<Spares>,
    pub(crate) fibers: FiberGroup,
    pub(crate) life: RefCell<Life>,
    /// Whether proposals are accepted; follows `life`.
    pub(crate) accepts: Cell<bool>,
    /// Whether new entries have to be sent to followers.
    pub(crate) replicates: Cell<bool>,
    /// Something waits for the disk.
    pub(crate) write_work: Signal,
    /// Something may be applied.
    pub(crate) apply_work: Signal,
    /// Something may be sent to the followers.
    pub(crate) send_work: Signal,
    /// The next deadline may have come closer.
    pub(crate) tick_work: Signal,
    /// Life, role, reads or applied index have changed.
    pub(crate) changed: Condition,
}

/// Where a group is between open and closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    Running,
    /// Accepts nothing, finishes what was accepted.
    Stopping,
    /// Its fibers end.
    Closing,
    Failed(GroupError),
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

    /// Whether a read that begins now sees every write answered before it.
    pub fn read(&self) -> ReadGate {
        let now = self.0.shard.clock().now();
        let answer = self.0.core.borrow_mut().raft.read(now);
        match answer {
            ReadAnswer::Now => ReadGate::Ready,
            ReadAnswer::NotLeader { leader } => ReadGate::NotLeader { leader },
            ReadAnswer::Wait(token) => {
                self.0.drain(&[]);
                ReadGate::NotReady(token)
            }
        }
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

    /// Waits until this node serves the group: as a leader that has applied an entry of its term, or
    /// as a follower of such a leader.
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
            if self.0.core.borrow().raft.status().ready {
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

    /// The link to a member broke.
    pub fn unreachable(&self, node: NodeId) {
        self.0.core.borrow_mut().raft.unreachable(node);
        self.0.drain(&[]);
    }

    /// A snapshot that holds everything up to `boundary` is durable: the log before it is not
    /// needed any more. Its files are used again. Applied entries only; the next
    /// [`Group::open`] must be given this snapshot or a newer one.
    pub fn compact(&self, boundary: Index) {
        let mut core = self.0.core.borrow_mut();
        core.raft.compacted(boundary);
        if let Some(needed) = core.tail.drop_head(boundary) {
            for number in core.oldest_segment..needed {
                self.0.spares.recycle(number);
            }
            core.oldest_segment = core.oldest_segment.max(needed);
        }
        drop(core);
        self.0.drain(&[]);
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
            self.0.changed.wait().await;
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
        shared.begin_life(Life::Closing);
        shared.refuse_behind(Index::ZERO, Refusal::OutcomeUnknown);
        shared.fibers.stop();
        shared.fibers.join().await;
        shared.failure().map_or(Ok(()), Err)
    }
}

impl<M: StateMachine> Shared<M> {
    fn time(&self) -> (Moment, WallTime) {
        let clock = self.shard.clock();
        (clock.now(), clock.wall())
    }

    /// Carries out what consensus owes until it owes nothing. `records` came with the message that
    /// was stepped before.
    pub(crate) fn drain(&self, records: &[u8]) {
        loop {
            let output = self.core.borrow_mut().raft.output();
            if output.is_empty() {
                return;
            }
            self.execute(output, records);
        }
    }

    /// The order of effects is the order of the output's fields.
    fn execute(&self, output: Output, records: &[u8]) {
        if let Some(outbox) = &*self.outbox.borrow() {
            for outbound in output.messages {
                outbox.send(outbound.to, outbound.message, Vec::new());
            }
        }
        let mut core = self.core.borrow_mut();
        if let Some(hard_state) = output.hard_state {
            core.hard_state_wanted = Some(hard_state);
            self.write_work.set();
        }
        if let Some(accepted) = output.accepted {
            if let Some(first) = accepted.truncate_from {
                core.tail.truncate(first);
            }
            let time_ms = core.tail.append_received(records, accepted.first, accepted.last);
            core.clock.received(time_ms);
            self.write_work.set();
        }
        for entry in &output.own_entries {
            let (now, wall) = self.time();
            core.append_own(entry, now, wall);
            self.write_work.set();
        }
        if output.replicate {
            self.replicates.set(true);
            self.send_work.set();
        }
        if let Some(index) = output.apply_to {
            core.apply_to = core.apply_to.max(index);
            self.apply_work.set();
        }
        core.reads.ready = core.reads.ready.max(output.reads.ready);
        core.reads.refused = core.reads.refused.max(output.reads.refused);
        let committed = core.apply_to;
        drop(core);
        if let Some(role) = output.role {
            tracing::info!(group = self.options.identity.group.0, ?role, "role");
            if role.role != RoleName::Leader {
                self.replicates.set(false);
                self.refuse_behind(committed, Refusal::OutcomeUnknown);
            }
            self.tick_work.set();
        }
        if let Some(node) = output.lost_log {
            let group = self.options.identity.group.0;
            tracing::error!(group, node = node.0, "a member lost entries it had acknowledged");
        }
        self.changed.notify_all();
    }

    /// Ends the group with its cause, unless it has one already. Nothing is acknowledged from here
    /// on: those who wait are told that nobody knows.
    pub(crate) fn fail(&self, error: GroupError) {
        if self.failure().is_some() {
            return;
        }
        tracing::error!(group = self.options.identity.group.0, %error, "group failed");
        self.begin_life(Life::Failed(error));
        self.refuse_behind(Index::ZERO, Refusal::OutcomeUnknown);
        self.fibers.stop();
    }

    fn begin_life(&self, life: Life) {
        let failed = self.failure().is_some();
        if !failed {
            *self.life.borrow_mut() = life;
        }
        self.accepts.set(false);
        if self.has_ended() {
            self.spares.stop();
        }
        for signal in [&self.write_work, &self.apply_work, &self.send_work, &self.tick_work] {
            signal.set();
        }
        self.changed.notify_all();
    }

    pub(crate) fn failure(&self) -> Option<GroupError> {
        match &*self.life.borrow() {
            Life::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Whether the fibers should end.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.life.borrow(), Life::Closing | Life::Failed(_))
    }

    fn why_not(&self) -> Refusal {
        if self.failure().is_some() { Refusal::Failed } else { Refusal::Stopping }
    }

    /// Whether something accepted can still come to its end on this node alone.
    fn has_accepted_work(&self) -> bool {
        let core = self.core.borrow();
        core.tail.has_pending() || core.is_writing || core.tail.applied() < core.apply_to
    }

    fn refuse_behind(&self, index: Index, refusal: Refusal) {
        let callers = self.core.borrow_mut().proposals.take_behind(index);
        if callers.is_empty() {
            return;
        }
        let mut machine = self.machine.borrow_mut();
        for (_, caller) in callers {
            machine.refuse(caller, refusal);
        }
        machine.batch_end();
    }
}
