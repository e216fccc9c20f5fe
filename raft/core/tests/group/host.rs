//! A host as the crate's contract asks for one, with a disk that takes its time.

use std::collections::BTreeMap;

use moment::Moment;
use raft_core::{
    Config, ConfigEntry, HardState, Index, LogAfterInstall, Message, NodeId, Output, OwnEntryBody,
    Position, Raft, RaftOptions, ReadAnswer, ReadToken,
};

use crate::disk::{Content, Disk, Entry, LogWrite, Machine, Snapshot};
use crate::trace::output_lines;

/// What goes over a link.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// A message's bytes and the records behind it.
    Message(Vec<u8>, Vec<Entry>),
    /// A whole snapshot at once.
    Snapshot(Box<Snapshot>),
    /// Not of the network: the sender's stream of a snapshot has ended.
    StreamEnded(NodeId),
}

/// A running node.
pub(crate) struct Running {
    pub(crate) raft: Raft,
    log: Vec<Entry>,
    /// The entry before the log's first one.
    base: Index,
    pub(crate) machine: Machine,
    pub(crate) config: ConfigEntry,
    /// The snapshot that is being put in place.
    installing: Option<Snapshot>,
    wanted: Option<Position>,
    /// Reads that wait, with what they must see.
    pub(crate) reads: BTreeMap<ReadToken, Vec<Index>>,
}

pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) disk: Disk,
    pub(crate) running: Option<Running>,
    /// Local nanoseconds for each thousand of world time, and what the clock shows at zero.
    pub(crate) rate: u64,
    pub(crate) paused_until: u64,
    /// How often it was started; its incarnation.
    pub(crate) restarts: u64,
    /// Messages of older incarnations are not listened to.
    pub(crate) known_incarnations: BTreeMap<NodeId, u64>,
    /// Whether effects tell what was owed in words.
    pub(crate) traced: bool,
}

/// What a drained output asks of the world.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) packets: Vec<(NodeId, Packet)>,
    pub(crate) applied: Vec<Entry>,
    pub(crate) became_leader: bool,
    /// Reads that were answered: what they had to see, and what the state machine had applied.
    pub(crate) answered_reads: Vec<(Index, Index)>,
    pub(crate) lost_log: bool,
    /// What was owed, in words.
    pub(crate) lines: Vec<String>,
}

impl Host {
    pub(crate) fn clock(&self, world: u64) -> Moment {
        Moment::from_nanos(1_000_000_000 + world * self.rate / 1000)
    }

    pub(crate) fn new(id: NodeId, config: Config, rate: u64) -> Host {
        Host {
            id,
            disk: Disk::new(config),
            running: None,
            rate,
            paused_until: 0,
            restarts: 0,
            known_incarnations: BTreeMap::new(),
            traced: false,
        }
    }

    pub(crate) fn start(&mut self, now: u64, options: RaftOptions) -> Effects {
        self.disk.hard_writes.clear();
        self.disk.log_writes.clear();
        self.restarts += 1;
        let raft = Raft::new(options, self.disk.restored(), self.clock(now)).unwrap();
        self.running = Some(Running {
            raft,
            log: self.disk.log.clone(),
            base: self.disk.snapshot.boundary.index,
            machine: self.disk.snapshot.machine.clone(),
            config: self.disk.snapshot.config.clone(),
            installing: None,
            wanted: None,
            reads: BTreeMap::new(),
        });
        self.drain(&[])
    }

    pub(crate) fn receive(&mut self, from: NodeId, packet: Packet, now: u64) -> Effects {
        let clock = self.clock(now);
        let Some(running) = &mut self.running else { return Effects::default() };
        match packet {
            Packet::Message(bytes, records) => {
                let (message, rest) = Message::decode(&bytes).unwrap();
                assert!(rest.is_empty());
                running.raft.step(from, message, clock);
                self.drain(&records)
            }
            Packet::Snapshot(snapshot) => {
                let is_wanted = running.wanted == Some(snapshot.boundary);
                if is_wanted && let Some(after) = running.raft.begin_install(snapshot.boundary) {
                    running.wanted = None;
                    running.installing = Some((*snapshot).clone());
                    let keep = after == LogAfterInstall::KeepTail;
                    self.disk.log_writes.push_back(LogWrite::Install(*snapshot, keep));
                }
                self.drain(&[])
            }
            Packet::StreamEnded(to) => {
                running.raft.snapshot_ended(to);
                self.drain(&[])
            }
        }
    }

    pub(crate) fn tick(&mut self, now: u64) -> Effects {
        let clock = self.clock(now);
        let Some(running) = &mut self.running else { return Effects::default() };
        running.raft.tick(clock);
        self.drain(&[])
    }

