//! Planted bugs: does the simulator see what it is there for?

use std::time::Duration;

use planted::Bug;

use crate::run::{Keep, Source, run};
use crate::soak::{Found, Soak, soak};

/// How long to look for a bug.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The first seed.
    pub from: u64,
    /// Seeds after which it counts as not found.
    pub seeds_max: u64,
    /// Real time after which it does.
    pub limit: Duration,
    /// Threads.
    pub jobs: usize,
}

/// What became of the search for a bug.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The bug.
    pub bug: Bug,
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

/// Plants the bug with this name for all that comes.
///
/// # Errors
/// When the name is unknown, or this build has no bugs.
pub fn plant_named(name: &str) -> Result<(), String> {
    plant(chosen(&[name.to_owned()])?.first().copied());
    Ok(())
}

/// Plants a bug and runs seeds until something is noticed that is not there without it.
pub fn hunt(bug: Bug, patience: Patience) -> Hunt {
    let Patience { mut from, seeds_max, limit, jobs } = patience;
    let (mut seeds, mut elapsed) = (0, Duration::ZERO);
    loop {
        plant(Some(bug));
        let left = limit.saturating_sub(elapsed);
        let plan =
            Soak { from, seeds: Some(seeds_max - seeds), limit: Some(left), jobs, twice_one_in: 0 };
        let (totals, found) = soak(plan, |_| {});
        plant(None);
        seeds += totals.seeds;
        elapsed += totals.elapsed;
        let is_own = |found: &Found| {
            let source = Source::Seed(found.seed);
            run(&source, Keep::default()).violation.is_none()
        };
        match found {
            Some(found) if !is_own(&found) => from = found.seed + 1,
            found => return Hunt { bug, seeds, elapsed, found },
        }
    }
}

/// The hunt as a row of a table of Markdown.
fn row(hunt: &Hunt) -> String {
    let Hunt { bug, seeds, elapsed, found } = hunt;
    let noticed =
        found.as_ref().map_or("–".to_owned(), |found| format!("{:?}", found.violation.rule));
    let seconds = elapsed.as_secs_f64();
    let (name, wrong) = (bug.name(), bug.wrong());
    format!("| `{name}` | {wrong} | {seeds} | {seconds:.1} | {noticed} |\n")
}

/// A table with a row for each hunt, and those rows of an earlier one that are about other bugs.
fn table(earlier: &str, hunts: &[Hunt]) -> String {
    let mut table = "| bug | what is wrong | seeds | seconds | what noticed it |\n\
                     |---|---|--:|--:|---|\n"
        .to_owned();
    for bug in Bug::ALL {
        let start = format!("| `{}` |", bug.name());
        let known = earlier.lines().find(|line| line.starts_with(&start));
        match (hunts.iter().find(|hunt| hunt.bug == *bug), known) {
            (Some(hunt), _) => table += &row(hunt),
            (None, Some(known)) => table += &format!("{known}\n"),
            (None, None) => {}
        }
    }
    table
}

/// Where the table stands in a text.
const MARKS: [&str; 2] = ["<!-- planted bugs -->\n", "<!-- end of planted bugs -->\n"];

/// The text with the hunts in the table between its marks.
///
/// # Errors
/// When the marks are not there.
pub fn with_hunts(text: &str, hunts: &[Hunt]) -> Result<String, String> {
    let [begin, end] = MARKS;
    let places = text.find(begin).zip(text.find(end));
    match places {
        Some((from, to)) if from < to => {
            let part = |range| text.get(range).unwrap_or_default();
            let table = table(part(from..to), hunts);
            Ok(format!("{}{begin}{table}{}", part(0..from), part(to..text.len())))
        }
        _ => Err(format!("it has no line `{}` and `{}`", begin.trim(), end.trim())),
    }
}

#[cfg(feature = "planted-bugs")]
fn plant(bug: Option<Bug>) {
    planted::plant(bug);
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(_: Option<Bug>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunts_take_the_place_of_earlier_ones_and_leave_others() {
        let hunt = |bug, seeds| Hunt { bug, seeds, elapsed: Duration::ZERO, found: None };
        let text = |table| format!("a\n{}{table}{}b\n", MARKS[0], MARKS[1]);
        let both = [hunt(Bug::SecondVote, 1), hunt(Bug::TwoHolders, 2)];
        let with_both = with_hunts(&text("old\n".to_owned()), &both).unwrap();
        assert_eq!(with_both, text(table("", &both)));
        let again = with_hunts(&with_both, &[hunt(Bug::TwoHolders, 3)]).unwrap();
        assert_eq!(again, text(table("", &[both[0].clone(), hunt(Bug::TwoHolders, 3)])));
        assert!(with_hunts("a\n", &both).is_err());
    }
}
