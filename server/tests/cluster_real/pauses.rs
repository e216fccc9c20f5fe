//! Processes that stand still for a while, as under a debugger or on an overloaded machine. A leader
//! that wakes up still believes in its lease, and must not answer by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use client::NodeId;
use client::operations::{GetFrom, ReadMode};
use sim::check::Action;

use crate::cluster::{Cluster, NODES};
use crate::history::{Checked, History};
use crate::load::{Load, name, number};
use crate::process::DEADLINE;
use crate::random::below;
use crate::{alone, setting};

/// Of a client with a call; short, so that it goes on where somebody answers.
const PATIENCE: Duration = Duration::from_millis(300);
/// Reads that wait for a paused node to wake up.
const READERS: u32 = 16;

/// A paused node, with readers that ask it, as the leader that it was, while it does not answer.
struct Pause<'a> {
    cluster: &'a Cluster,
    history: &'a History,
    load: &'a Load,
    nodes: Vec<u32>,
    time: Duration,
    answered: AtomicU32,
}

impl Pause<'_> {
    fn carry_out(&self) -> u32 {
        scope(|threads| {
            for reader in 0..READERS {
                let node = NodeId(self.nodes[reader as usize % self.nodes.len()] as i32);
                let mut client = self.cluster.client(DEADLINE);
                client.query_status(node).unwrap();
                threads.spawn(move || {
                    sleep(self.time * (below(1000) as u32) / 1000);
                    let key = self.load.any_key();
                    let open = self.history.invoke();
                    let text = name(key);
                    let read = GetFrom { key: text.as_bytes(), node, mode: ReadMode::Leader };
                    // Most are refused, because another node leads.
                    if let Ok(found) = client.call(&read) {
                        self.history.returned(key, open, Action::Read(number(found)));
                        self.answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            self.nodes.iter().for_each(|node| self.cluster.signal(*node, "-STOP"));
            sleep(self.time);
            self.nodes.iter().for_each(|node| self.cluster.signal(*node, "-CONT"));
        });
        self.answered.load(Ordering::Relaxed)
    }
}

#[test]
fn a_paused_leader_shows_no_old_value() {
    let _alone = alone();
    let rounds = setting("DONGTING_CLUSTER_PAUSES", 4);
    let longest = setting("DONGTING_CLUSTER_PAUSE_MILLIS", 3_000);
    let cluster = Cluster::start("[raft]\nreads = \"lease\"");
    let history = Arc::new(History::default());
    let mut load = Load::start(&cluster.servers, &history, PATIENCE);
    let (mut checked, mut changes, mut answered) = (Checked::default(), 0, 0);
    for round in 0..rounds {
        let leader = cluster.wait_for_leader();
        sleep(Duration::from_millis(50 + below(200)));
        // Mostly the leader; sometimes a follower, or two nodes, so that nobody can go on.
        let second = NODES[(leader as usize + below(2) as usize) % 3];
        let nodes = match round % 4 {
            2 => vec![second],
            3 => vec![leader, second],
            _ => vec![leader],
        };
        let time = Duration::from_millis(100 + below(longest.max(101) - 100));
        let (cluster, history) = (&cluster, &*history);
        let answered_now = AtomicU32::new(0);
        let pause = Pause { cluster, history, load: &load, nodes, time, answered: answered_now };
        answered += pause.carry_out();
        changes += u32::from(cluster.wait_for_leader() != leader);
        let (more, same) = load.check();
        load = same;
        checked += more;
    }
    drop(load);
    eprintln!(
        "{rounds} pauses of up to {longest} ms, {changes} new leaders, {answered} reads that waited \
         for one to end were answered; {checked:?}, all explained"
    );
}
