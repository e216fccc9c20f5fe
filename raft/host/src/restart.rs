//! Applies what a restarted group finds in its log, as far as it is known to be committed.

use std::collections::VecDeque;

use raft_core::entry::RecordHead;
use raft_core::{Config, EntryKind, Index, NodeId};

use crate::bursts::Bursts;
use crate::hard_state::SavedState;
use crate::log::frame::FrameHeader;
use crate::log::recovery::{Recovered, Recovery};
use crate::options::GroupOptions;
use crate::ports::{Entry, StateMachine};

/// Bytes of entries whose commit is not known yet that are kept until it is; more than that is
/// read again later.
const KEPT_MAX: usize = 64 << 20;

/// The state machine on its way to the end of the log.
pub(crate) struct Restart<M> {
    machine: M,
    node: NodeId,
    /// Whether this node alone decides: everything durable is committed.
    decides_alone: bool,
    configs: usize,
    /// Committed as far as the frames so far say. What the hard state says holds for the whole
    /// log only: an entry in front of it may be void by a frame still to come.
    commit: Index,
    saved_commit: Index,
    applied: Index,
    /// Records of frames behind `applied` without a gap.
    kept: VecDeque<Vec<u8>>,
    kept_bytes: usize,
}

impl<M: StateMachine> Restart<M> {
    pub(crate) fn new(options: &GroupOptions, saved: SavedState, machine: M) -> Restart<M> {
        let boundary = options.snapshot.position.index;
        Restart {
            machine,
            node: options.raft.id,
            decides_alone: decides_alone(&options.snapshot.config.config, options.raft.id),
            configs: 0,
            commit: boundary,
            saved_commit: saved.commit,
            applied: boundary,
            kept: VecDeque::new(),
            kept_bytes: 0,
        }
    }

    /// Takes the newest frame's records.
    pub(crate) fn take(&mut self, recovery: &Recovery, header: &FrameHeader, records: &[u8]) {
        let image = recovery.image();
        let last = image.last().index;
        self.commit = self.commit.max(recovery.commit());
        if image.configs().len() != self.configs {
            // The entries of this frame may need the new members already.
            self.configs = image.configs().len();
            let newest = image.configs().last().and_then(|(_, bytes)| Config::decode(bytes).ok());
            self.decides_alone = newest.is_some_and(|config| decides_alone(&config, self.node));
        } else if self.decides_alone {
            self.commit = self.commit.max(last);
        }
        if header.truncates {
            // Some of it is void. What is left is read again once it is known to be committed.
            self.kept.clear();
            self.kept_bytes = 0;
        }
        self.apply_kept();
        if self.kept.is_empty() {
            self.apply(records);
        }
        if self.applied < last && self.kept_bytes < KEPT_MAX {
            self.kept.push_back(records.to_vec());
            self.kept_bytes += records.len();
        }
    }

    /// The machine, what it has applied, and what is committed.
    pub(crate) fn finish(mut self, recovered: &Recovered) -> (M, Index, Index) {
        self.commit = self.commit.max(recovered.commit).max(self.saved_commit);
        self.apply_kept();
        self.machine.batch_end();
        (self.machine, self.applied, self.commit)
    }

    fn apply_kept(&mut self) {
        while let Some(records) = self.kept.pop_front() {
            let last = self.apply(&records);
            if self.applied < last {
                self.kept.push_front(records);
                return;
            }
            self.kept_bytes -= records.len();
        }
    }

    /// Applies the records that are next and committed. Returns the last index among them.
    fn apply(&mut self, records: &[u8]) -> Index {
        let mut bursts = Bursts::new(Some(records));
        let mut last = self.applied;
        loop {
            let burst = bursts.read(usize::MAX);
            let Some(newest) = burst.last() else { break };
            last = newest.head.index;
            self.machine.read_ahead(burst.iter().map(|record| record.payload));
            for record in burst {
                let RecordHead { index, time_ms, kind, .. } = record.head;
                if index == self.applied.next() && index <= self.commit {
                    if kind == EntryKind::Command {
                        self.machine.apply(Entry { index, time_ms, payload: record.payload }, None);
                    }
                    self.applied = index;
                }
            }
        }
        last
    }
}

fn decides_alone(config: &Config, node: NodeId) -> bool {
    config.next.is_none() && config.current.voters == [node]
}
