//! The blocking drivers against servers on real sockets.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

mod server;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use client::blocking::{Client, Pipeline};
use client::operations::{CompareAndSetReply, Get, Put, PutReply};
use client::{Error, NodeId, Options, Reason, new_process_id};
use socket2::{Domain, Socket, Type};
use wire::BizCode;

use crate::server::{Manner, Server};

fn options(addresses: &[SocketAddr]) -> Options {
    let servers = (1..).zip(addresses);
    let servers = servers.map(|(node, &address)| client::Server { node: NodeId(node), address });
    Options::new(servers.collect(), new_process_id())
}

fn client(servers: &[&Server]) -> Client {
    let addresses: Vec<_> = servers.iter().map(|server| server.address()).collect();
    Client::new(options(&addresses)).expect("valid options")
}

#[test]
fn every_call_has_its_reply() {
    let server = Server::start(1, Manner::Serve);
    let mut client = client(&[&server]);
    assert!(!client.mkdir(b"d").expect("a reply").created);
    let put = client.put(b"d.a", b"1").expect("a reply");
    assert_eq!(put, PutReply { raft_index: 7, overwritten: false });
    assert!(client.put(b"d.a", b"2").expect("a reply").overwritten);
    let node = client.get(b"d.a").expect("a reply").expect("a node");
    assert_eq!((&node.value[..], node.create_index, node.is_directory()), (&b"2"[..], 7, false));
    assert_eq!(client.get(b"d.b"), Ok(None));
    let swapped = |swapped| Ok(CompareAndSetReply { raft_index: 7, swapped });
    assert_eq!(client.compare_and_set(b"d.a", Some(b"1"), Some(b"3")), swapped(false));
    assert_eq!(client.compare_and_set(b"d.a", Some(b"2"), Some(b"3")), swapped(true));
    let batch = client.batch_put(&[b"d.a", b"d.b"], &[b"4", b"5"]).expect("a reply");
    assert_eq!(batch.overwritten, [Ok(true), Ok(false)]);
    let nodes = client.batch_get(&[b"d.b", b"d.c"]).expect("a reply");
    assert_eq!(nodes.len(), 2);
    assert!(matches!(&nodes[..], [Ok(Some(node)), Ok(None)] if node.value == b"5"));
    let children = client.list(b"").expect("a reply");
    let names: Vec<&[u8]> = children.iter().map(|child| &child.name[..]).collect();
    assert_eq!(names, [b"d.a", b"d.b"]);
    let batch = client.batch_remove(&[b"d.a", b"d.c"]).expect("a reply");
    assert_eq!(batch.existed, [Ok(true), Ok(false)]);
    assert!(client.remove(b"d.b").expect("a reply").existed);
    assert_eq!(client.query_status(NodeId(1)).expect("a reply").node_id, 1);
    let status = client.kv_status(NodeId(1)).expect("a reply").raft_server_status;
    assert_eq!(status.expect("a status").leader_id, 1);
    assert_eq!(client.ping(NodeId(1), b"hello"), Ok(b"hello".to_vec()));
    assert!(matches!(client.put(b"a b", b"1"), Err(Error::InvalidArgument(_))));
    assert_eq!(client.leader(), Some(NodeId(1)));
}

#[test]
fn large_values_pass() {
    let server = Server::start(1, Manner::Serve);
    let mut client = client(&[&server]);
    let value: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
    for key in [&b"a"[..], b"b"] {
        client.put(key, &value).expect("a reply");
    }
    assert_eq!(client.get(b"a").expect("a reply").expect("a node").value, value);
    // Together they are larger than one read.
    let nodes = client.batch_get(&[b"a", b"b"]).expect("a reply");
    assert!(nodes.into_iter().all(|node| node.is_ok_and(|n| n.is_some_and(|n| n.value == value))));
}

