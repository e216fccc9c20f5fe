//! A state of the model, and what may happen in it.

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use moment::Moment;
use raft_core::message::Ballot;
use raft_core::{Body, Change, Members, NodeId, RoleName};

use super::fingerprint::{Fingerprints, fold};
use super::host::Host;
use super::network::{Network, Packet};
use super::past::{Before, Past};
use crate::violation::{Rule, Violation};

/// How often things that cost something may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Budget {
    /// The clock reaches a deadline of some member.
    pub timeouts: u8,
    /// A member dies and starts again.
    pub deaths: u8,
    /// A message is lost.
    pub losses: u8,
    /// A message is delivered and comes again later.
    pub copies: u8,
    /// A message overtakes those before it in its direction.
    pub overtakes: u8,
    /// A leader is asked to append an entry.
    pub proposals: u8,
    /// A leader is asked to change the members: to prepare, or to commit what is prepared.
    pub changes: u8,
}

/// As text, the seven numbers in order.
impl fmt::Display for Budget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Budget { timeouts, deaths, losses, copies, overtakes, proposals, changes } = self;
        write!(formatter, "{timeouts}.{deaths}.{losses}.{copies}.{overtakes}.{proposals}.{changes}")
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let numbers: Option<Vec<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some([timeouts, deaths, losses, copies, overtakes, proposals, changes]) => Ok(Budget {
                timeouts: *timeouts,
                deaths: *deaths,
                losses: *losses,
                copies: *copies,
                overtakes: *overtakes,
                proposals: *proposals,
                changes: *changes,
            }),
            _ => Err(format!(
                "`{text}` is no budget: it has seven numbers with dots, for timeouts, deaths, losses, \
                 copies, overtakes, proposals and changes"
            )),
        }
    }
}

/// Members, messages under way, time, and the past.
#[derive(Clone)]
pub struct State {
    hosts: Vec<Rc<Host>>,
    network: Network,
    now: Moment,
    past: Past,
    budget: Budget,
    /// The members that a change is to bring.
    next: Members,
}

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The packet at this place arrives.
    Deliver {
        /// Its place.
        place: usize,
        /// In what way.
        arrival: Arrival,
    },
    /// The packet at this place is lost.
    Lose(usize),
    /// Term and vote of the member at this place are durable.
    HardState(usize),
    /// The log of the member at this place is durable as it is.
    Log(usize),
    /// The clock reaches the next deadline of the member at this place.
    Timeout(usize),
    /// The member at this place is asked to append an entry.
    Propose(usize),
    /// The member at this place is asked to change the members.
    Change(usize),
    /// The member at a place dies and starts again.
    Restart {
        /// Its place.
        place: usize,
        /// Whether term and vote that were being written are there.
        keeps_hard_state: bool,
        /// How many of the writes to the log are there.
        log_writes: usize,
    },
}

/// How a packet arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// As the next of its direction.
    Next,
    /// As the next of its direction, and it will come again.
    Copied,
    /// Before others that were sent before it.
    Overtaking,
}

/// Time that a change has to bring its newcomers up to date.
const CHANGE_LIMIT: Duration = Duration::from_secs(3600);

impl State {
    /// Members that have just been founded.
    pub fn new(hosts: Vec<Host>, now: Moment, budget: Budget, next: Members) -> State {
        let hosts = hosts.into_iter().map(Rc::new).collect();
        State { hosts, network: Network::default(), now, past: Past::default(), budget, next }
    }

    /// The members.
    pub fn hosts(&self) -> &[Rc<Host>] {
        &self.hosts
    }

    /// Sets what may still happen.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// The place of the member that leads, if one does.
    pub fn leader(&self) -> Option<usize> {
        self.hosts.iter().position(|host| leads(host))
    }

