//! What a node's disk holds, and the writes that are still under way.

use std::collections::VecDeque;

use raft_core::{Config, ConfigEntry, HardState, Index, Position, Restored, Run, Standing, Term};

/// An entry with its content; a command's content is unique in a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) content: Content,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    Command(u64),
    Noop,
    Config(Config),
}

/// A state machine that remembers everything it was fed.
pub(crate) type Machine = Vec<Entry>;

/// A snapshot; the log begins after it.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) boundary: Position,
    pub(crate) config: ConfigEntry,
    pub(crate) machine: Machine,
}

/// A write to the log's file; they become durable in order.
#[derive(Clone, Debug)]
pub(crate) enum LogWrite {
    Truncate(Index),
    Append(Vec<Entry>),
    Compact(Snapshot),
    Install(Snapshot, bool),
}

pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: Snapshot,
    pub(crate) log: Vec<Entry>,
    /// Known to be committed when it was last noted.
    pub(crate) commit: Index,
    pub(crate) standing: Standing,
    pub(crate) hard_writes: VecDeque<HardState>,
    pub(crate) log_writes: VecDeque<LogWrite>,
}

impl Disk {
    pub(crate) fn new(config: Config) -> Disk {
        let config = ConfigEntry { index: Index::ZERO, config };
        Disk {
            hard_state: HardState::default(),
            snapshot: Snapshot { boundary: Position::default(), config, machine: Vec::new() },
            log: Vec::new(),
            commit: Index::ZERO,
            standing: Standing::Full,
            hard_writes: VecDeque::new(),
            log_writes: VecDeque::new(),
        }
    }

    pub(crate) fn last(&self) -> Index {
        self.log.last().map_or(self.snapshot.boundary.index, |entry| entry.index)
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.snapshot.boundary.index.0 + 1)?;
        self.log.get(offset as usize)
    }

    /// Whether the entry is on the disk, or was before a snapshot covered it.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        match entry.index <= self.snapshot.boundary.index {
            true => self.snapshot.machine.get(entry.index.0 as usize - 1) == Some(entry),
            false => self.entry(entry.index) == Some(entry),
        }
    }

    pub(crate) fn complete(&mut self, write: &LogWrite) {
        match write {
            LogWrite::Truncate(from) => self.log.retain(|entry| entry.index < *from),
            LogWrite::Append(entries) => {
                for entry in entries {
                    assert_eq!(entry.index, self.last().next(), "the log on disk has no gap");
                    self.log.push(entry.clone());
                }
            }
            LogWrite::Compact(snapshot) => {
                self.log.retain(|entry| entry.index > snapshot.boundary.index);
                self.snapshot = snapshot.clone();
            }
            LogWrite::Install(snapshot, keep_tail) => {
                let boundary = snapshot.boundary.index;
                self.log.retain(|entry| *keep_tail && entry.index > boundary);
                self.snapshot = snapshot.clone();
            }
        }
    }

    pub(crate) fn restored(&self) -> Restored {
        let mut runs: Vec<Run> = Vec::new();
        for entry in &self.log {
            if runs.last().is_none_or(|run| run.term != entry.term) {
                runs.push(Run { first: entry.index, term: entry.term });
            }
        }
        let configs = self.log.iter().filter_map(|entry| match &entry.content {
            Content::Config(config) => {
                Some(ConfigEntry { index: entry.index, config: config.clone() })
            }
            _ => None,
        });
        let boundary = self.snapshot.boundary;
        Restored {
            hard_state: self.hard_state,
            boundary,
            config: self.snapshot.config.clone(),
            runs,
            last: self.last(),
            configs: configs.collect(),
            commit: self.commit.max(boundary.index),
            applied: boundary.index,
            standing: self.standing,
        }
    }
}
