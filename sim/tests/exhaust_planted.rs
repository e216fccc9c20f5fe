//! Planted bugs that each of the exhaustive checks finds: see `docs/testing.md`.

use planted::Bug;
use sim::exhaust::crash::explore::{Extent, explore};
use sim::exhaust::crash::scripts;
use sim::exhaust::links::link_set::LinkSet;
use sim::exhaust::links::walk::Walk;
use sim::exhaust::model::host::Mistake;
use sim::exhaust::model::openings;
use sim::exhaust::model::search::search;

/// Bugs are planted in the whole process: all of this is one test.
#[test]
fn each_check_finds_what_is_planted() {
    for (bug, script) in [
        (Bug::HardStateVolatile, "vote"),
        (Bug::AcknowledgedBeforeWritten, "segments"),
        (Bug::RestartNotSynced, "segments"),
    ] {
        planted::plant(Some(bug));
        let extent = Extent {
            deaths: 2,
            scene_stride: 3,
            nested_stride: 5,
            fate_stride: 3,
            failure_stride: 7,
        };
        let (counts, found) = explore(scripts::named(script).unwrap(), extent, &mut |_| {});
        println!("{}: {counts:?} {found:?}", bug.name());
        assert!(found.is_some(), "{} is not found: {counts:?}", bug.name());
    }
    for bug in [Bug::Disloyal] {
        planted::plant(Some(bug));
        let found = LinkSet::all().find_map(|set| Walk(vec![set]).go().err());
        println!("{}: {found:?}", bug.name());
        assert!(found.is_some(), "{} is not found", bug.name());
    }
    for (bug, opening, budget) in [
        (Bug::SecondVote, "elect", "2.0.0.0.0.0.0"),
        (Bug::VoteBeforeDurable, "elect", "2.1.0.0.0.0.0"),
        (Bug::LeaderCountsUnwritten, "replicate", "0.0.0.0.0.1.0"),
        (Bug::FollowerAcknowledgesUnwritten, "replicate", "0.0.0.0.0.1.0"),
        (Bug::NextHalfIgnored, "change", "0.0.0.0.0.0.1"),
        (Bug::OneHalfEnough, "change", "0.0.0.0.0.0.1"),
    ] {
        planted::plant(Some(bug));
        let (opening, budget) = (openings::named(opening).unwrap(), budget.parse().unwrap());
        let (counts, found) = search(opening, budget, Mistake::None, 600_000, &mut |_| {});
        println!("{}: {counts:?} {found:?}", bug.name());
        assert!(found.is_some(), "{} is not found: {counts:?}", bug.name());
    }
    planted::plant(None);
}
