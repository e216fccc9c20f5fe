//! Applies what a restarted group finds in its log, as far as it is known to be committed.

use std::collections::VecDeque;

use raft_core::entry::RecordHead;
use raft_core::{Config, ConfigEntry, EntryKind, Index, NodeId, Position};

use crate::bursts::Bursts;
use crate::hard_state::SavedState;
use crate::log::frame::FrameHeader;
use crate::log::recovery::{Recovered, Recovery};
use crate::options::{GroupOptions, SnapshotBoundary};
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
    /// Where the log goes on with the state that the machine began with.
    position: Position,
    /// Bytes of the frames with entries behind it.
    log_bytes: u64,
    /// Time of the newest entry that was applied.
    time_ms: u64,
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

/// The state that a group starts from, in front of its log.
pub(crate) struct Base {
    /// Where it stands.
    pub(crate) boundary: SnapshotBoundary,
    /// The time of the newest entry in it.
    pub(crate) time_ms: u64,
}

impl Base {
    /// The beginning of a group with these members.
    pub(crate) fn founded_with(config: Config) -> Base {
        let config = ConfigEntry { index: Index::ZERO, config };
        let boundary = SnapshotBoundary { position: Position::default(), config };
        Base { boundary, time_ms: 0 }
    }
}

/// What has come of the log.
pub(crate) struct Restarted<M> {
    pub(crate) machine: M,
    pub(crate) applied: Index,
    pub(crate) commit: Index,
    /// Bytes of the frames behind the snapshot.
    pub(crate) log_bytes: u64,
    /// Time of the newest entry that was applied.
    pub(crate) applied_ms: u64,
}

impl<M: StateMachine> Restart<M> {
    /// Goes on with a machine that has the state at `base`.
    pub(crate) fn new(
        options: &GroupOptions,
        base: &Base,
        saved: SavedState,
        machine: M,
    ) -> Restart<M> {
        let boundary = base.boundary.position.index;
        Restart {
            machine,
            node: options.raft.id,
            decides_alone: decides_alone(&base.boundary.config.config, options.raft.id),
            position: base.boundary.position,
            log_bytes: 0,
            time_ms: base.time_ms,
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
        if header.last() > self.position.index {
            self.log_bytes += header.size() as u64;
        }
        if image.configs().len() != self.configs {
            // The entries of this frame may need the new members already.
            self.configs = image.configs().len();
            let newest = image.configs().last().filter(|(index, _)| *index > self.position.index);
            if let Some(config) = newest.and_then(|(_, bytes)| Config::decode(bytes).ok()) {
                self.decides_alone = decides_alone(&config, self.node);
            }
        } else if self.decides_alone && self.follows_boundary(recovery) {
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

    /// Whether the log is the one that the snapshot is part of.
    fn follows_boundary(&self, recovery: &Recovery) -> bool {
        let image = recovery.image();
        let begins = image.first().unwrap_or(image.last().index.next());
        begins == self.position.index.next()
            || image.term_at(self.position.index) == Some(self.position.term)
    }

    /// The machine, and what is known of the log. With `is_void` the log is not the one that the
    /// snapshot is part of, and none of it counts.
    pub(crate) fn finish(mut self, recovered: &Recovered, is_void: bool) -> Restarted<M> {
        if is_void {
            // No entry of such a log is known to be committed behind the snapshot.
            assert!(
                self.applied == self.position.index,
                "nothing of a log that is void was applied"
            );
        } else {
            self.commit = self.commit.max(recovered.commit).max(self.saved_commit);
            self.apply_kept();
        }
        self.machine.batch_end();
        Restarted {
            machine: self.machine,
            applied: self.applied,
            commit: self.commit,
            log_bytes: self.log_bytes,
            applied_ms: self.time_ms,
        }
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
                    self.time_ms = self.time_ms.max(time_ms);
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
