//! Small cuts of the exhaustive checks, and proof that each of them can fail.

use runtime::sim::{DiskEffect, DiskFault, DiskOperation, NodeKey};
use sim::exhaust::crash::explore::{Counts, Extent, explore};
use sim::exhaust::crash::replay;
use sim::exhaust::crash::script::Script;
use sim::exhaust::crash::scripts;
use sim::exhaust::links::link_set::LinkSet;
use sim::exhaust::links::walk::Walk;
use sim::exhaust::model::host::Mistake;
use sim::exhaust::model::openings;
use sim::exhaust::model::search::{self, search};
use sim::violation::Rule;

/// One in so many moments of each script: a minute goes far.
const QUICK: Extent =
    Extent { deaths: 2, scene_stride: 29, nested_stride: 41, fate_stride: 11, failure_stride: 53 };

#[test]
fn a_server_that_dies_at_any_storage_operation_comes_back_with_everything() {
    for script in scripts::ALL {
        let mut tell = |_: &Counts| {};
        let (counts, found) = explore(script, QUICK, &mut tell);
        assert_eq!(found, None, "{}", script.name);
        assert!(counts.recoveries > 0 && counts.cases > counts.recoveries, "{counts:?}");
    }
}

/// A disk that forgets a write that it said was done: no check may overlook that.
#[test]
fn a_disk_that_forgets_a_write_is_noticed_and_the_case_can_be_repeated() {
    let forgetful = Script {
        name: "segments",
        prepare: |stage| {
            let victim = (scripts::named("segments").unwrap().prepare)(stage)?;
            let fault = DiskFault::new(DiskOperation::Write, DiskEffect::Lose).path("/log");
            let fault = fault.range(4096..u64::MAX).times(1);
            stage.world.disk(NodeKey(victim)).add_fault(fault);
            Ok(victim)
        },
        ..*scripts::named("segments").unwrap()
    };
    let extent = Extent { deaths: 1, ..QUICK };
    let (_, found) = explore(&forgetful, extent, &mut |_| {});
    let found = found.unwrap();
    let rules = [Rule::Ending, Rule::Answer, Rule::CommittedEntry, Rule::Durable];
    assert!(rules.contains(&found.violation.rule), "{}", found.violation);
    // On a good disk the same case breaks nothing, and is told.
    let mut story = Vec::new();
    let again = replay::replay(&found.case, &mut |line| story.push(line)).unwrap();
    assert_eq!(again, Ok(()));
    assert!(story.len() > 1, "{story:?}");
}

#[test]
fn with_every_set_of_links_a_group_does_what_it_can() {
    for set in LinkSet::all() {
        let walk = Walk(vec![set]);
        walk.go().unwrap_or_else(|violation| panic!("{walk}: {violation}"));
    }
}

#[test]
fn after_other_links_a_group_does_what_it_can() {
    let sets = || LinkSet::all().step_by(9);
    for (from, to) in sets().flat_map(|from| sets().map(move |to| (from, to))).step_by(7) {
        let walk = Walk(vec![from, to]);
        walk.go().unwrap_or_else(|violation| panic!("{walk}: {violation}"));
    }
}

#[test]
fn links_that_are_not_what_they_are_said_to_be_are_noticed() {
    let none = LinkSet::of(0).unwrap();
    let silent = Walk(vec![LinkSet::WHOLE]).go_with(|_| none);
    assert_eq!(silent.unwrap_err().rule, Rule::Calm);
    let serving = Walk(vec![none]).go_with(|_| LinkSet::WHOLE);
    assert_eq!(serving.unwrap_err().rule, Rule::DurableQuorum);
}

#[test]
fn no_interleaving_of_a_small_group_breaks_a_rule() {
    for opening in openings::ALL {
        let (counts, found) = search(opening, opening.quick, Mistake::None, 1_000_000, &mut |_| {});
        assert_eq!(found, None, "{}", opening.name);
        assert_eq!(counts.open, 0, "{}: {counts:?}", opening.name);
    }
}

#[test]
fn hosts_that_break_the_contract_of_the_core_are_found_out() {
    for (mistake, name, rules) in [
        (Mistake::HardStateEarly, "elect", [Rule::Promise, Rule::OneLeader]),
        (Mistake::VoteForgotten, "elect", [Rule::Promise, Rule::OneLeader]),
        (Mistake::LogEarly, "replicate", [Rule::DurableQuorum, Rule::LeaderComplete]),
    ] {
        let opening = openings::named(name).unwrap();
        let (counts, found) = search(opening, opening.deep, mistake, 300_000, &mut |_| {});
        let found = found.unwrap_or_else(|| panic!("{mistake:?} is not found in {counts:?}"));
        assert!(rules.contains(&found.violation.rule), "{mistake:?}: {}", found.violation);
        let again = search::replay(opening, opening.deep, mistake, &found.path, &mut |_| {});
        assert_eq!(again, Err(found.violation));
    }
}
