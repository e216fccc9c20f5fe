//! Several nodes: each tells its own watchers, and a new leader goes on where the old one ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::fiber::Client;
use client::{LockOptions, NodeId, Options, Server};
use kv_api::KvRequest;
use runtime::Shard;
use runtime::sim::{CrashKind, NodeKey};
use wire::{BizCode, Command};

use crate::cluster::Cluster;
use crate::session::{Session, events};
use crate::simulated::LIMIT;

const NODES: u16 = 3;
/// Nobody else is a leader so soon after the last one died.
const ELECTION_MAX: Duration = Duration::from_secs(6);

fn service(node: u16) -> SocketAddr {
    SocketAddr::new(NodeKey(node).ip(), 9332)
}

async fn watch(shard: &Shard, node: u16, process: u64, key: &[u8]) -> Session {
    let mut session = Session::open(shard, service(node), process).await;
    assert_eq!(session.watch(0, false, &[(key, 0)]).await, BizCode::Success);
    session
}

#[test]
fn every_node_tells_its_watchers_whatever_its_role() {
    for seed in 0..3 {
        let mut cluster = Cluster::start(seed, NODES);
        let leader = cluster.leader();
        cluster.run(move |shard, _| async move {
            let mut writer = Session::open(&shard, service(leader), 1).await;
            let mut watchers = Vec::new();
            for node in 1..=NODES {
                watchers.push(watch(&shard, node, 2, b"a").await);
            }
            for number in [b"1", b"2", b"3"] {
                let put = KvRequest { key: b"a", value: number, ..KvRequest::default() };
                let index = writer.kv(Command::DTKV_PUT, put).await.index;
                for watcher in &mut watchers {
                    let told = watcher.told(0, b"a", index).await;
                    assert_eq!(told, (b"a".to_vec(), index, Some(number.to_vec())));
                }
            }
        });
    }
}

pub(crate) fn open(shard: &Shard) -> Client {
    let server = |node: u16| Server { node: NodeId(node.into()), address: service(node) };
    let servers = (1..=NODES).map(server).collect();
    Client::new(shard, Options::new(servers, Client::new_process_id(shard))).unwrap()
}

#[test]
fn clients_keep_their_locks_and_watches_when_the_leader_dies() {
    for seed in 10..16 {
        let mut cluster = Cluster::start(seed, NODES);
        let old = cluster.leader();
        let started = Arc::new(AtomicBool::new(false));
        let told = started.clone();
        let program = cluster.launch(move |shard, _| {
            let told = told.clone();
            async move {
                let (holder, waiter, writer) = (open(&shard), open(&shard), open(&shard));
                let options = LockOptions::new(ELECTION_MAX * 2);
                let held = holder.lock(b"l", options).await.unwrap().unwrap();
                let mut watch = waiter.watch(b"k", 0).unwrap();
                let mut last = writer.put(b"k", b"before").await.unwrap().raft_index;
                while watch.next().await.unwrap().0 < last {}
                told.store(true, Ordering::Relaxed);
                // The leader is dead from about here; a write whose outcome is unknown counts for
                // nothing, and indexes only rise.
                let mut written = 0;
                while written < 20 {
                    if let Ok(put) = writer.put(b"k", b"after").await {
                        written += 1;
                        last = put.raft_index;
                    }
                }
                let mut index = 0;
                while index < last {
                    let (newer, _) = watch.next().await.unwrap();
                    assert!(newer > index);
                    index = newer;
                }
                shard.clock().sleep(ELECTION_MAX * 3).await;
                assert!(held.is_held(), "renewed by the new leader");
                assert!(waiter.lock(b"l", options).await.unwrap().is_none());
                let token = held.fencing_token();
                drop(held);
                let next = waiter.lock(b"l", options.waiting(ELECTION_MAX)).await.unwrap().unwrap();
                assert!(next.fencing_token() > token);
            }
        });
        let is_started = |_: &_| started.load(Ordering::Relaxed);
        assert_eq!(cluster.world.run_until(is_started, LIMIT), Ok(true), "seed {seed}");
        let kind = [CrashKind::Kill, CrashKind::PowerLoss][seed as usize % 2];
        cluster.crash(old, kind);
        cluster.wait_program(program);
    }
}

