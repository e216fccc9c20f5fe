//! What goes wrong in a random run, and what the operators do meanwhile.

use std::time::Duration;

use raft_core::{Change, Members, NodeId};

use crate::host::Host;
use crate::world::{MILLISECOND, Random, World};

/// Which faults a run has besides the usual ones.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) nodes: u64,
    pub(crate) changes: bool,
    pub(crate) snapshots: bool,
    pub(crate) transfers: bool,
    /// Leaders lose touch again and again, voters restart at once, and everyone reads.
    pub(crate) leases: bool,
    pub(crate) read_index_only: bool,
    pub(crate) steps: u64,
}

impl Faults {
    pub(crate) fn new(nodes: u64) -> Faults {
        Faults {
            nodes,
            changes: false,
            snapshots: false,
            transfers: true,
            leases: false,
            read_index_only: false,
            steps: 3000,
        }
    }
}

impl World {
    pub(crate) fn run_with_faults(&mut self) {
        for _ in 0..self.faults.steps {
            self.now += self.random.below(4 * MILLISECOND);
            let dice = self.random.below(1000);
            match self.faults.leases {
                true => self.step_against_leases(dice),
                false => self.step(dice),
            }
        }
    }

    fn step(&mut self, dice: u64) {
        match dice {
            0..=2 => self.crash_one(),
            3..=17 => self.start_one(),
            18..=19 => self.cut_some_links(),
            20..=25 => self.cut.clear(),
            26 => self.pause_one(),
            27..=30 if self.faults.transfers => self.transfer(),
            31..=39 if self.faults.changes => self.change(),
            40..=49 if self.faults.snapshots => self.compact_one(),
            50..=59 => self.break_link(),
            60..=160 => self.propose(),
            161..=260 => self.read(),
            // Jump over a quiet time, so that timeouts happen.
            261..=265 => self.now += self.random.below(200 * MILLISECOND),
            _ => self.ordinary_step(),
        }
    }

    fn step_against_leases(&mut self, dice: u64) {
        match dice {
            0..=2 => self.bounce_one(),
            3..=5 => self.cut_off_the_leader(),
            6..=12 => self.cut.clear(),
            13 => self.pause_one(),
            14..=17 => self.transfer(),
            20..=120 => self.read_everywhere(),
            121..=180 => self.propose(),
            181..=184 => self.now += self.random.below(100 * MILLISECOND),
            _ => self.ordinary_step(),
        }
    }

    fn start_one(&mut self) {
        let place = self.any_host();
        if self.hosts[place].running.is_none() {
            self.start(place);
        }
    }

    fn crash_one(&mut self) {
        let place = self.any_host();
        let kept = self.random.below(4) as usize;
        let keep_hard = self.random.below(2) == 0;
        self.note(place, "crash", kept as u64);
        self.hosts[place].crash(kept, keep_hard);
        self.checker.check_log(&self.hosts[place]);
    }

    fn pause_one(&mut self) {
        let place = self.any_host();
        self.hosts[place].paused_until = self.now + self.random.below(1000 * MILLISECOND);
        self.note(place, "pause", 0);
    }

    fn cut_some_links(&mut self) {
        let place = self.any_host();
        let isolated = self.hosts[place].id;
        let ids: Vec<NodeId> = self.hosts.iter().map(|host| host.id).collect();
        let kind = self.random.below(3);
        for &from in &ids {
            for &to in &ids {
                let cut = match kind {
                    0 => from == isolated || to == isolated,
                    1 => from == isolated,
                    _ => self.random.below(3) == 0,
                };
                if cut {
                    self.cut.push((from, to));
                }
            }
        }
    }

    fn break_link(&mut self) {
        let (place, other) = (self.any_host(), self.any_host());
        let id = self.hosts[other].id;
        if let Some(running) = &mut self.hosts[place].running {
            running.raft.unreachable(id);
        }
    }

    fn transfer(&mut self) {
        let place = self.any_host();
        let target = self.hosts[place].id;
        for place in 0..self.hosts.len() {
            let clock = self.hosts[place].clock(self.now);
            if let Some(running) = &mut self.hosts[place].running {
                let limit = Duration::from_millis(300);
                if running.raft.transfer(target, limit, clock).is_ok() {
                    self.note(place, "transfer", u64::from(target.0));
                    let effects = self.hosts[place].drain(&[]);
                    self.carry_out(place, effects);
                }
            }
        }
    }

    fn change(&mut self) {
        let pick = |random: &mut Random| {
            let ids: Vec<NodeId> = self.hosts.iter().map(|host| host.id).collect();
            let voters: Vec<NodeId> =
                ids.iter().copied().filter(|_| random.below(3) != 0).collect();
            let observers = ids.into_iter().filter(|id| !voters.contains(id));
            let observers: Vec<NodeId> = observers.filter(|_| random.below(2) == 0).collect();
            Members::of(voters, observers)
        };
        let next = pick(&mut self.random);
        let kind = self.random.below(4);
        for place in 0..self.hosts.len() {
            let clock = self.hosts[place].clock(self.now);
            let Some(running) = &mut self.hosts[place].running else { continue };
            let status = running.raft.status();
            let change = match kind {
                0 | 1 => {
                    Change::Prepare { current: status.config.current.clone(), next: next.clone() }
                }
                2 => Change::Commit { prepared: status.config_index },
                _ => Change::Abort,
            };
            if running.raft.change(change, Duration::from_millis(700), clock).is_ok() {
                self.checker.changes += 1;
                self.note(place, "change", kind);
                let effects = self.hosts[place].drain(&[]);
                self.carry_out(place, effects);
            }
        }
    }

    fn compact_one(&mut self) {
        let place = self.any_host();
        self.hosts[place].compact();
    }

    /// The leader loses touch with one node or with all, in one direction or both.
    fn cut_off_the_leader(&mut self) {
        let leads = |host: &Host| host.running.as_ref().is_some_and(|r| r.raft.leads().is_some());
        let Some(leader) = self.hosts.iter().find(|host| leads(host)).map(|host| host.id) else {
            return;
        };
        let one = self.any_host();
        let (all, both) = (self.random.below(3) == 0, self.random.below(2) == 0);
        let others = self.hosts.iter().enumerate().filter(|(place, _)| all || *place == one);
        for (_, host) in others {
            self.cut.push((leader, host.id));
            if both {
                self.cut.push((host.id, leader));
            }
        }
    }

    fn bounce_one(&mut self) {
        let place = self.any_host();
        if self.hosts[place].running.is_some() {
            self.hosts[place].crash(9, true);
            self.checker.check_log(&self.hosts[place]);
            self.start(place);
        }
    }

    fn read_everywhere(&mut self) {
        for place in 0..self.hosts.len() {
            if self.is_awake(place) {
                let effects = self.hosts[place].read(self.checker.visible, false, self.now);
                self.carry_out(place, effects);
            }
        }
    }
}
