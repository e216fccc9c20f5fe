//! What the fibers of a group share, and the one place where consensus' output is carried out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use raft_core::entry::RecordSeed;
use raft_core::{Index, Output, RoleName};
use runtime::{Condition, FiberGroup, Moment, Shard, Signal, WallTime};

use crate::core::Core;
use crate::error::GroupError;
use crate::log::spares::Spares;
use crate::options::GroupOptions;
use crate::ports::{Outbox, Refusal, StateMachine};
use crate::snapshot::save::Snapshots;

/// What the fibers of a group share.
pub(crate) struct Shared<M: StateMachine> {
    pub(crate) shard: Shard,
    pub(crate) options: GroupOptions,
    pub(crate) seed: RecordSeed,
    pub(crate) core: RefCell<Core<M::Caller>>,
    pub(crate) machine: RefCell<M>,
    pub(crate) outbox: RefCell<Option<Rc<dyn Outbox>>>,
    pub(crate) spares: Rc<Spares>,
    pub(crate) snapshots: Snapshots,
    pub(crate) fibers: FiberGroup,
    pub(crate) life: RefCell<Life>,
    /// Whether proposals are accepted; follows `life`.
    pub(crate) accepts: Cell<bool>,
    /// Whether new entries have to be sent to followers.
    pub(crate) replicates: Cell<bool>,
    /// Whether applied entries are kept in memory for readers.
    pub(crate) keeps_applied: Cell<bool>,
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
    /// Life has changed: for who waits for nothing else, as long as the group lives.
    pub(crate) life_changed: Condition,
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

impl<M: StateMachine> Shared<M> {
    /// Now, on the clocks that the time of entries is made from.
    pub(crate) fn time(&self) -> (Moment, WallTime) {
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
                outbox.send(outbound.to, outbound.message, Bytes::new());
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
        output.snapshots.iter().for_each(|node| self.snapshots.sending.want(*node));
        if let Some(wanted) = output.install {
            self.snapshots.receiving.want(wanted);
        }
        if let Some(index) = output.apply_to {
            core.apply_to = core.apply_to.max(index);
            self.apply_work.set();
        }
        core.change_outcome = output.change.or(core.change_outcome);
        core.reads.ready = core.reads.ready.max(output.reads.ready);
        core.reads.refused = core.reads.refused.max(output.reads.refused);
        let committed = core.apply_to;
        drop(core);
        if output.is_sooner {
            self.tick_work.set();
        }
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

    pub(crate) fn begin_life(&self, life: Life) {
        let failed = self.failure().is_some();
        if !failed {
            *self.life.borrow_mut() = life;
        }
        self.accepts.set(false);
        if self.has_ended() {
            self.spares.stop();
        }
        for signal in
            [&self.snapshots.work, &self.snapshots.sending.work, &self.snapshots.receiving.work]
        {
            signal.set();
        }
        for signal in [&self.write_work, &self.apply_work, &self.send_work, &self.tick_work] {
            signal.set();
        }
        self.changed.notify_all();
        self.life_changed.notify_all();
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

    pub(crate) fn why_not(&self) -> Refusal {
        if self.failure().is_some() { Refusal::Failed } else { Refusal::Stopping }
    }

    /// Whether something accepted can still come to its end on this node alone.
    pub(crate) fn has_accepted_work(&self) -> bool {
        let core = self.core.borrow();
        let waits_for_disk = core.tail.pending_size().is_some_and(|size| {
            size as u64 <= core.room || self.spares.ready() > 0 || !self.spares.is_in_trouble()
        });
        waits_for_disk || core.is_writing || core.tail.applied() < core.apply_to
    }

    pub(crate) fn refuse_behind(&self, index: Index, refusal: Refusal) {
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