    /// Everything that may happen now.
    ///
    /// Once nobody may die any more, term and vote are durable at once: whether they are matters to a
    /// death alone, and what they hold back may be late anyway.
    pub fn actions(&self) -> Vec<Action> {
        if self.budget.deaths == 0
            && let Some(place) = self.hosts.iter().position(|host| host.writes_hard_state())
        {
            return vec![Action::HardState(place)];
        }
        let mut actions = Vec::new();
        for (place, is_next) in self.network.places() {
            let mut add = |is_possible: bool, arrival| {
                if is_possible {
                    actions.push(Action::Deliver { place, arrival });
                }
            };
            add(is_next, Arrival::Next);
            add(is_next && self.budget.copies > 0, Arrival::Copied);
            add(!is_next && self.budget.overtakes > 0, Arrival::Overtaking);
            if is_next && self.budget.losses > 0 {
                actions.push(Action::Lose(place));
            }
        }
        for (place, host) in self.hosts.iter().enumerate() {
            if host.writes_hard_state() {
                actions.push(Action::HardState(place));
            }
            if host.log_writes() > 0 {
                actions.push(Action::Log(place));
            }
            if self.budget.timeouts > 0 {
                actions.push(Action::Timeout(place));
            }
            if self.budget.proposals > 0 && leads(host) {
                actions.push(Action::Propose(place));
            }
            if self.budget.changes > 0 && leads(host) {
                actions.push(Action::Change(place));
            }
            if self.budget.deaths > 0 {
                let kept =
                    [false, true].into_iter().take(1 + usize::from(host.writes_hard_state()));
                actions.extend(kept.flat_map(|keeps_hard_state| {
                    (0..=host.log_writes()).map(move |log_writes| Action::Restart {
                        place,
                        keeps_hard_state,
                        log_writes,
                    })
                }));
            }
        }
        actions
    }

    /// The state after something has happened.
    ///
    /// # Errors
    /// The rule that is broken by it.
    pub fn after(
        &self,
        action: Action,
        fingerprints: &mut Fingerprints,
    ) -> Result<State, Violation> {
        let mut next = self.clone();
        let mut records = Vec::new();
        let place = match action {
            Action::Lose(place) => {
                next.budget.losses -= 1;
                next.network.take(place, false);
                return Ok(next);
            }
            Action::Deliver { place, arrival } => {
                next.budget.copies -= u8::from(arrival == Arrival::Copied);
                next.budget.overtakes -= u8::from(arrival == Arrival::Overtaking);
                let is_copied = arrival == Arrival::Copied;
                let Some(packet) = next.network.take(place, is_copied) else { return Ok(next) };
                records.clone_from(&packet.records);
                let receiver = next.hosts.iter().position(|host| host.id() == packet.to);
                let Some(receiver) = receiver else { return Ok(next) };
                let now = next.now;
                return next.step(receiver, &records, fingerprints, |host| {
                    host.raft_mut().step(packet.from, packet.message.clone(), now);
                });
            }
            Action::Timeout(place) => {
                next.budget.timeouts -= 1;
                let deadline = self.hosts.get(place).map(|host| host.raft().next_deadline());
                next.now = deadline.unwrap_or(next.now).max(next.now);
                place
            }
            Action::HardState(place) | Action::Log(place) => place,
            Action::Propose(place) => {
                next.budget.proposals -= 1;
                place
            }
            Action::Change(place) => {
                next.budget.changes -= 1;
                place
            }
            Action::Restart { place, .. } => {
                next.budget.deaths -= 1;
                place
            }
        };
        let (now, number) = (next.now, next.budget.proposals);
        let newcomers = next.next.clone();
        let mut after = next.step(place, &records, fingerprints, |host| match action {
            Action::HardState(_) => host.complete_hard_state(now),
            Action::Log(_) => host.complete_log(),
            Action::Timeout(_) => host.raft_mut().tick(now),
            Action::Propose(_) => host.propose(number),
            Action::Change(_) => change(host, &newcomers, now),
            Action::Restart { keeps_hard_state, log_writes, .. } => {
                host.restart(keeps_hard_state, log_writes, now);
            }
            Action::Deliver { .. } | Action::Lose(_) => {}
        })?;
        if let Action::Timeout(_) = action {
            after.renew_hashes(fingerprints);
        }
        Ok(after)
    }

    /// Has a member take an input, and carries out and checks what comes of it.
    fn step(
        mut self,
        place: usize,
        records: &[Rc<super::host::Entry>],
        fingerprints: &mut Fingerprints,
        input: impl FnOnce(&mut Host),
    ) -> Result<State, Violation> {
        let now = self.now;
        let Some(shared) = self.hosts.get(place).cloned() else { return Ok(self) };
        let before = Before::of(&shared);
        let mut host = Host::clone(&shared);
        input(&mut host);
        let sent: Vec<Packet> = host.drain(records, now);
        self.past.check(&host, &before, &sent, &self.hosts)?;
        for packet in sent {
            self.network.send(packet);
        }
        self.network.forget(|packet| packet.to == host.id() && is_idle(packet, &host));
        host.renew_hash(fingerprints, now);
        if let Some(own) = self.hosts.get_mut(place) {
            *own = Rc::new(host);
        }
        Ok(self)
    }

