//! A core and its disk, as the contract of the core asks for them.

use std::collections::VecDeque;
use std::rc::Rc;

use moment::Moment;
use raft_core::{
    Config, ConfigEntry, HardState, Index, Message, NodeId, Output, OwnEntryBody, Position, Raft,
    RaftOptions, Restored, Run, Standing, Term,
};

use super::fingerprint::{Fingerprints, fold, fold_bytes};
use super::network::Packet;

/// An entry of a log.
#[derive(PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its leader's term.
    pub term: Term,
    /// What it is.
    pub content: Content,
}

/// What an entry is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// A new leader's first one.
    Noop,
    /// A proposal, by its number.
    Command(u8),
    /// Members.
    Config(Config),
}

impl Entry {
    /// Adds the entry to a hash.
    pub fn fold(&self, hash: u64) -> u64 {
        let hash = fold(hash, u64::from(self.term.0));
        match &self.content {
            Content::Noop => fold(hash, 1),
            Content::Command(number) => fold(fold(hash, 2), u64::from(*number)),
            Content::Config(config) => {
                let mut bytes = Vec::new();
                config.encode(&mut bytes);
                fold_bytes(fold(hash, 3), &bytes)
            }
        }
    }
}

/// A log: its first entry has index 1.
pub type Log = Vec<Rc<Entry>>;

/// A write to the log that is under way.
#[derive(Clone, Debug)]
enum LogWrite {
    Truncate(Index),
    Append(Log),
}

/// What a host does wrong, to show that the rules see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mistake {
    /// Nothing.
    #[default]
    None,
    /// It says that term and vote are durable before they are.
    HardStateEarly,
    /// It says that entries are durable before they are.
    LogEarly,
    /// A restart finds no vote.
    VoteForgotten,
}

/// One member.
#[derive(Clone)]
pub struct Host {
    id: NodeId,
    founding: Config,
    raft: Raft,
    /// The log as the core knows it.
    log: Log,
    hard_state: HardState,
    /// The log as it is on the disk.
    durable: Log,
    hard_write: Option<HardState>,
    log_writes: VecDeque<LogWrite>,
    mistake: Mistake,
    hash: u64,
}

impl Host {
    /// A member that starts for the first time.
    pub fn found(id: NodeId, founding: Config, mistake: Mistake, now: Moment) -> Host {
        let raft = core(id, Restored::founded_with(founding.clone()), now);
        Host {
            id,
            founding,
            raft,
            log: Log::new(),
            hard_state: HardState::default(),
            durable: Log::new(),
            hard_write: None,
            log_writes: VecDeque::new(),
            mistake,
            hash: 0,
        }
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The core.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The core, for an input; [`drain`](Self::drain) has to follow.
    pub fn raft_mut(&mut self) -> &mut Raft {
        &mut self.raft
    }

    /// The log as the core knows it.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The log as it is on the disk.
    pub fn durable(&self) -> &Log {
        &self.durable
    }

    /// Term and vote as they are on the disk.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Whether term and vote are being written.
    pub fn writes_hard_state(&self) -> bool {
        self.hard_write.is_some()
    }

    /// Writes to the log that are under way.
    pub fn log_writes(&self) -> usize {
        self.log_writes.len()
    }

    /// The members in force by a log, the newest one counting from the moment it is there.
    pub fn config_of<'a>(&'a self, log: &'a Log) -> &'a Config {
        let config = |entry: &'a Rc<Entry>| match &entry.content {
            Content::Config(config) => Some(config),
            Content::Noop | Content::Command(_) => None,
        };
        log.iter().rev().find_map(config).unwrap_or(&self.founding)
    }

    /// Term and vote are on the disk.
    pub fn complete_hard_state(&mut self, now: Moment) {
        if let Some(state) = self.hard_write.take() {
            self.hard_state = state;
            self.raft.hard_state_persisted(state, now);
        }
    }

    /// All writes to the log are on the disk.
    pub fn complete_log(&mut self) {
        while let Some(write) = self.log_writes.pop_front() {
            self.write(write);
        }
        self.tell_persisted();
    }

    fn write(&mut self, write: LogWrite) {
        match write {
            LogWrite::Truncate(from) => self.durable.truncate(from.previous().0 as usize),
            LogWrite::Append(entries) => self.durable.extend(entries),
        }
    }

    fn tell_persisted(&mut self) {
        let log = match self.mistake {
            Mistake::LogEarly => &self.log,
            _ => &self.durable,
        };
        if let Some(last) = log.last() {
            self.raft.persisted(Index(log.len() as u64), last.term);
        }
    }

    /// Dies, and starts again with what is durable: term and vote, if they were under way, when
    /// `keeps_hard_state`, and the first `log_writes` of the writes to the log.
    pub fn restart(&mut self, keeps_hard_state: bool, log_writes: usize, now: Moment) {
        if let Some(state) = self.hard_write.take()
            && keeps_hard_state
        {
            self.hard_state = state;
        }
        for _ in 0..log_writes {
            if let Some(write) = self.log_writes.pop_front() {
                self.write(write);
            }
        }
        self.log_writes.clear();
        self.log = self.durable.clone();
        if self.mistake == Mistake::VoteForgotten {
            self.hard_state.vote = None;
        }
        self.raft = core(self.id, self.restored(), now);
    }