    /// The oldest write of one of the files becomes durable.
    pub(crate) fn complete_write(&mut self, hard: bool, now: u64) -> Effects {
        let clock = self.clock(now);
        if hard {
            let Some(state) = self.disk.hard_writes.pop_front() else { return Effects::default() };
            self.complete_hard_state(state);
            if let Some(running) = &mut self.running {
                running.raft.hard_state_persisted(state, clock);
            }
        } else if let Some(write) = self.disk.log_writes.pop_front() {
            self.disk.complete(&write);
            if let Some(running) = &mut self.running {
                running.log_write_completed(write);
            }
        }
        self.drain(&[])
    }

    fn complete_hard_state(&mut self, state: HardState) {
        let old = self.disk.hard_state;
        assert!(state.term >= old.term, "a durable term went back");
        assert!(state.term > old.term || old.vote.is_none() || old.vote == state.vote, "two votes");
        self.disk.hard_state = state;
    }

    /// Loses what is not durable; the first `kept` log writes and perhaps the hard state survive.
    pub(crate) fn crash(&mut self, kept_log_writes: usize, keep_hard: bool) {
        self.running = None;
        if keep_hard && let Some(state) = self.disk.hard_writes.pop_front() {
            self.complete_hard_state(state);
        }
        for _ in 0..kept_log_writes {
            if let Some(write) = self.disk.log_writes.pop_front() {
                self.disk.complete(&write);
            }
        }
        self.disk.hard_writes.clear();
        self.disk.log_writes.clear();
    }

    pub(crate) fn propose(&mut self, contents: &[u64]) -> Effects {
        let Some(running) = &mut self.running else { return Effects::default() };
        if let Ok(proposed) = running.raft.propose(contents.len() as u64) {
            let entries = contents.iter().zip(0..).map(|(&content, offset)| Entry {
                index: proposed.first.plus(offset),
                term: proposed.term,
                content: Content::Command(content),
            });
            let entries: Vec<Entry> = entries.collect();
            running.append(&mut self.disk, entries);
        }
        self.drain(&[])
    }

    /// A read begins, which has to see everything up to `must_see`.
    pub(crate) fn read(&mut self, must_see: Index, here: bool, now: u64) -> Effects {
        let clock = self.clock(now);
        let Some(running) = &mut self.running else { return Effects::default() };
        let answer = match here {
            true => running.raft.read_here(clock),
            false => running.raft.read(clock),
        };
        let mut answered = Vec::new();
        match answer {
            ReadAnswer::Now => answered.push((must_see, running.applied())),
            ReadAnswer::Wait(token) => running.reads.entry(token).or_default().push(must_see),
            ReadAnswer::NotLeader { .. } => {}
        }
        let mut effects = self.drain(&[]);
        effects.answered_reads.append(&mut answered);
        effects
    }

    /// A snapshot of the state machine becomes the start of the log.
    pub(crate) fn compact(&mut self) {
        let Some(running) = &mut self.running else { return };
        let index = running.applied();
        let busy = self.disk.log_writes.iter().any(|write| !matches!(write, LogWrite::Append(_)));
        if busy || running.installing.is_some() || index <= running.base {
            return;
        }
        let term = running.raft.term_of(index).unwrap();
        let boundary = Position { index, term };
        let (config, machine) = (running.config.clone(), running.machine.clone());
        self.disk.log_writes.push_back(LogWrite::Compact(Snapshot { boundary, config, machine }));
    }

    /// Carries out one output, in the order of the contract.
    pub(crate) fn drain(&mut self, records: &[Entry]) -> Effects {
        let mut effects = Effects::default();
        let Some(running) = &mut self.running else { return effects };
        let output = running.raft.output();
        send_messages(&output, &mut effects);
        if self.traced {
            effects.lines = output_lines(&output);
        }
        if let Some(state) = output.hard_state {
            self.disk.hard_writes.push_back(state);
        }
        running.write_log(&mut self.disk, &output, records);
        if output.replicate {
            running.replicate(&mut effects);
        }
        let offered = output
            .snapshots
            .iter()
            .filter(|&&to| running.raft.offer_snapshot(to, self.disk.snapshot.boundary));
        let offered: Vec<NodeId> = offered.copied().collect();
        if let Some(wanted) = output.install {
            running.wanted = Some(wanted.boundary);
        }
        if let Some(to) = output.apply_to {
            running.apply(to, &mut effects);
            self.disk.commit = to.min(self.disk.last());
        }
        running.settle_reads(&output, &mut effects);
        effects.became_leader = output.role.is_some_and(|role| role.leader == Some(self.id));
        effects.lost_log = output.lost_log.is_some();
        // Applying and offering may have brought about more.
        let again = running.raft.output();
        assert!(again.hard_state.is_none() && again.accepted.is_none() && again.apply_to.is_none());
        assert!(again.own_entries.is_empty());
        send_messages(&again, &mut effects);
        if self.traced {
            effects.lines.extend(output_lines(&again));
        }
        running.settle_reads(&again, &mut effects);
        for to in offered {
            let snapshot = Box::new(self.disk.snapshot.clone());
            effects.packets.push((to, Packet::Snapshot(snapshot)));
        }
        effects
    }
}