    /// Works the numbers of all members out anew: the clock has moved.
    pub fn renew_hashes(&mut self, fingerprints: &mut Fingerprints) {
        for host in &mut self.hosts {
            Rc::make_mut(host).renew_hash(fingerprints, self.now);
        }
    }

    /// The number of the state.
    pub fn hash(&self) -> u64 {
        let Budget { timeouts, deaths, losses, copies, overtakes, proposals, changes } =
            self.budget;
        let budget = [timeouts, deaths, losses, copies, overtakes, proposals, changes, 0];
        let budget = u64::from_le_bytes(budget);
        let hash = fold(fold(self.past.hash(), budget), self.network.hash());
        self.hosts.iter().fold(hash, |hash, host| fold(hash, host.hash()))
    }

    /// What an action is about, for people.
    pub fn tell(&self, action: Action) -> String {
        let name = |place: usize| self.hosts.get(place).map_or(0, |host| host.id().0);
        match action {
            Action::Deliver { place, arrival } => {
                let Some(packet) = self.network.packets().get(place) else { return String::new() };
                let Packet { from, to, message, .. } = &**packet;
                let how = match arrival {
                    Arrival::Next => "",
                    Arrival::Copied => " (it will come again)",
                    Arrival::Overtaking => " (overtaking others)",
                };
                format!("{} gets from {}{how}: {message:?}", to.0, from.0)
            }
            Action::Lose(place) => {
                let Some(packet) = self.network.packets().get(place) else { return String::new() };
                let Packet { from, to, message, .. } = &**packet;
                format!("lost on the way from {} to {}: {message:?}", from.0, to.0)
            }
            Action::HardState(place) => format!("term and vote of {} are durable", name(place)),
            Action::Log(place) => format!("the log of {} is durable", name(place)),
            Action::Timeout(place) => {
                format!("time passes until {} has something to do", name(place))
            }
            Action::Propose(place) => format!("{} is asked to append an entry", name(place)),
            Action::Change(place) => format!("{} is asked to change the members", name(place)),
            Action::Restart { place, keeps_hard_state, log_writes } => format!(
                "{} dies and starts again, with {} and {log_writes} of its writes to the log",
                name(place),
                if keeps_hard_state { "its new term and vote" } else { "no newer term or vote" }
            ),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for host in &self.hosts {
            let status = host.raft().status();
            write!(
                formatter,
                "[{} {:?} term {} commit {} log {} durable {}] ",
                host.id().0,
                status.role,
                status.term.0,
                status.commit.0,
                host.log().len(),
                host.durable().len()
            )?;
        }
        write!(formatter, "{} under way", self.network.packets().len())
    }
}

/// Whether a packet changes nothing at its receiver any more: the answer to a vote of a term in which
/// nobody stands there.
fn is_idle(packet: &Packet, host: &Host) -> bool {
    let Body::VoteReply(reply) = &packet.message.body else { return false };
    let status = host.raft().status();
    reply.ballot == Ballot::Real
        && packet.message.term <= status.term
        && !(packet.message.term == status.term && status.role == RoleName::Candidate)
}

fn leads(host: &Host) -> bool {
    host.raft().status().role == RoleName::Leader
}

/// Asks a leader for the next step of a change: to prepare it, or to commit what is prepared.
fn change(host: &mut Host, next: &Members, now: Moment) {
    let config = host.config_of(host.log()).clone();
    let prepared = host.raft().status().config_index;
    let change = match config.next {
        None => Change::Prepare { current: config.current, next: next.clone() },
        Some(_) => Change::Commit { prepared },
    };
    // A leader that cannot do it now says so, and nothing has happened.
    let _ = host.raft_mut().change(change, CHANGE_LIMIT, now);
}

/// Has a panic of a core be the violation that it is.
///
/// # Errors
/// The panic.
pub fn guarded<T>(act: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
    outcome
        .unwrap_or_else(|cause| Err(Violation::new(Rule::Panic, crate::run::panic_text(&*cause))))
}

/// The nodes of these numbers.
pub fn nodes(numbers: &[u32]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}