/// How long the value lives and the lock is leased: the leader dies in between.
const TTL: Duration = Duration::from_secs(3);

/// Takes a lock and waits for it, and sets a value that expires; all of it at the leader.
async fn start_countdowns(shard: &Shard, leader: u16) {
    let ttl_ms = TTL.as_millis() as i64;
    let value = [&ttl_ms.to_be_bytes()[..], &[0; 8]].concat();
    let mut holder = Session::open(shard, service(leader), 1).await;
    let lock = KvRequest { key: b"lock", value: &value, ..KvRequest::default() };
    assert_eq!(holder.kv(Command::DTKV_TRY_LOCK, lock).await.code, BizCode::Success);
    let mut waiter = Session::open(shard, service(leader), 2).await;
    let lease = [&60_000_i64.to_be_bytes()[..], &[7; 8]].concat();
    let lock = KvRequest { value: &lease, ttl_millis: 60_000, ..lock };
    assert_eq!(waiter.kv(Command::DTKV_TRY_LOCK, lock).await.code, BizCode::LockByOther);
    let put = KvRequest { key: b"t", value: b"v", ttl_millis: ttl_ms, ..KvRequest::default() };
    assert_eq!(holder.kv(Command::DTKV_PUT_TEMP_NODE, put).await.code, BizCode::Success);
}

/// Waits on all of a process' connections until a push says that it has the lock, and every
/// connection has been told that the value is gone.
async fn hear_of_the_end(watchers: &mut [Session]) {
    let mut gone = vec![false; watchers.len()];
    let mut granted = 0;
    while granted == 0 || gone.contains(&false) {
        for (watcher, gone) in watchers.iter_mut().zip(&mut gone) {
            let Some(push) = watcher.push_within(Duration::from_millis(1)).await else {
                continue;
            };
            if push.command == Command::DTKV_LOCK_PUSH {
                granted += 1;
                continue;
            }
            let told = events(&push, 0);
            watcher.respond(&push, BizCode::Success, &vec![0; told.len()]).await;
            *gone |= told.iter().any(|(key, _, value)| key == b"t" && value.is_none());
        }
    }
    assert_eq!(granted, 1, "only the leader tells of locks");
}

#[test]
fn countdowns_and_waiters_outlive_the_leader() {
    for seed in 0..4 {
        let mut cluster = Cluster::start(seed, NODES);
        let old = cluster.leader();
        let started = Arc::new(AtomicBool::new(false));
        let told = started.clone();
        let program = cluster.launch(move |shard, _| {
            let told = told.clone();
            async move {
                let before = shard.clock().now();
                start_countdowns(&shard, old).await;
                let mut watchers = Vec::new();
                for node in (1..=NODES).filter(|node| *node != old) {
                    let mut watcher = watch(&shard, node, 2, b"t").await;
                    // A follower learns of the commit a moment after the leader.
                    while watcher.notification(0).await[0].2.is_none() {}
                    watchers.push(watcher);
                }
                told.store(true, Ordering::Relaxed);
                hear_of_the_end(&mut watchers).await;
                let passed = shard.clock().now().since(before);
                assert!(passed > TTL, "{passed:?}");
                assert!(passed < TTL + ELECTION_MAX, "{passed:?}");
            }
        });
        let is_started = |_: &_| started.load(Ordering::Relaxed);
        assert_eq!(cluster.world.run_until(is_started, LIMIT), Ok(true), "seed {seed}");
        let kind = [CrashKind::Kill, CrashKind::PowerLoss][seed as usize % 2];
        cluster.crash(old, kind);
        cluster.wait_program(program);
    }
}
