//! Nodes in a simulated world tell those who waited that they hold a lock now.

use std::net::SocketAddr;
use std::time::Duration;

use kv_api::KvRequest;
use runtime::Shard;
use wire::{BizCode, Command, PacketKind};

use crate::run_on_both;
use crate::session::{Session, Written};

const KEY: &[u8] = b"lock";
const SILENCE: Duration = Duration::from_millis(50);

fn value(lease_ms: i64, operation: u8) -> Vec<u8> {
    [&lease_ms.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, operation]].concat()
}

/// Someone who wants locks of a group.
struct Owner {
    session: Session,
    group: i32,
}

impl Owner {
    async fn open(shard: &Shard, address: SocketAddr, group: i32, process: u64) -> Owner {
        Owner { session: Session::open(shard, address, process).await, group }
    }

    async fn try_lock(&mut self, value: &[u8], wait_ms: i64) -> Written {
        let (group_id, ttl_millis) = (self.group, wait_ms);
        let request = KvRequest { group_id, key: KEY, value, ttl_millis, ..KvRequest::default() };
        self.session.kv(Command::DTKV_TRY_LOCK, request).await
    }

    async fn unlock(&mut self) -> Written {
        let request = KvRequest { group_id: self.group, key: KEY, ..KvRequest::default() };
        self.session.kv(Command::DTKV_UNLOCK, request).await
    }

    /// Takes the push of a granted lock; returns the nanoseconds that it says were waited.
    async fn granted(&mut self, value: &[u8]) -> i64 {
        self.granted_with_token(value).await.0
    }

    /// The same with the fencing token.
    async fn granted_with_token(&mut self, value: &[u8]) -> (i64, u64) {
        let push = self.session.push().await;
        assert_eq!((push.kind, push.command), (PacketKind::OneWay, Command::DTKV_LOCK_PUSH));
        let body = KvRequest::decode(&push.body).unwrap();
        assert_eq!((body.group_id, body.key, body.value), (self.group, KEY, value));
        (body.ttl_millis, body.fencing_token)
    }

    async fn hears_nothing(&mut self) {
        assert_eq!(self.session.push_within(SILENCE).await, None);
    }
}

#[test]
fn waiters_are_told_in_their_order_wherever_they_are_connected() {
    for seed in 1..=3 {
        run_on_both(seed, |shard, address, group| async move {
            let mut owners = Vec::new();
            for process in 1..=5 {
                let mut owner = Owner::open(&shard, address, group, process).await;
                let held = owner.try_lock(&value(10_000, process as u8), 5000).await;
                let first = process == 1;
                assert_eq!(held.code == BizCode::Success, first, "{held:?}");
                owners.push(owner);
            }
            let started = shard.clock().now();
            shard.clock().sleep(Duration::from_millis(100)).await;
            for process in 2..=5 {
                let (holder, following) = owners.split_at_mut(process - 1);
                let unlocked = holder.last_mut().unwrap().unlock().await;
                assert_eq!(unlocked.code, BizCode::Success);
                let waited = following[0].granted(&value(10_000, process as u8)).await;
                let waited = Duration::from_nanos(waited as u64);
                let passed = shard.clock().now().since(started);
                assert!(waited < passed + Duration::from_millis(20), "{waited:?} of {passed:?}");
                assert!(waited > Duration::from_millis(90), "{waited:?}");
                for owner in &mut following[1..] {
                    owner.hears_nothing().await;
                }
            }
        });
    }
}

