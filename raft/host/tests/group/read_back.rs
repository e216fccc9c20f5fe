//! Members that restart begin to read behind their snapshots; who was away before that is helped by
//! the log in front of them nevertheless, unless it went bad.

use std::time::Duration;

use raft_core::{Index, RoleName};
use runtime::Shard;
use runtime::sim::{Ending, World, WorldOptions};

use crate::ledger::{Ledger, LifeError, payload_of};
use crate::members::{Cluster, LONG, Log, MEMBERS, NODE};

/// Which member was away in the first life.
type Away = std::sync::Arc<std::sync::Mutex<usize>>;

/// One member misses most of what is proposed.
async fn without_one(shard: Shard, ledgers: [Ledger; 3], away: Away) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, Log::Kept).await?;
    let mut number = 0;
    for round in 0..120 {
        while cluster.leaders().count() == 0 {
            shard.clock().sleep(Duration::from_millis(20)).await;
        }
        if round == 3 {
            let follows =
                |place: &usize| cluster.groups[*place].status().raft.role != RoleName::Leader;
            let place = (0..MEMBERS.len()).rev().find(follows).unwrap();
            *away.lock().unwrap() = place;
            *cluster.post.cut.borrow_mut() = Some(MEMBERS[place]);
        }
        let leader = cluster.leaders().next().unwrap();
        for _ in 0..20 {
            number += 1;
            leader.propose([&payload_of(number), &[]], number).unwrap();
        }
        shard.clock().sleep(Duration::from_millis(30)).await;
    }
    for group in &cluster.groups {
        group.stop().await?;
    }
    Ok(())
}

/// All are there again, and old entries can be read where they are intact.
async fn together(
    shard: Shard,
    ledgers: [Ledger; 3],
    (away, is_intact): (usize, bool),
) -> Result<(), LifeError> {
    let cluster = Cluster::open(&shard, &ledgers, Log::Kept).await?;
    let mut pages = cluster.groups[(away + 1) % MEMBERS.len()].log_pages();
    let page = pages.page(Index(2), 100).await?;
    assert_eq!(page.is_some_and(|page| page.commands().next().is_some()), is_intact);
    pages.close().await;
    cluster.converge(&shard).await;
    for group in &cluster.groups {
        group.stop().await?;
    }
    Ok(())
}

fn end(world: &World, run: &runtime::sim::Run<LifeError>) {
    assert!(world.run_until(|_| run.has_ended(), LONG).unwrap());
    match run.take_ending() {
        Some(Ending::Good) => {}
        Some(Ending::Failed(LifeError::Group(error))) => panic!("{error}"),
        _ => panic!("the process failed"),
    }
}

/// How many snapshots the member that was away has loaded in its second life, when in between
/// `damage` happened to the oldest segments of the others: a bit at this place is flipped.
fn loads_of_the_one_away(seed: u64, damage: Option<u64>) -> u64 {
    let world = World::new(WorldOptions::new(seed));
    let (ledgers, away) = (<[Ledger; 3]>::default(), Away::default());
    let books = (ledgers.clone(), away.clone());
    end(
        &world,
        &world.start(NODE, 1, move |shard| without_one(shard, books.0.clone(), books.1.clone())),
    );
    let place = *away.lock().unwrap();
    let disk = world.disk(NODE);
    for node in (0..MEMBERS.len()).filter(|node| *node != place) {
        let dir = format!("member{}/7/log/", MEMBERS[node]);
        let segments: Vec<_> =
            disk.paths().into_iter().filter(|path| path.starts_with(&dir)).collect();
        assert!(segments.len() > 10, "{segments:?}");
        // That with the entries that come after the first ones: the member away lacks them.
        if let Some(byte) = damage {
            assert!(disk.flip_bit(&segments[1], byte * 8));
        }
    }
    let before = ledgers[place].book().loads;
    let (books, how) = (ledgers.clone(), (place, damage.is_none()));
    end(&world, &world.start(NODE, 1, move |shard| together(shard, books.clone(), how)));
    let applied: Vec<_> = ledgers.iter().map(|ledger| ledger.book().applied.clone()).collect();
    assert!(applied[0].len() >= 2400, "{}", applied[0].len());
    assert!(applied[1] == applied[0] && applied[2] == applied[0], "members have the same");
    ledgers[place].book().loads - before
}

#[test]
fn log_in_front_of_the_snapshot_is_read_back_for_who_needs_it() {
    for seed in 1..4 {
        // Its own one, at its start.
        assert_eq!(loads_of_the_one_away(seed, None), 1, "seed {seed}");
    }
}

/// Pitfall 22: damage in log that was left out at the start is found before anything of it is sent:
/// in the first frame's header, in a record of it, in the segment's header.
#[test]
fn pitfall_22_damage_in_log_that_was_left_out_is_never_served() {
    for (seed, byte) in [(1, 4096 + 20), (2, 4096 + 96 + 34), (3, 50), (4, 4096 + 8)] {
        assert_eq!(loads_of_the_one_away(seed, Some(byte)), 2, "byte {byte}");
    }
}
