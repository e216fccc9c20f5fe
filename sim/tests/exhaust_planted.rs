//! Planted bugs that the exhaustive deaths find: see `docs/testing.md`.

use planted::Bug;
use sim::exhaust::crash::explore::{Extent, explore};
use sim::exhaust::crash::scripts;

/// Bugs are planted in the whole process: all of this is one test.
#[test]
fn deaths_find_what_is_planted() {
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
    planted::plant(None);
}