#[test]
fn tokens_rise_from_grant_to_grant_and_stay_while_the_lock_is_held() {
    run_on_both(2, |shard, address, group| async move {
        let mut first = Owner::open(&shard, address, group, 1).await;
        let mut second = Owner::open(&shard, address, group, 2).await;
        let mut last = 0;
        for round in 0..5 {
            let held = first.try_lock(&value(10_000, 1), 0).await;
            assert_eq!((held.code, held.token), (BizCode::Success, held.index));
            let waiting = second.try_lock(&value(10_000, round), 5000).await;
            assert_eq!((waiting.code, waiting.token), (BizCode::LockByOther, 0));
            let again = first.try_lock(&value(10_000, 3), 0).await;
            assert_eq!((again.code, again.token), (BizCode::LockBySelf, held.token));
            let request =
                KvRequest { group_id: group, key: KEY, ttl_millis: 9000, ..KvRequest::default() };
            let renewed = first.session.kv(Command::DTKV_UPDATE_LOCK_LEASE, request).await;
            assert_eq!((renewed.code, renewed.token), (BizCode::Success, held.token));
            assert_eq!(first.unlock().await.token, 0);
            let (_, token) = second.granted_with_token(&value(10_000, round)).await;
            assert!(last < held.token && held.token < token, "{last} {held:?} {token}");
            last = token;
            assert_eq!(second.unlock().await.code, BizCode::Success);
        }
    });
}

#[test]
fn the_next_is_told_when_the_lease_ends_and_its_own_begins_then() {
    run_on_both(1, |shard, address, group| async move {
        let mut holder = Owner::open(&shard, address, group, 1).await;
        let mut waiter = Owner::open(&shard, address, group, 2).await;
        let started = shard.clock().now();
        assert_eq!(holder.try_lock(&value(300, 1), 0).await.code, BizCode::Success);
        assert_eq!(waiter.try_lock(&value(500, 2), 400).await.code, BizCode::LockByOther);
        let called = shard.clock().now();
        let waited = waiter.granted(&value(500, 2)).await;
        let passed = shard.clock().now().since(started);
        assert!(passed > Duration::from_millis(300), "{passed:?}");
        // What the waiter takes for the end of its lease, the lock has not ended then.
        let end = called + Duration::from_millis(500) + Duration::from_nanos(waited as u64);
        shard.clock().sleep_until(end).await;
        assert!(holder.session.exists(group, KEY).await);
        shard.clock().sleep(Duration::from_millis(20)).await;
        assert!(!holder.session.exists(group, KEY).await);
        holder.hears_nothing().await;
    });
}

#[test]
fn a_push_follows_the_answer_and_goes_to_the_latest_connection() {
    run_on_both(1, |shard, address, group| async move {
        let mut holder = Owner::open(&shard, address, group, 1).await;
        let mut first = Owner::open(&shard, address, group, 2).await;
        assert_eq!(holder.try_lock(&value(10_000, 1), 0).await.code, BizCode::Success);
        assert_eq!(first.try_lock(&value(10_000, 2), 5000).await.code, BizCode::LockByOther);
        first.session.close();
        // Connections of one process come to both shards.
        let mut second = Owner::open(&shard, address, group, 2).await;
        let unlocked = holder.unlock().await;
        assert_eq!(unlocked.code, BizCode::Success);
        second.granted(&value(10_000, 2)).await;
        // Holder and waiter are the same connection: the packets show the order.
        assert_eq!(second.try_lock(&value(10_000, 3), 0).await.code, BizCode::LockBySelf);
    });
}

#[test]
fn who_is_gone_is_not_told_and_loses_the_lock_in_the_end() {
    run_on_both(1, |shard, address, group| async move {
        let mut holder = Owner::open(&shard, address, group, 1).await;
        let mut gone = Owner::open(&shard, address, group, 2).await;
        let mut last = Owner::open(&shard, address, group, 3).await;
        assert_eq!(holder.try_lock(&value(10_000, 1), 0).await.code, BizCode::Success);
        assert_eq!(gone.try_lock(&value(200, 2), 200).await.code, BizCode::LockByOther);
        assert_eq!(last.try_lock(&value(10_000, 3), 5000).await.code, BizCode::LockByOther);
        gone.session.close();
        assert_eq!(holder.unlock().await.code, BizCode::Success);
        let before = shard.clock().now();
        last.granted(&value(10_000, 3)).await;
        let lease = shard.clock().now().since(before);
        assert!(lease > Duration::from_millis(190), "{lease:?}");
    });
}
