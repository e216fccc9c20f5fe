//! A member that is sent a snapshot while its disk fails.

use std::time::Duration;

use raft_core::RoleName;
use runtime::Shard;
use runtime::sim::{DiskEffect, DiskFault, DiskOperation, EIO, Ending, World, WorldOptions};

use crate::ledger::{Ledger, LifeError, payload_of};
use crate::members::{Cluster, LONG, Log, MEMBERS, NODE};

/// The pause after a failure, and some time for the second attempt.
const ENOUGH: Duration = Duration::from_secs(7);

/// One member is away until it needs a snapshot, and is to have it in time.
async fn catch_up(shard: Shard, ledgers: [Ledger; 3]) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, Log::Short).await?;
    cluster.converge(&shard).await;
    let is_away = |place: &usize| cluster.groups[*place].status().raft.role != RoleName::Leader;
    let place = (0..MEMBERS.len()).find(is_away).unwrap();
    *cluster.post.cut.borrow_mut() = Some(MEMBERS[place]);
    let mut number = 0;
    for _ in 0..120 {
        let leader = cluster.leaders().next().unwrap();
        for _ in 0..20 {
            number += 1;
            leader.propose([&payload_of(number), &[]], number).unwrap();
        }
        shard.clock().sleep(Duration::from_millis(30)).await;
    }
    *cluster.post.cut.borrow_mut() = None;
    let healed = shard.clock().now();
    cluster.converge(&shard).await;
    let took = shard.clock().now().since(healed);
    assert!(took < ENOUGH, "the second attempt is in vain: {took:?}");
    for group in &cluster.groups {
        group.stop().await?;
    }
    Ok(())
}

/// What a write that failed should have written is asked for again.
#[test]
fn a_write_that_fails_while_a_snapshot_comes_costs_one_attempt() {
    for (seed, from) in [(1, 0), (2, 0), (3, 4096), (4, 8192)] {
        let world = World::new(WorldOptions::new(seed));
        let fault = DiskFault::new(DiskOperation::Write, DiskEffect::Error(EIO));
        world.disk(NODE).add_fault(fault.path(".part").range(from..u64::MAX).times(1));
        let run = world.start(NODE, 1, |shard| catch_up(shard, <[Ledger; 3]>::default()));
        assert!(world.run_until(|_| run.has_ended(), LONG).unwrap());
        match run.take_ending() {
            Some(Ending::Good) => {}
            Some(Ending::Failed(LifeError::Group(error))) => panic!("{error}"),
            _ => panic!("the process failed"),
        }
    }
}
