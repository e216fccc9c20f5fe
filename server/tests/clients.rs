//! The client library over real sockets against the real binary: one thread, and tasks of tokio.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/development.rs"]
mod development;
#[path = "support/process.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod process;

use std::time::Duration;

use client::{BizCode, Error, Event, KeyState, LockEvent, LockLoss, LockOptions, WatchUpdate};
use tempfile::TempDir;

use crate::process::{DEADLINE, NodeProcess, Ports, directory};

const LEASE: Duration = Duration::from_millis(600);

fn start() -> (NodeProcess, Ports, TempDir) {
    let (directory, ports) = (directory(), Ports::choose());
    let mut node = development::dev(directory.path(), ports);
    node.wait_ready();
    (node, ports, directory)
}

#[test]
fn one_thread_locks_watches_and_sets_what_expires() {
    let (_node, ports, _directory) = start();
    let mut client = client::blocking::Client::new(ports.client()).unwrap();
    let mut other = client::blocking::Client::new(ports.client()).unwrap();
    let options = LockOptions::new(LEASE);
    let lock = client.lock(b"l", options).unwrap().unwrap();
    assert_eq!(other.lock(b"l", options).unwrap(), None);
    // Renewals go on as long as somebody drives the client.
    let watch = client.watch(b"k", 0).unwrap();
    for round in 0_u8..3 {
        other.put(b"k", &[round]).unwrap();
        let mut seen = None;
        while seen != Some(KeyState::Value(vec![round])) {
            match client.next_event(DEADLINE).unwrap() {
                Event::Watch(id, WatchUpdate::State { state, .. }) if id == watch => {
                    seen = Some(state);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(client.next_event(LEASE / 3), None);
        assert!(client.is_held(&lock));
    }
    client.unwatch(watch);
    // Nobody drives it: the lock is lost, and another one gets it later.
    let next = other.lock(b"l", options.waiting(DEADLINE)).unwrap().unwrap();
    assert!(next.fencing_token > lock.fencing_token);
    assert!(!client.is_held(&lock));
    let lost = Event::Lock(lock.id, LockEvent::Lost(LockLoss::LeaseOver));
    assert_eq!(client.next_event(DEADLINE), Some(lost));
    client.unlock(lock).unwrap();
    other.unlock(next).unwrap();
    let lock = client.lock(b"l", options).unwrap().unwrap();
    client.unlock(lock).unwrap();
    client.put_temporary(b"t", b"v", LEASE).unwrap();
    let refused = other.put_temporary(b"t", b"v", LEASE);
    assert_eq!(refused, Err(Error::Refused(BizCode::NotOwner)));
    client.make_temporary_directory(b"d", DEADLINE).unwrap();
    client.update_ttl(b"d", Duration::from_millis(1)).unwrap();
    let gone = other.watch(b"d", 0).unwrap();
    loop {
        match other.next_event(DEADLINE).unwrap() {
            Event::Watch(id, WatchUpdate::State { state: KeyState::Missing, .. }) if id == gone => {
                break;
            }
            Event::Watch(..) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn tasks_of_tokio_share_a_client() {
    let (node, ports, _directory) = start();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client::tokio::Client::new(ports.client()).unwrap();
        let mut tasks = Vec::new();
        for task in 0..50 {
            let client = client.clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..20 {
                    let key = format!("k{task}-{round}");
                    client.put(key.as_bytes(), b"v").await.unwrap();
                    assert_eq!(client.get(key.as_bytes()).await.unwrap().unwrap().value, b"v");
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let other = client::tokio::Client::new(ports.client()).unwrap();
        let options = LockOptions::new(LEASE);
        let lock = client.lock(b"l", options).await.unwrap().unwrap();
        assert!(other.lock(b"l", options).await.unwrap().is_none());
        let mut watch = other.watch(b"k0-0", 0).unwrap();
        assert_eq!(watch.next().await.unwrap().1, KeyState::Value(b"v".to_vec()));
        let index = client.remove(b"k0-0").await.unwrap().raft_index;
        assert_eq!(watch.next().await.unwrap(), (index, KeyState::Missing));
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.lock(b"l", options.waiting(DEADLINE)).await.unwrap().unwrap() }
        });
        tokio::time::sleep(LEASE * 2).await;
        assert!(lock.is_held(), "renewed");
        let token = lock.fencing_token();
        lock.unlock().await.unwrap();
        let mut next = waiting.await.unwrap();
        assert!(next.fencing_token() > token);
        // Without the server nobody can renew, and the holder knows.
        drop(node);
        assert_eq!(next.lost().await, LockLoss::LeaseOver);
        assert!(!next.is_held());
    });
}
