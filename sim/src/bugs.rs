//! Planted bugs: does the simulator see what it is there for?

use std::time::Duration;

use planted::Bug;

use crate::soak::{Found, Soak, soak};

/// What became of the search for a bug.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// Seeds that were run.
    pub seeds: u64,
    /// Real time.
    pub elapsed: Duration,
    /// The seed that found it.
    pub found: Option<Found>,
}

/// The bugs with these names, or all.
///
/// # Errors
/// When a name is unknown, or this build has no bugs.
pub fn chosen(names: &[String]) -> Result<Vec<Bug>, String> {
    if !cfg!(feature = "planted-bugs") {
        let mend = "build with --features planted-bugs";
        return Err(format!("this build has no bugs that could be planted; {mend}"));
    }
    if names.is_empty() {
        return Ok(Bug::ALL.to_vec());
    }
    let find = |name: &String| {
        let bug = Bug::ALL.iter().find(|bug| bug.name() == name).copied();
        bug.ok_or_else(|| {
            let names: Vec<_> = Bug::ALL.iter().map(|bug| bug.name()).collect();
            format!("no bug has the name `{name}`; there are {}", names.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Plants a bug and runs seeds until something is noticed.
pub fn hunt(bug: Bug, from: u64, seeds_max: u64, jobs: usize) -> Hunt {
    plant(Some(bug));
    let plan = Soak { from, seeds: Some(seeds_max), limit: None, jobs, twice_one_in: 0 };
    let (totals, found) = soak(plan, |_| {});
    plant(None);
    Hunt { seeds: totals.seeds, elapsed: totals.elapsed, found }
}

#[cfg(feature = "planted-bugs")]
fn plant(bug: Option<Bug>) {
    planted::plant(bug);
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(_: Option<Bug>) {}