    fn restored(&self) -> Restored {
        let mut runs: Vec<Run> = Vec::new();
        let mut configs = Vec::new();
        for (index, entry) in (1..).map(Index).zip(&self.durable) {
            if runs.last().is_none_or(|run| run.term != entry.term) {
                runs.push(Run { first: index, term: entry.term });
            }
            if let Content::Config(config) = &entry.content {
                configs.push(ConfigEntry { index, config: config.clone() });
            }
        }
        Restored {
            hard_state: self.hard_state,
            boundary: Position::default(),
            config: ConfigEntry { index: Index::ZERO, config: self.founding.clone() },
            runs,
            last: Index(self.durable.len() as u64),
            configs,
            commit: Index::ZERO,
            applied: Index::ZERO,
            standing: Standing::Full,
        }
    }

    /// Proposes, if it may.
    pub fn propose(&mut self, number: u8) {
        if let Ok(proposed) = self.raft.propose(1) {
            let content = Content::Command(number);
            self.append(vec![Rc::new(Entry { term: proposed.term, content })]);
        }
    }

    /// Carries out what the core owes after an input, in the order of its contract. `records` came
    /// with the message that was the input. Returns what is sent.
    pub fn drain(&mut self, records: &[Rc<Entry>], now: Moment) -> Vec<Packet> {
        let mut packets = Vec::new();
        loop {
            let output = self.raft.output();
            if output.is_empty() {
                return packets;
            }
            self.carry_out(&output, records, &mut packets);
            if self.mistake == Mistake::HardStateEarly
                && let Some(state) = output.hard_state
            {
                self.raft.hard_state_persisted(state, now);
            }
            if self.mistake == Mistake::LogEarly {
                self.tell_persisted();
            }
        }
    }

    fn carry_out(&mut self, output: &Output, records: &[Rc<Entry>], packets: &mut Vec<Packet>) {
        let packet = |to, message: Message| Packet::new(self.id, to, message, Vec::new());
        packets.extend(output.messages.iter().map(|out| packet(out.to, out.message.clone())));
        self.hard_write = output.hard_state.or(self.hard_write);
        if let Some(accepted) = output.accepted {
            if let Some(from) = accepted.truncate_from {
                self.log.truncate(from.previous().0 as usize);
                self.log_writes.push_back(LogWrite::Truncate(from));
            }
            let count = accepted.last.since(accepted.first.previous()) as usize;
            let skipped = records.len().saturating_sub(count);
            self.append(records.iter().skip(skipped).cloned().collect());
            assert!(
                self.log.len() as u64 == accepted.last.0,
                "the log ends where the core says that it does"
            );
        }
        for own in &output.own_entries {
            let content = match &own.body {
                OwnEntryBody::Noop => Content::Noop,
                OwnEntryBody::Config(config) => Content::Config(config.clone()),
            };
            self.append(vec![Rc::new(Entry { term: own.term, content })]);
        }
        if output.replicate {
            self.replicate(packets);
        }
        if let Some(to) = output.apply_to {
            self.raft.applied(to);
        }
    }

    fn append(&mut self, entries: Log) {
        self.log.extend(entries.iter().cloned());
        self.log_writes.push_back(LogWrite::Append(entries));
    }

    fn replicate(&mut self, packets: &mut Vec<Packet>) {
        let followers: Vec<NodeId> = self.raft.followers().collect();
        for to in followers {
            while let Some(sendable) = self.raft.sendable(to) {
                let (first, last) = (sendable.first, sendable.last);
                let bytes = last.since(first.previous());
                let Some(message) = self.raft.send_entries(to, first, last, bytes) else { break };
                let range = first.previous().0 as usize..last.0 as usize;
                let records = self.log.get(range).unwrap_or_default().to_vec();
                packets.push(Packet::new(self.id, to, message, records));
            }
        }
    }

    /// Works the number of its state out anew.
    pub fn renew_hash(&mut self, fingerprints: &mut Fingerprints, now: Moment) {
        let log = |hash, log: &Log| {
            let hash = log.iter().fold(hash, |hash, entry| entry.fold(hash));
            fold(hash, log.len() as u64)
        };
        let promise = |hash, state: HardState| {
            let vote = state.vote.map_or(0, |vote| vote.0);
            fold(fold(hash, u64::from(state.term.0)), u64::from(vote))
        };
        let mut hash = log(fingerprints.of(&self.raft, now), &self.log);
        hash = promise(log(hash, &self.durable), self.hard_state);
        hash = self.hard_write.map_or(hash, |state| promise(fold(hash, 1), state));
        for write in &self.log_writes {
            hash = match write {
                LogWrite::Truncate(from) => fold(fold(hash, 2), from.0),
                LogWrite::Append(entries) => log(fold(hash, 3), entries),
            };
        }
        self.hash = fold(hash, u64::from(self.id.0));
    }

    /// The number of its state.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

fn core(id: NodeId, restored: Restored, now: Moment) -> Raft {
    // No two nodes draw the same times.
    let options = RaftOptions::new(id, u64::from(id.0) << 32);
    match Raft::new(options, restored, now) {
        Ok(raft) => raft,
        Err(error) => panic!("{id:?} cannot start: {error}"),
    }
}
