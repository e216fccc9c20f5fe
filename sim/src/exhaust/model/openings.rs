//! Where a search begins, and how much may happen from there on.

use moment::Moment;
use raft_core::{Config, Members};

use super::fingerprint::Fingerprints;
use super::host::{Content, Host, Mistake};
use super::state::{Action, Budget, State, nodes};
use crate::violation::{Rule, Violation};

/// A beginning.
#[derive(Clone, Copy)]
pub struct Opening {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Nodes; the first three are the voters at first.
    nodes: u32,
    /// The voters that a change is to bring.
    next: &'static [u32],
    /// How far it goes before anything may happen.
    begins: Begins,
    /// What may happen in a quick search.
    pub quick: Budget,
    /// What may happen in a deep one.
    pub deep: Budget,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// Nobody has done anything.
    Founded,
    /// The first node leads, and all know it.
    Led,
    /// It has just appended the preparation of a change.
    Prepared,
}

const NOTHING: Budget =
    Budget { timeouts: 0, deaths: 0, losses: 0, copies: 0, overtakes: 0, proposals: 0, changes: 0 };

/// All openings.
pub const ALL: &[Opening] = &[
    Opening {
        name: "elect",
        about: "three voters that have never had a leader",
        nodes: 3,
        next: &[],
        begins: Begins::Founded,
        quick: Budget { timeouts: 1, ..NOTHING },
        deep: Budget { timeouts: 2, deaths: 1, losses: 1, ..NOTHING },
    },
    Opening {
        name: "replicate",
        about: "three voters and their first leader",
        nodes: 3,
        next: &[],
        begins: Begins::Led,
        quick: Budget { deaths: 1, copies: 1, proposals: 1, ..NOTHING },
        deep: Budget { timeouts: 2, deaths: 1, losses: 1, copies: 1, proposals: 1, ..NOTHING },
    },
    Opening {
        name: "change",
        about: "the leader of three voters hands over to two of them and another one",
        nodes: 4,
        next: &[2, 3, 4],
        begins: Begins::Led,
        quick: Budget { changes: 1, ..NOTHING },
        deep: Budget { timeouts: 1, changes: 2, ..NOTHING },
    },
    Opening {
        name: "replace",
        about: "three voters are about to be replaced by three others",
        nodes: 6,
        next: &[4, 5, 6],
        begins: Begins::Prepared,
        quick: NOTHING,
        deep: Budget { timeouts: 1, changes: 1, ..NOTHING },
    },
];

/// The opening of this name.
pub fn named(name: &str) -> Option<&'static Opening> {
    ALL.iter().find(|opening| opening.name == name)
}

/// More than any opening needs.
const AMPLE: Budget = Budget { timeouts: 9, changes: 9, ..NOTHING };
const STEPS_MAX: usize = 10_000;

impl Opening {
    /// The state from which everything may happen that the budget has.
    ///
    /// # Errors
    /// The rule that is broken on the way.
    pub fn state(
        &self,
        mistake: Mistake,
        budget: Budget,
        fingerprints: &mut Fingerprints,
    ) -> Result<State, Violation> {
        let now = Moment::from_nanos(1_000_000_000);
        let founding = Config::of(nodes(&[1, 2, 3]), []);
        let ids = nodes(&(1..=self.nodes).collect::<Vec<_>>());
        let host = |id| Host::found(id, founding.clone(), mistake, now);
        let next = Members::of(nodes(self.next), []);
        let mut state = State::new(ids.into_iter().map(host).collect(), now, AMPLE, next);
        state.renew_hashes(fingerprints);
        if self.begins != Begins::Founded {
            state = state.after(Action::Timeout(0), fingerprints)?;
            state = settled(state, fingerprints, |_| false)?;
            // Its next heartbeats tell the others what is committed.
            state = state.after(Action::Timeout(0), fingerprints)?;
            state = settled(state, fingerprints, |_| false)?;
        }
        if self.begins == Begins::Prepared {
            state = state.after(Action::Change(0), fingerprints)?;
            state = settled(state, fingerprints, is_prepared)?;
        }
        if self.begins != Begins::Founded && state.leader() != Some(0) {
            return Err(Violation::new(
                Rule::Liveness,
                format!("the first does not lead: {state}"),
            ));
        }
        state.set_budget(budget);
        Ok(state)
    }
}

fn is_prepared(state: &State) -> bool {
    let log = state.hosts().first().map(|host| host.log().as_slice()).unwrap_or_default();
    log.iter().any(|entry| matches!(entry.content, Content::Config(_)))
}

/// Has everything that is under way come in order, until `is_enough` or nothing is left.
fn settled(
    mut state: State,
    fingerprints: &mut Fingerprints,
    is_enough: impl Fn(&State) -> bool,
) -> Result<State, Violation> {
    for _ in 0..STEPS_MAX {
        let actions = state.actions();
        let is_disk = |action: &&Action| matches!(action, Action::HardState(_) | Action::Log(_));
        let is_packet = |action: &&Action| matches!(action, Action::Deliver { .. });
        let next = actions.iter().find(is_disk).or_else(|| actions.iter().find(is_packet));
        match next {
            Some(action) if !is_enough(&state) => state = state.after(*action, fingerprints)?,
            _ => break,
        }
    }
    Ok(state)
}
