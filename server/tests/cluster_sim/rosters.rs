//! Nodes and groups that come and go while the nodes run, and while they die.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc::{LinkError, LinkOptions, connect};
use runtime::Shard;
use runtime::sim::{CrashKind, NodeKey};
use wire::{
    AddGroupReq, AddNodeReq, Command, ListGroupsResp, ListNodesResp, ProcessId, RespCode, Writer,
};

use crate::cluster::{Cluster, client_of, get_surely, put_surely};

pub(crate) const GROUP: i32 = 7;

/// Asks a node on its replicate port.
pub(crate) async fn ask(
    shard: &Shard,
    node: u16,
    command: Command,
    encode: impl FnOnce(&mut Writer<'_>),
) -> Result<Vec<u8>, LinkError> {
    let options = LinkOptions {
        process: ProcessId { high: 1, low: 2 },
        connect_timeout: Duration::from_secs(5),
        ping_interval: Duration::from_millis(500),
        silence_max: Duration::from_secs(3),
        packet_bytes_max: 64 << 10,
    };
    let mut body = Vec::new();
    encode(&mut Writer::new(&mut body));
    let address = SocketAddr::new(NodeKey(node).ip(), 9331);
    connect(shard, address, options, command, &body).await.map(|link| link.answer().to_vec())
}

pub(crate) async fn add_group(shard: &Shard, node: u16, members: &str) -> Result<(), LinkError> {
    let group = AddGroupReq { group_id: GROUP, members: members.into(), ..Default::default() };
    ask(shard, node, Command::RAFT_ADMIN_ADD_GROUP, |out| group.encode(out)).await.map(drop)
}

pub(crate) async fn remove_group(shard: &Shard, node: u16) -> Result<(), LinkError> {
    let encode = |out: &mut Writer<'_>| out.fixed32(1, GROUP as u32);
    ask(shard, node, Command::RAFT_ADMIN_REMOVE_GROUP, encode).await.map(drop)
}

async fn add_node(shard: &Shard, node: u16, new: u16) -> Result<(), LinkError> {
    let host = NodeKey(new).ip().to_string();
    let node_id = i32::from(new);
    let added = AddNodeReq { node_id, host, port: 9331 };
    ask(shard, node, Command::RAFT_ADMIN_ADD_NODE, |out| added.encode(out)).await.map(drop)
}

async fn remove_node(shard: &Shard, node: u16, old: u16) -> Result<(), LinkError> {
    let encode = |out: &mut Writer<'_>| out.fixed32(1, u32::from(old));
    ask(shard, node, Command::RAFT_ADMIN_REMOVE_NODE, encode).await.map(drop)
}

pub(crate) async fn groups(shard: &Shard, node: u16) -> Vec<i32> {
    let answer = ask(shard, node, Command::RAFT_ADMIN_LIST_GROUPS, |_| {}).await.unwrap();
    ListGroupsResp::decode(&answer).unwrap().group_ids
}

async fn nodes(shard: &Shard, node: u16) -> Vec<i32> {
    let answer = ask(shard, node, Command::RAFT_ADMIN_LIST_NODES, |_| {}).await.unwrap();
    ListNodesResp::decode(&answer).unwrap().nodes.iter().map(|node| node.node_id).collect()
}

/// Waits until a node says that it has no group [`GROUP`].
async fn gone(shard: &Shard, node: u16) {
    loop {
        let encode = |out: &mut Writer<'_>| out.fixed32(1, GROUP as u32);
        match ask(shard, node, Command::RAFT_QUERY_STATUS, encode).await {
            Err(LinkError::Refused { code, .. })
                if code == RespCode::RaftGroupNotFound.number() =>
            {
                return;
            }
            _ => shard.clock().sleep(Duration::from_millis(10)).await,
        }
    }
}

#[test]
fn a_group_that_is_added_serves_and_outlasts_a_power_loss() {
    for seed in 0..4 {
        let mut cluster = Cluster::with_shards(seed, 3, 2);
        cluster.wait_ready();
        cluster.run(|shard, _| async move {
            for node in 1..=3 {
                add_group(&shard, node, "1,2,3").await.unwrap();
                assert_eq!(groups(&shard, node).await, [0, 1, GROUP]);
            }
            assert!(add_group(&shard, 1, "1,2,3").await.is_err(), "it is there already");
            put_surely(&shard, &client_of(&shard, 3, GROUP), "a", "1").await;
        });
        (1..=3).for_each(|node| cluster.crash(node, CrashKind::PowerLoss));
        (1..=3).for_each(|node| cluster.start_node(node));
        cluster.wait_ready();
        cluster.run(|shard, _| async move {
            let client = client_of(&shard, 3, GROUP);
            assert_eq!(get_surely(&shard, &client, "a").await, Some("1".to_owned()));
        });
    }
}

#[test]
fn a_removed_group_is_gone_and_comes_back_with_what_it_had() {
    for seed in 0..4 {
        let mut cluster = Cluster::with_shards(seed, 3, 2);
        cluster.wait_ready();
        cluster.run(|shard, _| async move {
            for node in 1..=3 {
                add_group(&shard, node, "1,2,3").await.unwrap();
            }
            put_surely(&shard, &client_of(&shard, 3, GROUP), "a", "1").await;
            for node in 1..=3 {
                remove_group(&shard, node).await.unwrap();
                remove_group(&shard, node).await.unwrap();
                assert_eq!(groups(&shard, node).await, [0, 1]);
            }
            for node in 1..=3 {
                gone(&shard, node).await;
            }
        });
        (1..=3).for_each(|node| cluster.crash(node, CrashKind::Kill));
        (1..=3).for_each(|node| cluster.start_node(node));
        cluster.wait_ready();
        cluster.run(|shard, _| async move {
            for node in 1..=3 {
                assert_eq!(groups(&shard, node).await, [0, 1], "it stays removed");
                add_group(&shard, node, "1,2,3").await.unwrap();
            }
            let client = client_of(&shard, 3, GROUP);
            assert_eq!(get_surely(&shard, &client, "a").await, Some("1".to_owned()));
        });
    }
}

#[test]
fn a_node_that_left_a_group_votes_with_what_it_had_promised() {
    for seed in 0..4 {
        let mut cluster = Cluster::with_shards(seed, 3, 1);
        cluster.wait_ready();
        cluster.run(|shard, _| async move {
            for node in 1..=3 {
                add_group(&shard, node, "1,2,3").await.unwrap();
            }
            let client = client_of(&shard, 3, GROUP);
            put_surely(&shard, &client, "a", "1").await;
            // Node 3 alone lets it go and takes it again: whatever it had acknowledged is there.
            remove_group(&shard, 3).await.unwrap();
            add_group(&shard, 3, "1,2,3").await.unwrap();
            remove_group(&shard, 1).await.unwrap();
            put_surely(&shard, &client, "b", "2").await;
            assert_eq!(get_surely(&shard, &client, "a").await, Some("1".to_owned()));
        });
    }
}

/// Dies at a moment of adding and removing a group again and again, and is asked what has come of it.
#[test]
fn a_node_that_dies_has_a_change_or_does_not_have_it() {
    let (mut had, mut lacked) = (0, 0);
    for seed in 0..24 {
        let mut cluster = Cluster::with_shards(seed, 1, 2);
        cluster.wait_ready();
        // What the last answered order was, and whether another one is under way.
        let known = Arc::new(Mutex::new((false, false)));
        let told = known.clone();
        cluster.launch(move |shard, _| {
            let told = told.clone();
            async move {
                for round in 0.. {
                    let adds = round % 2 == 0;
                    told.lock().unwrap().1 = true;
                    let ended = match adds {
                        true => add_group(&shard, 1, "1").await,
                        false => remove_group(&shard, 1).await,
                    };
                    if ended.is_err() {
                        return;
                    }
                    *told.lock().unwrap() = (adds, false);
                }
            }
        });
        cluster.world.run_for(Duration::from_micros(2_000 + 1_731 * seed)).unwrap();
        cluster.crash(1, [CrashKind::Kill, CrashKind::PowerLoss][seed as usize % 2]);
        let (has, is_open) = *known.lock().unwrap();
        cluster.start_node(1);
        cluster.wait_ready();
        let found = Arc::new(Mutex::new(false));
        let seen = found.clone();
        cluster.run(move |shard, _| {
            let seen = seen.clone();
            async move {
                let has_it = groups(&shard, 1).await.contains(&GROUP);
                *seen.lock().unwrap() = has_it;
                if !has_it {
                    add_group(&shard, 1, "1").await.unwrap();
                }
                put_surely(&shard, &client_of(&shard, 1, GROUP), "a", "1").await;
            }
        });
        let found = *found.lock().unwrap();
        assert!(is_open || found == has, "seed {seed}: answered {has}, found {found}");
        if found { had += 1 } else { lacked += 1 }
    }
    assert!(had > 2 && lacked > 2, "both are seen: {had} and {lacked}");
}

#[test]
fn a_node_that_is_added_is_connected_to_and_takes_part() {
    for seed in 0..3 {
        let mut cluster = Cluster::without_nodes(seed, 4, 1);
        for node in 1..=4 {
            let mut config = cluster.config(node);
            if node < 4 {
                config.nodes.truncate(3);
            }
            config.groups[0].members = vec![1, 2, 3];
            cluster.start_node_with(node, config);
        }
        cluster.wait_ready();
        cluster.run(|shard, _| async move {
            assert!(add_group(&shard, 1, "1,2,3,4").await.is_err(), "node 4 is unknown");
            for node in 1..=3 {
                add_node(&shard, node, 4).await.unwrap();
                add_node(&shard, node, 4).await.unwrap();
                assert_eq!(nodes(&shard, node).await, [1, 2, 3, 4]);
            }
            for node in 1..=4 {
                add_group(&shard, node, "1,2,3,4").await.unwrap();
            }
            // Its founding needs word from every member.
            put_surely(&shard, &client_of(&shard, 4, GROUP), "a", "1").await;
            for other in 2..=4 {
                assert!(remove_node(&shard, 1, other).await.is_err(), "node {other} is in use");
            }
            assert!(remove_node(&shard, 1, 1).await.is_err(), "it is itself");
            for node in 1..=4 {
                remove_group(&shard, node).await.unwrap();
            }
            for node in 1..=3 {
                gone(&shard, node).await;
                remove_node(&shard, node, 4).await.unwrap();
                remove_node(&shard, node, 4).await.unwrap();
                assert_eq!(nodes(&shard, node).await, [1, 2, 3]);
            }
        });
    }
}
