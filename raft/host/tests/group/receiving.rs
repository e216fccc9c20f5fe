//! A member that is sent a snapshot while its disk fails, or while it saves one itself.

use std::time::Duration;

use raft_core::{Change, Members, RoleName};
use raft_host::Group;
use runtime::Shard;
use runtime::sim::{DiskEffect, DiskFault, DiskOperation, EIO, Ending, Run, World, WorldOptions};

use crate::ledger::{Ledger, LifeError, Machine, payload_of};
use crate::members::{Cluster, LONG, Log, MEMBERS, NODE};

/// The pause after a failure, and some time for the second attempt.
const ENOUGH: Duration = Duration::from_secs(7);

/// Those who are not cut off write more than their log keeps.
async fn go_on(shard: &Shard, cluster: &Cluster) {
    let cut = *cluster.post.cut.borrow();
    let mut number = 0;
    for _ in 0..120 {
        let is_there = |group: &&Group<Machine>| Some(group.status().raft.id) != cut;
        let Some(leader) = cluster.leaders().find(is_there) else { continue };
        for _ in 0..20 {
            number += 1;
            leader.propose([&payload_of(number), &[]], number).unwrap();
        }
        shard.clock().sleep(Duration::from_millis(30)).await;
    }
    *cluster.post.cut.borrow_mut() = None;
}

/// One member is away until it needs a snapshot, and is to have it in time.
async fn catch_up(shard: Shard, ledgers: [Ledger; 3]) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, Log::Short).await?;
    cluster.converge(&shard).await;
    let is_away = |place: &usize| cluster.groups[*place].status().raft.role != RoleName::Leader;
    let place = (0..MEMBERS.len()).find(is_away).unwrap();
    *cluster.post.cut.borrow_mut() = Some(MEMBERS[place]);
    go_on(&shard, &cluster).await;
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
        end(&world, &world.start(NODE, 1, |shard| catch_up(shard, <[Ledger; 3]>::default())));
    }
}

fn end(world: &World, run: &Run<LifeError>) {
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap());
    match run.take_ending() {
        Some(Ending::Good) => {}
        Some(Ending::Failed(LifeError::Group(error))) => panic!("{error}"),
        _ => panic!("the process failed"),
    }
}

/// The leader is cut off in the middle of a change, and saves a snapshot, for which the change has to
/// be committed; meanwhile the others go so far ahead that only theirs helps it.
async fn save_in_a_change(shard: Shard, ledgers: [Ledger; 3]) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, Log::Short).await?;
    cluster.converge(&shard).await;
    let leader = cluster.leaders().next().unwrap().clone();
    let id = leader.status().raft.id;
    leader.propose([&payload_of(10_000), &[]], 10_000).unwrap();
    shard.clock().sleep(Duration::from_millis(100)).await;
    *cluster.post.cut.borrow_mut() = Some(id);
    let next = Members::of(MEMBERS.into_iter().filter(|member| *member != id), []);
    let change = Change::Prepare { current: Members::of(MEMBERS, []), next };
    let change = leader.change(change, LONG);
    assert!(shard.clock().timeout(Duration::from_millis(100), change).await.is_none());
    let saver = leader.clone();
    shard.fibers().spawn_daemon("save", async move { drop(saver.save_snapshot().await) });
    let others = || cluster.leaders().any(|group| group.status().raft.id != id);
    while !others() {
        shard.clock().sleep(Duration::from_millis(20)).await;
    }
    go_on(&shard, &cluster).await;
    cluster.converge(&shard).await;
    assert!(leader.snapshots().stored.iter().any(|stored| stored.bytes > 0));
    for group in &cluster.groups {
        group.stop().await?;
    }
    Ok(())
}

#[test]
fn a_snapshot_that_is_received_waits_for_none_that_cannot_be_saved() {
    for seed in 1..5 {
        let world = World::new(WorldOptions::new(seed));
        let ledgers = <[Ledger; 3]>::default();
        let books = ledgers.clone();
        end(&world, &world.start(NODE, 1, move |shard| save_in_a_change(shard, books.clone())));
        let loads: u64 = ledgers.iter().map(|ledger| ledger.book().loads).sum();
        assert!(loads > 0, "seed {seed}");
    }
}