fn send_messages(output: &Output, effects: &mut Effects) {
    for outbound in &output.messages {
        let mut bytes = Vec::new();
        outbound.message.encode(&mut bytes);
        effects.packets.push((outbound.to, Packet::Message(bytes, Vec::new())));
    }
}

impl Running {
    pub(crate) fn applied(&self) -> Index {
        Index(self.machine.len() as u64)
    }

    pub(crate) fn last(&self) -> Index {
        self.base.plus(self.log.len() as u64)
    }

    fn entry(&self, index: Index) -> &Entry {
        &self.log[(index.0 - self.base.0 - 1) as usize]
    }

    /// Whether the entry is in the log as this node has it in memory, or covered by its snapshot.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        match entry.index <= self.applied() {
            true => self.machine.get(entry.index.0 as usize - 1) == Some(entry),
            false => entry.index <= self.last() && self.entry(entry.index) == entry,
        }
    }

    fn append(&mut self, disk: &mut Disk, entries: Vec<Entry>) {
        for entry in &entries {
            assert_eq!(entry.index, self.last().next(), "the log has no gap");
            self.log.push(entry.clone());
        }
        disk.log_writes.push_back(LogWrite::Append(entries));
    }

    fn write_log(&mut self, disk: &mut Disk, output: &Output, records: &[Entry]) {
        if let Some(accepted) = output.accepted {
            if let Some(from) = accepted.truncate_from {
                assert!(from > self.applied(), "an applied entry was cut off");
                self.log.retain(|entry| entry.index < from);
                disk.log_writes.push_back(LogWrite::Truncate(from));
            }
            let new = records.iter().filter(|entry| entry.index >= accepted.first);
            let new: Vec<Entry> = new.cloned().collect();
            assert_eq!(new.last().map(|entry| entry.index), Some(accepted.last));
            self.append(disk, new);
        }
        for own in &output.own_entries {
            let content = match &own.body {
                OwnEntryBody::Noop => Content::Noop,
                OwnEntryBody::Config(config) => Content::Config(config.clone()),
            };
            self.append(disk, vec![Entry { index: own.index, term: own.term, content }]);
        }
    }

    fn log_write_completed(&mut self, write: LogWrite) {
        match write {
            LogWrite::Truncate(_) => {}
            LogWrite::Append(entries) => {
                let last = entries.last().unwrap();
                self.raft.persisted(last.index, last.term);
            }
            LogWrite::Compact(snapshot) => {
                let index = snapshot.boundary.index;
                if index > self.base {
                    self.log.retain(|entry| entry.index > index);
                    self.base = index;
                    self.raft.compacted(index);
                }
            }
            LogWrite::Install(snapshot, keep_tail) => {
                let index = snapshot.boundary.index;
                self.log.retain(|entry| keep_tail && entry.index > index);
                self.base = index;
                self.machine = snapshot.machine;
                self.config = snapshot.config.clone();
                self.installing = None;
                self.raft.finish_install(snapshot.boundary, snapshot.config);
            }
        }
    }

    fn replicate(&mut self, effects: &mut Effects) {
        let followers: Vec<NodeId> = self.raft.followers().collect();
        for to in followers {
            while let Some(sendable) = self.raft.sendable(to) {
                // Every record counts ten bytes.
                let count = (sendable.bytes_max / 10).max(1);
                let last = sendable.last.min(sendable.first.plus(count).previous());
                let bytes = (last.since(sendable.first) + 1) * 10;
                let message = self.raft.send_entries(to, sendable.first, last, bytes).unwrap();
                let records = (sendable.first.0..=last.0).map(|i| self.entry(Index(i)).clone());
                let mut encoded = Vec::new();
                message.encode(&mut encoded);
                effects.packets.push((to, Packet::Message(encoded, records.collect())));
            }
        }
    }

    fn apply(&mut self, to: Index, effects: &mut Effects) {
        assert!(self.installing.is_none(), "nothing is applied during an install");
        while self.applied() < to {
            let entry = self.entry(self.applied().next()).clone();
            if let Content::Config(config) = &entry.content {
                self.config = ConfigEntry { index: entry.index, config: config.clone() };
            }
            self.machine.push(entry.clone());
            effects.applied.push(entry);
        }
        self.raft.applied(to);
    }

    fn settle_reads(&mut self, output: &Output, effects: &mut Effects) {
        let applied = self.applied();
        while let Some(first) = self.reads.first_entry() {
            if Some(*first.key()) <= output.reads.ready {
                let answered = first.remove().into_iter().map(|must_see| (must_see, applied));
                effects.answered_reads.extend(answered);
            } else if Some(*first.key()) <= output.reads.refused {
                first.remove();
            } else {
                return;
            }
        }
    }
}
