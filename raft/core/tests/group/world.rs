//! The network, the time and the faults.

use std::collections::BTreeMap;
use std::time::Duration;

use raft_core::{Config, Message, NodeId, RaftOptions, ReadMode};

use crate::checker::Checker;
use crate::faults::Faults;
use crate::host::{Effects, Host, Packet};
use crate::trace::message_text;

#[derive(Clone)]
struct InFlight {
    from: NodeId,
    /// The sender's incarnation.
    incarnation: u64,
    to: NodeId,
    packet: Packet,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) now: u64,
    pub(crate) hosts: Vec<Host>,
    /// By time of arrival.
    network: BTreeMap<(u64, u64), InFlight>,
    sent: u64,
    pub(crate) cut: Vec<(NodeId, NodeId)>,
    pub(crate) checker: Checker,
    next_content: u64,
    calm: bool,
    trace: bool,
    hash: u64,
}

pub(crate) const MILLISECOND: u64 = 1_000_000;

impl World {
    pub(crate) fn new(seed: u64, trace: bool, faults: Faults) -> World {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xabcd);
        let voters = if faults.changes { 3.min(faults.nodes) } else { faults.nodes };
        let extra = if faults.changes { faults.nodes.max(4) } else { faults.nodes };
        let config = Config::of((1..=voters as u32).map(NodeId), []);
        let hosts = (1..=extra as u32)
            .map(|id| Host::new(NodeId(id), config.clone(), 950 + random.below(101)));
        let mut world = World {
            faults,
            now: 0,
            hosts: hosts.collect(),
            network: BTreeMap::new(),
            sent: 0,
            cut: Vec::new(),
            checker: Checker::default(),
            next_content: 1,
            calm: false,
            trace,
            hash: 0,
            random,
        };
        (0..world.hosts.len()).for_each(|place| world.start(place));
        world
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn ordinary_step(&mut self) {
        match self.random.below(3) {
            0 => (0..2).for_each(|_| self.write_one()),
            1 => self.tick_one(),
            _ => (0..4).for_each(|_| self.deliver_one()),
        }
    }

    /// Ends all faults; the group must then answer, and all nodes must agree.
    pub(crate) fn heal_and_settle(&mut self) {
        self.calm = true;
        self.cut.clear();
        for place in 0..self.hosts.len() {
            self.hosts[place].paused_until = 0;
            if self.hosts[place].running.is_none() {
                self.start(place);
            }
        }
        let before = self.checker.committed.len();
        let mut settled = 0;
        for step in 0..30_000 {
            self.now += MILLISECOND / 2;
            for place in 0..self.hosts.len() {
                self.complete(place, true);
                self.complete(place, false);
                let host = &self.hosts[place];
                if host.running.as_ref().unwrap().raft.next_deadline() <= host.clock(self.now) {
                    let effects = self.hosts[place].tick(self.now);
                    self.carry_out(place, effects);
                }
            }
            while self.network.first_key_value().is_some_and(|(key, _)| key.0 <= self.now) {
                self.deliver_first();
            }
            if step % 400 == 0 {
                self.propose();
            }
            settled = if self.agrees(before + 3) { settled + 1 } else { 0 };
            if settled > 50 {
                return;
            }
        }
        let states: Vec<_> =
            self.hosts.iter().map(|h| h.running.as_ref().unwrap().raft.status()).collect();
        panic!("I26: the group does not serve after everything healed: {states:#?}");
    }

    /// Everyone in the membership has applied everything, and more than before.
    fn agrees(&self, least: usize) -> bool {
        let leader = self.hosts.iter().find(|h| h.running.as_ref().unwrap().raft.leads().is_some());
        let Some(leader) = leader else { return false };
        let status = leader.running.as_ref().unwrap().raft.status();
        let nodes = status.config.nodes();
        self.checker.committed.len() >= least
            && self
                .hosts
                .iter()
                .filter(|host| nodes.contains(&host.id))
                .all(|host| host.running.as_ref().unwrap().machine == self.checker.committed)
    }

    pub(crate) fn start(&mut self, place: usize) {
        let seed = self.random.next();
        let mode = match self.faults.read_index_only {
            true => ReadMode::ReadIndex,
            false => ReadMode::Lease,
        };
        let priority = self.random.below(2) as u8;
        let notice = Duration::from_millis([0, 1, 20, 200][self.random.below(4) as usize]);
        self.note(place, "start", 0);
        let id = self.hosts[place].id;
        let options = RaftOptions {
            election_timeout: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(50),
            lease_margin: Duration::from_millis(60),
            read_mode: mode,
            window_items: 16,
            window_bytes: 200,
            append_bytes_max: 60,
            priority,
            commit_notice_delay: notice,
            ..RaftOptions::new(id, seed)
        };
        let effects = self.hosts[place].start(self.now, options);
        self.carry_out(place, effects);
        for other in 0..self.hosts.len() {
            let clock = self.hosts[other].clock(self.now);
            // Sometimes nobody tells.
            if other != place
                && self.random.below(2) == 0
                && let Some(running) = &mut self.hosts[other].running
            {
                running.raft.peer_restarted(id, clock);
                let incarnation = self.hosts[place].restarts;
                self.hosts[other].known_incarnations.insert(id, incarnation);
                let effects = self.hosts[other].drain(&[]);
                self.carry_out(other, effects);
            }
        }
    }

    pub(crate) fn propose(&mut self) {
        for place in 0..self.hosts.len() {
            if self.is_awake(place) {
                let count = 1 + self.random.below(4);
                let contents: Vec<u64> = (self.next_content..).take(count as usize).collect();
                self.next_content += count;
                let effects = self.hosts[place].propose(&contents);
                self.carry_out(place, effects);
            }
        }
    }