#[test]
fn hint_leads_to_the_leader() {
    let wrong = Server::start(1, Manner::PointToNode2);
    let right = Server::start(2, Manner::Serve);
    let mut client = client(&[&wrong, &right]);
    assert!(!client.put(b"a", b"1").expect("a reply").overwritten);
    assert!(client.put(b"a", b"1").expect("a reply").overwritten);
    assert_eq!(client.leader(), Some(NodeId(2)));
}

#[test]
fn nobody_listens() {
    // A port that is taken, so that nobody else listens there either.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("a bound socket").as_socket().expect("IPv4");
    let call_timeout = Duration::from_millis(200);
    let mut client =
        Client::new(Options { call_timeout, ..options(&[address]) }).expect("valid options");
    let unavailable = Error::Unavailable(Reason::NoConnection);
    assert_eq!(client.put(b"a", b"1"), Err(unavailable.clone()));
    assert_eq!(client.ping(NodeId(1), b""), Err(unavailable));
}

#[test]
fn silent_server_leaves_the_outcome_open() {
    let server = Server::start(1, Manner::Ignore);
    let call_timeout = Duration::from_millis(100);
    let options = Options { call_timeout, ..options(&[server.address()]) };
    let mut client = Client::new(options).expect("valid options");
    assert_eq!(client.put(b"a", b"1"), Err(Error::OutcomeUnknown(Reason::Timeout)));
    assert_eq!(client.get(b"a"), Err(Error::Unavailable(Reason::Timeout)));
}

#[test]
fn restarted_server_is_found_again() {
    let server = Server::start(1, Manner::HangUp);
    let address = server.address();
    let mut client = client(&[&server]);
    assert_eq!(client.put(b"a", b"1"), Err(Error::OutcomeUnknown(Reason::Disconnected)));
    assert_eq!(client.get(b"a"), Err(Error::Unavailable(Reason::Disconnected)));
    drop(server);
    let _server = Server::start_at(address, 1, Manner::Serve);
    // The pause after the failures is shorter than the time of a call.
    assert_eq!(client.get(b"a"), Ok(None));
}

#[test]
fn pipeline_completes_every_operation_once() {
    const OPERATIONS: usize = 20_000;
    const IN_FLIGHT: usize = 500;
    let server = Server::start(1, Manner::Serve);
    for connections_per_server in [1, 3] {
        let options = Options { connections_per_server, ..options(&[server.address()]) };
        let mut pipeline = Pipeline::new(options).expect("valid options");
        let (mut submitted, mut finished) = (0, 0);
        let mut open = BTreeSet::new();
        while finished < OPERATIONS {
            let room = IN_FLIGHT - pipeline.in_flight();
            let mut burst = pipeline.burst();
            for number in (submitted..OPERATIONS).take(room) {
                let key = format!("key{}", number % 100);
                let value = [number as u8; 64];
                let request = burst.submit(&Put { key: key.as_bytes(), value: &value });
                assert!(open.insert(request.expect("room")));
            }
            submitted = OPERATIONS.min(submitted + room);
            finished += pipeline.poll(Duration::from_secs(5), |completion| {
                assert!(open.remove(&completion.request));
                assert!(completion.finished >= completion.submitted);
                let reply = completion.reply::<Put>();
                assert!(reply.is_ok_and(|reply| reply.raft_index == 7));
            });
        }
        assert!(open.is_empty());
        assert_eq!(pipeline.poll(Duration::ZERO, |_| panic!("nothing is in flight")), 0);
    }
}

#[test]
fn completion_is_read_with_the_type_of_its_operation() {
    let server = Server::start(1, Manner::Serve);
    let mut pipeline = Pipeline::new(options(&[server.address()])).expect("valid options");
    pipeline.submit(&Put { key: b"a", value: b"1" }).expect("room");
    let count = pipeline.poll(Duration::from_secs(5), |completion| {
        assert!(matches!(completion.reply::<Get>(), Err(Error::Protocol(_))));
        let response = completion.response().expect("a response");
        assert_eq!(response.biz_code, BizCode::Success.number());
    });
    assert_eq!(count, 1);
}
