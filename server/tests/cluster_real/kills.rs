//! `kill -9` of the leader, of a follower, of all nodes.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, NODES};
use crate::history::{Checked, History};
use crate::load::Load;
use crate::process::DEADLINE;
use crate::random::below;
use crate::times::Times;
use crate::{alone, setting};

/// The default of `raft.election_timeout`.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);
/// The service is back within this after any node was lost.
const BACK_MAX: Duration = Duration::from_millis(2 * ELECTION_TIMEOUT.as_millis() as u64 + 200);

/// A pause of this process that is longer says that the machine had no time for anybody.
const STALL: Duration = Duration::from_millis(250);

/// Waits for a write that was asked for and acknowledged after `since`; says how long that took, or
/// `None` when this process itself stood still meanwhile.
fn wait_for_service(history: &History, cluster: &Cluster, since: Instant) -> Option<Duration> {
    let (mut last, mut has_stalled) = (Instant::now(), false);
    loop {
        if let Some(at) = history.served_after(since) {
            return (!has_stalled).then_some(at - since);
        }
        assert!(since.elapsed() < DEADLINE, "no write succeeds\n{}", cluster.all_said());
        sleep(Duration::from_millis(1));
        has_stalled |= last.elapsed() > STALL;
        last = Instant::now();
    }
}

/// Of a client with a call; longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn no_kill_loses_a_write_or_shows_an_old_value() {
    let _alone = alone();
    let rounds = setting("DONGTING_CLUSTER_KILLS", 6);
    let mut cluster = Cluster::start("");
    let history = Arc::new(History::default());
    let mut leader = cluster.wait_for_leader();
    let mut load = Load::start(&cluster.servers, &history, PATIENCE);
    let mut checked = Checked::default();
    let (mut leaders, mut followers, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        sleep(Duration::from_millis(100 + below(400)));
        let others: Vec<u32> = NODES.into_iter().filter(|node| *node != leader).collect();
        let (killed, times) = match round % 3 {
            0 => (vec![leader], &mut leaders),
            1 => (vec![others[below(2) as usize]], &mut followers),
            _ => (NODES.to_vec(), &mut all),
        };
        let at = Instant::now();
        killed.iter().for_each(|node| cluster.kill(*node));
        if killed.len() == 3 {
            killed.iter().for_each(|node| cluster.start_node(*node));
            times.extend(wait_for_service(&history, &cluster, at));
        } else {
            times.extend(wait_for_service(&history, &cluster, at));
            sleep(Duration::from_millis(below(300)));
            killed.iter().for_each(|node| cluster.start_node(*node));
        }
        leader = cluster.wait_for_leader();
        let (more, same) = load.check();
        (checked, load) = (sum(checked, more), same);
    }
    drop(load);
    eprintln!("{rounds} kills; {checked:?}, all explained");
    let lost = Times::of(leaders);
    eprintln!("service back after the leader: {lost}");
    eprintln!("service back after a follower: {}", Times::of(followers));
    eprintln!("service back after all nodes, their start included: {}", Times::of(all));
    // A few rounds on a busy machine say little about the slowest one.
    let percent = if rounds >= 50 { 99 } else { 50 };
    assert!(lost.percentile(percent) <= BACK_MAX, "{lost}, not within {BACK_MAX:?}");
}

fn sum(mut checked: Checked, more: Checked) -> Checked {
    checked += more;
    checked
}