    pub(crate) fn read(&mut self) {
        let place = self.any_host();
        if self.is_awake(place) {
            let here = self.random.below(2) == 0;
            let effects = self.hosts[place].read(self.checker.visible, here, self.now);
            self.carry_out(place, effects);
        }
    }

    fn write_one(&mut self) {
        let place = self.any_host();
        let hard = self.random.below(2) == 0;
        self.complete(place, hard);
    }

    fn complete(&mut self, place: usize, hard: bool) {
        if self.is_awake(place) {
            let disk = &self.hosts[place].disk;
            if if hard { disk.hard_writes.is_empty() } else { disk.log_writes.is_empty() } {
                return;
            }
            let effects = self.hosts[place].complete_write(hard, self.now);
            self.checker.check_log(&self.hosts[place]);
            self.carry_out(place, effects);
        }
    }

    fn tick_one(&mut self) {
        let place = self.any_host();
        if self.is_awake(place) {
            let effects = self.hosts[place].tick(self.now);
            self.carry_out(place, effects);
        }
    }

    fn deliver_one(&mut self) {
        if self.network.first_key_value().is_some_and(|(key, _)| key.0 <= self.now) {
            self.deliver_first();
        }
    }

    fn deliver_first(&mut self) {
        let Some((_, in_flight)) = self.network.pop_first() else { return };
        let InFlight { from, incarnation, to, packet } = in_flight;
        let place = to.0 as usize - 1;
        if self.hosts[place].paused_until > self.now {
            let at = self.hosts[place].paused_until;
            self.put(at, from, incarnation, to, packet);
            return;
        }
        if self.hosts[place].known_incarnations.get(&from) > Some(&incarnation) {
            return;
        }
        self.checker.installs += u64::from(matches!(packet, Packet::Snapshot(_)));
        if self.trace {
            println!("{:>9} {from} > {to} {}", self.now / 1000, describe(&packet));
        }
        let effects = self.hosts[place].receive(from, packet, self.now);
        self.carry_out(place, effects);
    }

    /// Takes over what a node did, and checks everything.
    pub(crate) fn carry_out(&mut self, place: usize, effects: Effects) {
        let id = self.hosts[place].id;
        if effects.became_leader {
            self.note(place, "leads", 0);
            self.checker.leader_elected(&self.hosts[place]);
        }
        let running = self.hosts[place].running.as_ref();
        let term = running.map(|running| running.raft.status().term).unwrap_or_default();
        for entry in &effects.applied {
            self.checker.applied(entry, term, &self.hosts);
        }
        for (must_see, applied) in effects.answered_reads {
            self.checker.read_answered(must_see, applied);
        }
        assert!(!effects.lost_log, "no disk was replaced in this run");
        for (to, packet) in effects.packets {
            if let Packet::Message(bytes, _) = &packet {
                let (message, _) = Message::decode(bytes).unwrap();
                self.checker.check_sent(&self.hosts[place], &message);
                self.checker.check_vote_sent(&self.hosts[place], to, &message);
                self.hash_in(bytes);
            }
            self.send(id, to, packet);
        }
        let leads = |host: &Host| host.running.as_ref().is_some_and(|r| r.raft.leads().is_some());
        if leads(&self.hosts[place]) {
            self.checker.check_commit(&self.hosts[place], &self.hosts);
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, packet: Packet) {
        let incarnation = self.hosts[from.0 as usize - 1].restarts;
        if let Packet::Snapshot(_) = &packet {
            let at = self.now + self.random.below(300 * MILLISECOND);
            self.put(at, from, incarnation, from, Packet::StreamEnded(to));
        }
        if !self.calm && (self.cut.contains(&(from, to)) || self.random.below(50) == 0) {
            return;
        }
        let copies = if !self.calm && self.random.below(50) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let delay = match self.random.below(if self.calm { 1 } else { 200 }) {
                // Now and then something turns up long after everyone has forgotten it.
                199 => self.random.below(3000 * MILLISECOND),
                _ => self.random.below(3 * MILLISECOND),
            };
            self.put(self.now + delay, from, incarnation, to, packet.clone());
        }
    }

    fn put(&mut self, at: u64, from: NodeId, incarnation: u64, to: NodeId, packet: Packet) {
        self.sent += 1;
        self.network.insert((at, self.sent), InFlight { from, incarnation, to, packet });
    }

    pub(crate) fn is_awake(&self, place: usize) -> bool {
        self.hosts[place].running.is_some() && self.hosts[place].paused_until <= self.now
    }

    pub(crate) fn any_host(&mut self) -> usize {
        self.random.below(self.hosts.len() as u64) as usize
    }

    pub(crate) fn note(&mut self, place: usize, what: &str, detail: u64) {
        if self.trace {
            println!("{:>9} {} {what} {detail}", self.now / 1000, self.hosts[place].id);
        }
        self.hash_in(&(place as u64 ^ detail).to_le_bytes());
    }

    fn hash_in(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn counts(&self) -> (usize, u64, u64, u64) {
        let checker = &self.checker;
        (checker.committed.len(), checker.reads, checker.changes, checker.installs)
    }
}

fn describe(packet: &Packet) -> String {
    match packet {
        Packet::Message(bytes, records) => {
            let (message, _) = Message::decode(bytes).unwrap();
            format!("{} +{}", message_text(&message), records.len())
        }
        Packet::Snapshot(snapshot) => format!("snapshot {}", snapshot.boundary),
        Packet::StreamEnded(to) => format!("stream to {to} has ended"),
    }
}

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}
