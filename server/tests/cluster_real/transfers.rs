//! Leadership is handed over on purpose, by order and by a stop, and writes go on.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use wire::{Command, TransferLeaderReq};

use crate::cluster::{Cluster, NODES};
use crate::history::History;
use crate::load::Load;
use crate::random::below;
use crate::raw::{RawConnection, budget, request};
use crate::times::Times;
use crate::{alone, setting};

/// The longest time without an acknowledged write.
const GAP_MAX: Duration = Duration::from_millis(100);

fn transfer(cluster: &Cluster, from: u32, to: u32) {
    let order = TransferLeaderReq {
        old_leader_id: from as i32,
        new_leader_id: to as i32,
        ..TransferLeaderReq::default()
    };
    let mut connection = RawConnection::introduced(cluster.replicate_of(from));
    let command = Command::RAFT_ADMIN_TRANSFER_LEADER;
    connection.send(&request(command, 2, budget(), |writer| order.encode(writer)));
    let answer = connection.answer();
    assert_eq!(answer.resp_code, 0, "{}", answer.message);
}

/// Of a client with a call; longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn writes_go_on_while_leadership_is_handed_over() {
    let _alone = alone();
    let rounds = setting("DONGTING_CLUSTER_TRANSFERS", 6);
    let mut cluster = Cluster::start("");
    let history = Arc::new(History::default());
    let mut leader = cluster.wait_for_leader();
    let load = Load::start(&cluster.servers, &history, PATIENCE);
    let (mut orders, mut stops) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        sleep(Duration::from_millis(200));
        let begin = Instant::now();
        if round % 3 == 2 {
            cluster.stop(leader);
            sleep(Duration::from_millis(200));
            stops.push(history.longest_gap(begin));
            cluster.start_node(leader);
        } else {
            let to = NODES[(leader as usize + below(2) as usize) % 3];
            transfer(&cluster, leader, to);
            sleep(Duration::from_millis(200));
            orders.push(history.longest_gap(begin));
            assert_eq!(cluster.wait_for_leader(), to);
        }
        leader = cluster.wait_for_leader();
    }
    let (checked, load) = load.check();
    drop(load);
    let (orders, stops) = (Times::of(orders), Times::of(stops));
    eprintln!("{checked:?}, all explained");
    eprintln!("longest time without a write, by order: {orders}; by a stop: {stops}");
    let percent = if rounds >= 50 { 99 } else { 50 };
    for times in [orders, stops] {
        assert!(times.percentile(percent) <= GAP_MAX, "{times}, not within {GAP_MAX:?}");
    }
}
