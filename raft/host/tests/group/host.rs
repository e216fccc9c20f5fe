//! A group on the real disk, through io_uring.

use std::path::PathBuf;

use runtime::{BootPlan, ShardPlacement, StopHandle, boot};

use crate::ledger::{Ledger, live, small_options};

/// Trap G1: the first file that a thread opens decides how its device is read. A group whose first
/// file is a fresh one serves, stops and reads its log back.
#[test]
fn g1_a_group_founds_stops_and_restarts_on_a_real_disk() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("g1");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).unwrap();
    }
    let ledger = Ledger::default();
    for life in 1..=3 {
        let seen = ledger.clone();
        let plan = BootPlan::new(ShardPlacement::Count(1), directory.clone());
        boot(plan, StopHandle::new(), move |shard| live(shard, small_options(), seen.clone(), 60))
            .unwrap();
        let book = ledger.book();
        assert_eq!(book.opened, life);
        assert_eq!(book.acknowledged.len() as u64, book.proposed);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
