//! Leadership moves, and groups come and go, while clients put as fast as they can: none of them sees
//! an error, and nothing acknowledged is lost.

use std::thread;
use std::time::Duration;

use client::blocking::Client;
use client::operations::administration::{Administration, AtNode, RemoveGroup, StatusOf};
use client::{GroupId, NodeId, Server};
use wire::{AddGroupReq, TransferLeaderReq};

use crate::cluster::{Cluster, NODES, client};
use crate::full_load::{FullLoad, QUIET};
use crate::process::DEADLINE;
use crate::{alone, setting};

const GROUP: GroupId = GroupId(0);

/// A client for the ports for administration.
fn administrator(cluster: &Cluster) -> Client {
    let server =
        |node: u32| Server { node: NodeId(node as i32), address: cluster.replicate_of(node) };
    client(&NODES.map(server), DEADLINE)
}

fn ask<R: Administration>(client: &mut Client, node: u32, request: R) -> R::Reply {
    client.call(&AtNode { node: NodeId(node as i32), request }).unwrap()
}

#[test]
fn leadership_moves_again_and_again_under_full_load() {
    let _alone = alone();
    let moves = setting("DONGTING_CLUSTER_MOVES", 20);
    let cluster = Cluster::start("");
    let mut leader = cluster.wait_for_leader();
    let mut administrator = administrator(&cluster);
    let load = FullLoad::start(&cluster);
    load.go_on(QUIET);
    let begun = ask(&mut administrator, leader, StatusOf(GROUP)).term;
    for round in 0..moves {
        let to = NODES[(leader as usize + (round % 2) as usize) % 3];
        let order = TransferLeaderReq {
            group_id: GROUP.0,
            old_leader_id: leader as i32,
            new_leader_id: to as i32,
            ..TransferLeaderReq::default()
        };
        ask(&mut administrator, leader, order);
        leader = to;
        while ask(&mut administrator, to, StatusOf(GROUP)).leader_id != to as i32 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    load.go_on(1);
    let terms = ask(&mut administrator, leader, StatusOf(GROUP)).term - begun;
    let elections = (terms as u64).saturating_sub(moves);
    load.end(QUIET, elections);
    eprintln!("{moves} moves, {elections} elections beside them");
}

#[test]
fn groups_come_and_go_under_full_load() {
    let _alone = alone();
    let groups = setting("DONGTING_CLUSTER_GROUPS", 5) as i32;
    // Removed groups keep their files until the end.
    let cluster = Cluster::start("[log]\nsegment_bytes = \"32MiB\"");
    cluster.wait_for_leader();
    let mut administrator = administrator(&cluster);
    let load = FullLoad::start(&cluster);
    load.go_on(QUIET);
    let begun = ask(&mut administrator, 1, StatusOf(GROUP)).term;
    for group in 1..=groups {
        for node in NODES {
            let members = "1,2,3".to_owned();
            let request = AddGroupReq { group_id: group, members, ..AddGroupReq::default() };
            ask(&mut administrator, node, request);
        }
        let mut client = client_of(&cluster, group);
        while client.put(b"a", b"1").is_err() {
            assert!(!load.has_ended(), "the load ended");
        }
        if group % 2 == 0 {
            continue;
        }
        for node in NODES {
            ask(&mut administrator, node, RemoveGroup(GroupId(group)));
        }
    }
    for group in (2..=groups).step_by(2) {
        for node in NODES {
            ask(&mut administrator, node, RemoveGroup(GroupId(group)));
        }
    }
    load.go_on(1);
    let elections = ask(&mut administrator, 1, StatusOf(GROUP)).term - begun;
    load.end(QUIET, elections as u64);
    eprintln!("{groups} groups");
}

fn client_of(cluster: &Cluster, group: i32) -> Client {
    let options = client::Options {
        group: GroupId(group),
        call_timeout: Duration::from_secs(2),
        ..client::Options::new(cluster.servers.clone(), client::new_process_id())
    };
    Client::new(options).unwrap()
}
