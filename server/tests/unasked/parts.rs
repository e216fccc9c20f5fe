//! What is too much for one answer, and who is told what.

use std::net::SocketAddr;
use std::time::Duration;

use client::fiber::Client;
use client::operations::{BatchGet, Listing};
use client::{BizCode, Error, GroupId, KeyState, NodeId, Options, Server, Step, StepKind};
use runtime::Shard;

use crate::{run, run_on_both, simulated};

/// A client that takes packets of 128 KiB.
fn open(shard: &Shard, address: SocketAddr, group: i32) -> Client {
    let servers = vec![Server { node: NodeId(1), address }];
    let options = Options::new(servers, Client::new_process_id(shard));
    let (group, packet_bytes_max) = (GroupId(group), 128 << 10);
    Client::new(shard, Options { group, packet_bytes_max, ..options }).unwrap()
}

fn name(number: u32) -> Vec<u8> {
    format!("d.k{number}").into_bytes()
}

#[test]
fn long_lists_and_batches_come_in_parts() {
    run_on_both(41, |shard, address, group| async move {
        let client = open(&shard, address, group);
        client.mkdir(b"d").await.unwrap();
        for first in (0..300).step_by(10) {
            let keys: Vec<_> = (first..first + 10).map(name).collect();
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            client.batch_put(&keys, &[&[b'v'; 2_000][..]; 10]).await.unwrap();
        }
        let children = client.list(b"d").await.unwrap();
        let names: Vec<_> =
            children.iter().map(|child| [b"d.", &child.name[..]].concat()).collect();
        assert_eq!(names, (0..300).map(name).collect::<Vec<_>>());
        let keys: Vec<_> = (0..600).map(name).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let nodes = client.batch_get(&keys).await.unwrap();
        let found = nodes.iter().map(|node| node.as_ref().unwrap().is_some());
        assert!(found.eq((0..600).map(|number| number < 300)));
        // What is there all the time is in the list, whatever goes meanwhile: also the very child that
        // a part ends with, which was created together with its neighbours.
        let mut listing = Listing::new(b"d", 5_000);
        let (mut removed, mut parts) = (Vec::new(), 0);
        while let Some(part) = listing.next_part() {
            let reply = client.call(&part).await.unwrap();
            assert!(reply.read_index > 0);
            let last = reply.children.last().unwrap().name.clone();
            listing.take(reply);
            parts += 1;
            if parts % 3 == 0 {
                let key = [b"d.", &last[..]].concat();
                client.remove(&key).await.unwrap();
                removed.push(key);
            }
        }
        assert!(parts > 100);
        let children = listing.into_children();
        let names: Vec<_> =
            children.iter().map(|child| [b"d.", &child.name[..]].concat()).collect();
        assert_eq!(names, (0..300).map(name).collect::<Vec<_>>());
        let left = client.list(b"d").await.unwrap();
        assert_eq!(left.len(), 300 - removed.len());
        assert_eq!(client.list(b"none").await, Err(Error::Refused(BizCode::NotFound)));
    });
}

#[test]
fn answers_that_no_client_takes_are_refused_or_cut() {
    let mut config = simulated::config(1, 1);
    config.rpc.packet_bytes_max = server::config::ByteSize::mib(2);
    config.log.batch_bytes_max = server::config::ByteSize::mib(2);
    config.log.segment_bytes = server::config::ByteSize::mib(8);
    run(42, &config, |shard, address| async move {
        let servers = vec![Server { node: NodeId(1), address }];
        let options = Options::new(servers, Client::new_process_id(&shard));
        let client = Client::new(&shard, options).unwrap();
        let keys: Vec<_> = (0..8).map(|number| vec![b'a' + number]).collect();
        for key in &keys {
            client.put(key, &[b'v'; 1_000_000]).await.unwrap();
        }
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        // A client that asks for all at once, as Dongting's do, is told that it is too much.
        let refused = client.call(&BatchGet { keys: &keys }).await.unwrap_err();
        assert!(refused.to_string().contains("ask for less"), "{refused}");
        assert_eq!(client.batch_get(&keys).await.unwrap().len(), 8);
        assert_eq!(client.list(b"").await.unwrap().len(), 8);
        let gets: Vec<_> =
            keys.iter().map(|&key| Step { kind: StepKind::Get, key, ..Step::default() }).collect();
        let reply = client.transact(&[], &gets, &[]).await.unwrap();
        let client::operations::TransactionDone::Whole(steps) = reply.done else { panic!() };
        assert!(steps[..4].iter().all(|step| step.node.is_some()));
        assert!(steps[4..].iter().all(|step| step.code == BizCode::ValueTooLong));
    });
}

#[test]
fn only_the_keys_beyond_the_limit_are_refused() {
    let mut config = simulated::config(1, 1);
    config.watch.keys_max = 3;
    run(43, &config, |shard, address| async move {
        let client = open(&shard, address, 0);
        let mut watches: Vec<_> =
            (0..5).map(|number| client.watch(&[b'a' + number], 0).unwrap()).collect();
        client.put(b"x", b"v").await.unwrap();
        for watch in &mut watches[..3] {
            assert_eq!(watch.next().await.unwrap().1, KeyState::Missing);
        }
        for watch in &mut watches[3..] {
            let refused = watch.next().await.unwrap_err();
            assert!(refused.to_string().contains("watch.keys_max"), "{refused}");
        }
        let put = client.put(b"b", b"v").await.unwrap().raft_index;
        let told = shard.clock().timeout(Duration::from_secs(5), watches[1].next()).await;
        assert_eq!(told, Some(Ok((put, KeyState::Value(b"v".to_vec())))));
    });
}
