//! A healthy group under a small load meets one set of links after the other.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use runtime::sim::NodeKey;

use super::link_set::LinkSet;
use crate::exhaust::stage::{GROUP, Settings, Stage};
use crate::violation::{Rule, Violation};

/// Sets of links, one after the other. As text, their numbers: `12-40`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Walk(pub Vec<LinkSet>);

/// What a walk was like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Sets in which the group had to serve.
    pub serving: u64,
    /// Sets in which it could not.
    pub silent: u64,
    /// World time.
    pub simulated: Duration,
}

/// Time in which a group comes to terms with other links: connections of which only one direction is
/// left are given up after a second, and then somebody is elected.
const GRACE: Duration = Duration::from_secs(3);
/// How long it is watched then, in so many parts: in each of them something is acknowledged.
const WATCHED: Duration = Duration::from_secs(2);
const PARTS: u32 = 4;
/// How long nothing is written before, and how long a new client has to find its leader.
const QUIET: Duration = Duration::from_secs(1);
/// Pause of the client between two writes.
const PAUSE: Duration = Duration::from_millis(20);
/// More writes than there is time for.
const WRITES: usize = 4_000;
/// Time in which all is well again once all links are up.
const HEALING: Duration = Duration::from_secs(5);

impl Walk {
    /// Goes the walk.
    ///
    /// # Errors
    /// The rule that is broken on it.
    pub fn go(&self) -> Result<Report, Violation> {
        self.go_with(|set| set)
    }

    /// Goes the walk over links that are not what they are said to be.
    ///
    /// # Errors
    /// The rule that is broken on it.
    pub fn go_with(&self, real: impl Fn(LinkSet) -> LinkSet) -> Result<Report, Violation> {
        let mut report = Report::default();
        let mut stage = Stage::new(Settings::of(3));
        stage.start_all();
        stage.until("the servers serve", Stage::is_settled)?;
        stage.write(&[100; 3]);
        stage.until("the servers are level", |stage| stage.has_written() && stage.is_settled())?;
        for set in &self.0 {
            stage.stop_writing();
            // Nobody unseats a leader that can talk to a majority, not even who cannot hear it.
            let leader = stage.leader().filter(|leader| set.can_lead(*leader));
            let led = leader.map(|leader| (leader, terms_of(&stage)));
            real(*set).apply(&stage.world);
            stage.pass(GRACE)?;
            check_unseated(&stage, *set, led)?;
            // Equal logs: nothing but its leader keeps a member from standing for election.
            still(&mut stage, *set, |stage| stage.pass(QUIET))?;
            stage.write_slowly(&[100; WRITES], PAUSE);
            stage.pass(QUIET)?;
            still(&mut stage, *set, |stage| watch(stage, *set))?;
            match set.can_serve() {
                true => report.serving += 1,
                false => report.silent += 1,
            }
        }
        real(LinkSet::WHOLE).apply(&stage.world);
        heal(&mut stage)?;
        report.simulated = Duration::from_nanos(stage.world.now().as_nanos());
        Ok(report)
    }
}

/// Checks that who led goes on doing so, in the same term.
fn check_unseated(
    stage: &Stage,
    set: LinkSet,
    led: Option<(u16, Vec<u32>)>,
) -> Result<(), Violation> {
    let Some((leader, terms)) = led else { return Ok(()) };
    let (now, before) = (terms_of(stage), usize::from(leader) - 1);
    if stage.leader() != Some(leader) || now.get(before) != terms.get(before) {
        let what = format!(
            "links {set}: server {leader} led, and now {:?} does; the terms went from {terms:?} to \
             {now:?}",
            stage.leader()
        );
        return Err(Violation::new(Rule::Calm, what));
    }
    Ok(())
}

/// Checks that no term changes while something goes on.
fn still(
    stage: &mut Stage,
    set: LinkSet,
    act: impl FnOnce(&mut Stage) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let terms = terms_of(stage);
    act(stage)?;
    let now = terms_of(stage);
    if now != terms {
        let what = format!("links {set}: the terms went from {terms:?} to {now:?}");
        return Err(Violation::new(Rule::Calm, what));
    }
    Ok(())
}

/// Watches a group under load that has had its time to come to terms with its links.
fn watch(stage: &mut Stage, set: LinkSet) -> Result<(), Violation> {
    for part in 0..PARTS {
        let (_, before) = stage.ledger.counts();
        stage.pass(WATCHED / PARTS)?;
        let (_, after) = stage.ledger.counts();
        if set.can_serve() && after == before {
            let told = stage.members().tell().join("; ");
            let what = format!("links {set}: nothing is acknowledged in part {part}: {told}");
            return Err(Violation::new(Rule::Liveness, what));
        }
        if !set.can_serve() && after > before {
            let what = format!("links {set}: {} writes are acknowledged", after - before);
            return Err(Violation::new(Rule::DurableQuorum, what));
        }
    }
    Ok(())
}

/// All links are up: the client gets on, and then all members are the same.
fn heal(stage: &mut Stage) -> Result<(), Violation> {
    let (begun, _) = stage.ledger.counts();
    let goes_on = |stage: &Stage| stage.ledger.counts().1 > begun + 2;
    if !stage.until_within(HEALING, goes_on)? {
        let told = stage.members().tell().join("; ");
        let what = format!("nobody serves {HEALING:?} after all links are up: {told}");
        return Err(Violation::new(Rule::Liveness, what));
    }
    stage.stop_writing();
    stage.until("all members are the same", Stage::is_settled)?;
    stage.check_trees()
}

/// The terms of all members.
fn terms_of(stage: &Stage) -> Vec<u32> {
    let members = stage.members();
    let seen = stage.nodes().map(|number| members.last_seen(NodeKey(number), GROUP));
    seen.map(|seen| seen.map_or(0, |seen| seen.term)).collect()
}

impl fmt::Display for Walk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(|set| set.number().to_string()).collect();
        formatter.write_str(&numbers.join("-"))
    }
}

impl FromStr for Walk {
    type Err = String;

    fn from_str(text: &str) -> Result<Walk, String> {
        let set = |number: &str| number.parse().ok().and_then(LinkSet::of);
        let sets = text.split('-').map(set).collect::<Option<_>>();
        sets.map(Walk).ok_or_else(|| format!("`{text}` is no walk; one looks like 12-40"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        for text in ["0", "12-40", "63-0-63"] {
            assert_eq!(text.parse::<Walk>().map(|walk| walk.to_string()), Ok(text.to_owned()));
        }
        assert!("64".parse::<Walk>().is_err());
        assert!("".parse::<Walk>().is_err());
    }
}
