//! The search: breadth first, so that the way to a broken rule is a shortest one.

use std::collections::{BTreeSet, VecDeque};

use super::fingerprint::Fingerprints;
use super::host::Mistake;
use super::openings::Opening;
use super::state::{Budget, State, guarded};
use crate::violation::Violation;

/// How far a search has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// States that differ.
    pub states: u64,
    /// Steps from one state to the next.
    pub steps: u64,
    /// Steps from the opening to the states that are looked at.
    pub depth: u32,
    /// States whose successors are not known yet: none at the end of a search that is complete.
    pub open: u64,
}

/// A way to a state that breaks a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// At each step, the place of what happened among everything that may.
    pub path: Vec<u16>,
    /// What is broken by the last of them.
    pub violation: Violation,
}

/// How a state was come to first.
#[derive(Clone, Copy)]
struct Origin {
    from: u32,
    choice: u16,
}

struct Search<'a> {
    seen: BTreeSet<u64>,
    origins: Vec<Origin>,
    open: VecDeque<(State, u32, u32)>,
    counts: Counts,
    tell: &'a mut dyn FnMut(&Counts),
}

/// Steps between two lines for people.
const TELL_EVERY: u64 = 4096;

/// Searches all states of an opening, or so many of them.
pub fn search(
    opening: &Opening,
    budget: Budget,
    mistake: Mistake,
    states_max: u64,
    tell: &mut dyn FnMut(&Counts),
) -> (Counts, Option<Found>) {
    let mut search = Search {
        seen: BTreeSet::new(),
        origins: Vec::new(),
        open: VecDeque::new(),
        counts: Counts::default(),
        tell,
    };
    let found = search.run(opening, budget, mistake, states_max).err();
    search.counts.open = search.open.len() as u64;
    (search.counts, found)
}

impl Search<'_> {
    fn run(
        &mut self,
        opening: &Opening,
        budget: Budget,
        mistake: Mistake,
        states_max: u64,
    ) -> Result<(), Found> {
        let mut fingerprints = Fingerprints::default();
        let first = guarded(|| opening.state(mistake, budget, &mut fingerprints));
        let first = first.map_err(|violation| Found { path: Vec::new(), violation })?;
        self.add(first, Origin { from: 0, choice: 0 }, 0);
        while let Some((state, number, depth)) = self.open.pop_front() {
            self.counts.depth = depth;
            for (choice, action) in (0..).zip(state.actions()) {
                self.counts.steps += 1;
                if self.counts.steps.is_multiple_of(TELL_EVERY) {
                    self.counts.open = self.open.len() as u64;
                    (self.tell)(&self.counts);
                }
                let origin = Origin { from: number, choice };
                match guarded(|| state.after(action, &mut fingerprints)) {
                    Ok(next) => self.add(next, origin, depth + 1),
                    Err(violation) => {
                        return Err(Found { path: self.path(origin), violation });
                    }
                }
            }
            if self.counts.states >= states_max {
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, state: State, origin: Origin, depth: u32) {
        if self.seen.insert(state.hash()) {
            let number = self.origins.len() as u32;
            self.origins.push(origin);
            self.counts.states += 1;
            self.open.push_back((state, number, depth));
        }
    }

    /// The choices from the opening up to one.
    fn path(&self, last: Origin) -> Vec<u16> {
        let mut path = vec![last.choice];
        let mut at = last.from;
        while at != 0 {
            let Some(origin) = self.origins.get(at as usize) else { break };
            path.push(origin.choice);
            at = origin.from;
        }
        path.reverse();
        path
    }
}

/// Goes a way again. `tell` hears of each step.
///
/// # Errors
/// The rule that is broken on it.
pub fn replay(
    opening: &Opening,
    budget: Budget,
    mistake: Mistake,
    path: &[u16],
    tell: &mut dyn FnMut(String),
) -> Result<(), Violation> {
    let mut fingerprints = Fingerprints::default();
    let mut state = guarded(|| opening.state(mistake, budget, &mut fingerprints))?;
    tell(format!("{}: {}\n  {state}", opening.name, opening.about));
    for choice in path {
        let actions = state.actions();
        let Some(action) = actions.get(usize::from(*choice)).copied() else {
            tell(format!("there is no choice {choice}, only {}", actions.len()));
            return Ok(());
        };
        tell(state.tell(action));
        state = guarded(|| state.after(action, &mut fingerprints))?;
        tell(format!("  {state}"));
    }
    Ok(())
}
