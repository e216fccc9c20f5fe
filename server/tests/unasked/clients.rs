//! The client library against nodes in a simulated world: leases, queues and watches.

use std::net::SocketAddr;
use std::time::Duration;

use client::fiber::Client;
use client::operations::TransactionDone;
use client::{
    BizCode, Condition, Error, GroupId, KeyState, LockLoss, LockOptions, NodeId, Options, Server,
    Step, StepKind, Subject,
};
use runtime::Shard;

use crate::run_on_both;

const LEASE: Duration = Duration::from_secs(3);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn open(shard: &Shard, address: SocketAddr, group: i32) -> Client {
    let servers = vec![Server { node: NodeId(1), address }];
    let options = Options::new(servers, Client::new_process_id(shard));
    Client::new(shard, Options { group: GroupId(group), ..options }).unwrap()
}

#[test]
fn a_lock_goes_from_client_to_client_in_order_of_arrival() {
    run_on_both(3, |shard, address, group| async move {
        let first = open(&shard, address, group);
        let second = open(&shard, address, group);
        let third = open(&shard, address, group);
        let options = LockOptions::new(LEASE);
        let held = first.lock(b"l", options).await.unwrap().unwrap();
        assert!(second.lock(b"l", options).await.unwrap().is_none(), "one attempt");
        assert!(first.lock(b"l", options).await.is_err(), "one lock object a key");
        // Longer than the lease: the place in the queue is renewed, and so is the lease.
        let waiting = options.waiting(MINUTE);
        let unlock = async {
            shard.clock().sleep(LEASE * 3).await;
            assert!(held.is_held());
            let token = held.fencing_token();
            held.unlock().await.unwrap();
            token
        };
        let mut tokens = vec![];
        let (got, token) = both(second.lock(b"l", waiting), unlock).await;
        let mut got = got.unwrap().unwrap();
        tokens.extend([token, got.fencing_token()]);
        // A lock that is dropped is given back.
        let drop_soon = async {
            let lost = shard.clock().timeout(Duration::from_millis(100), got.lost()).await;
            assert_eq!(lost, None);
            drop(got);
        };
        let (last, ()) = both(third.lock(b"l", waiting), drop_soon).await;
        tokens.push(last.unwrap().unwrap().fencing_token());
        assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
        // So is a place in the queue.
        let held = first.lock(b"m", options).await.unwrap().unwrap();
        let short = shard.clock().timeout(LEASE, second.lock(b"m", waiting)).await;
        assert!(short.is_none());
        held.unlock().await.unwrap();
        let again = first.lock(b"m", options).await.unwrap();
        assert!(again.is_some(), "nobody else wants it");
    });
}

#[test]
fn whoever_does_not_renew_knows_that_before_another_one_holds_the_lock() {
    run_on_both(4, |shard, address, group| async move {
        let first = open(&shard, address, group);
        let second = open(&shard, address, group);
        let options = LockOptions { renew: false, ..LockOptions::new(LEASE) };
        let mut held = first.lock(b"l", options).await.unwrap().unwrap();
        let (loss, next) = both(
            async {
                let loss = held.lost().await;
                (loss, shard.clock().now())
            },
            async {
                let lock = second.lock(b"l", options.waiting(MINUTE)).await.unwrap().unwrap();
                (lock.fencing_token(), shard.clock().now())
            },
        )
        .await;
        assert_eq!(loss.0, LockLoss::LeaseOver);
        assert!(next.1 > loss.1 && next.1.since(loss.1) < LEASE / 20, "{loss:?} {next:?}");
        assert!(next.0 > held.fencing_token());
        assert!(!held.is_held());
    });
}

#[test]
fn what_is_temporary_belongs_to_its_client_and_goes() {
    run_on_both(5, |shard, address, group| async move {
        let client = open(&shard, address, group);
        let other = open(&shard, address, group);
        let second = Duration::from_secs(1);
        client.put_temporary(b"t", b"v", second).await.unwrap();
        client.make_temporary_directory(b"d", second).await.unwrap();
        other.put(b"d.below", b"v").await.unwrap();
        let refused = other.update_ttl(b"t", second).await;
        assert_eq!(refused, Err(Error::Refused(BizCode::NotOwner)));
        shard.clock().sleep(second / 2).await;
        client.update_ttl(b"t", second * 2).await.unwrap();
        shard.clock().sleep(second).await;
        assert!(client.get(b"d").await.unwrap().is_none());
        assert!(client.get(b"d.below").await.unwrap().is_none());
        assert!(client.get(b"t").await.unwrap().is_some());
        shard.clock().sleep(second * 2).await;
        assert!(client.get(b"t").await.unwrap().is_none());
    });
}

#[test]
fn watches_tell_the_latest_state_and_go_on_from_an_index() {
    run_on_both(6, |shard, address, group| async move {
        let client = open(&shard, address, group);
        let other = open(&shard, address, group);
        other.mkdir(b"d").await.unwrap();
        let mut watch = client.watch(b"d.k", 0).unwrap();
        let mut directory = client.watch(b"d", 0).unwrap();
        assert_eq!(watch.next().await.unwrap().1, KeyState::Missing);
        assert_eq!(directory.next().await.unwrap().1, KeyState::Directory);
        let put = other.put(b"d.k", b"1").await.unwrap().raft_index;
        assert_eq!(watch.next().await, Ok((put, KeyState::Value(b"1".to_vec()))));
        assert_eq!(directory.next().await, Ok((put, KeyState::Directory)));
        for number in 0..100_u32 {
            other.put(b"d.k", number.to_string().as_bytes()).await.unwrap();
        }
        let last = other.remove(b"d.k").await.unwrap().raft_index;
        let (mut index, mut updates) = (put, 0);
        while index < last {
            let (newer, _) = watch.next().await.unwrap();
            assert!(newer > index);
            (index, updates) = (newer, updates + 1);
        }
        assert!(updates < 50, "{updates} updates: states in between are left out");
        // Another client goes on where this one stopped.
        let mut late = other.watch(b"d.k", index).unwrap();
        let silence = shard.clock().timeout(Duration::from_secs(5), late.next()).await;
        assert_eq!(silence, None);
        drop(watch);
        let put = other.put(b"d.k", b"2").await.unwrap().raft_index;
        assert_eq!(late.next().await, Ok((put, KeyState::Value(b"2".to_vec()))));
        // The key is free for another watch.
        let mut again = client.watch(b"d.k", 0).unwrap();
        assert_eq!(again.next().await, Ok((put, KeyState::Value(b"2".to_vec()))));
    });
}

#[test]
fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    run_on_both(7, |shard, address, group| async move {
        let clients: Vec<_> = (0..3).map(|_| open(&shard, address, group)).collect();
        let put = |key, value| Step { kind: StepKind::Put, key, value, ..Step::default() };
        clients[0].put(b"sum", b"0").await.unwrap();
        let [one, two, three] = [0, 1, 2].map(|number: usize| add_to_sum(clients[number].clone()));
        both(one, both(two, three)).await;
        assert_eq!(clients[0].get(b"sum").await.unwrap().unwrap().value, b"60");
        let steps = [put(b"sum", b"0"), put(b"none.key", b"x")];
        let reply = clients[0].transact(&[], &steps, &[]).await.unwrap();
        let refused = TransactionDone::Nothing { position: 1, code: BizCode::ParentDirNotExists };
        assert_eq!((reply.held, reply.done), (true, refused));
        assert_eq!(clients[0].get(b"sum").await.unwrap().unwrap().value, b"60");
        // A token guards: the holder writes, whoever held the lock before does not.
        let lock = clients[0].lock(b"l", LockOptions::new(LEASE)).await.unwrap().unwrap();
        let old = lock.fencing_token();
        lock.unlock().await.unwrap();
        let lock = clients[1].lock(b"l", LockOptions::new(LEASE)).await.unwrap().unwrap();
        for (number, held) in [(old, false), (lock.fencing_token(), true)] {
            let (key, subject) = (&b"l"[..], Subject::FencingToken);
            let guard = Condition { key, subject, number, ..Condition::default() };
            let reply = clients[0].transact(&[guard], &[put(b"sum", b"1")], &[]).await.unwrap();
            assert_eq!(reply.held, held, "{number}");
        }
    });
}

/// Adds one to a value 20 times, and reads what it is whenever another one was faster.
async fn add_to_sum(client: Client) {
    let (mut known, mut done) = (b"0".to_vec(), 0);
    while done < 20 {
        let text = std::str::from_utf8(&known).unwrap();
        let next = (text.parse::<u32>().unwrap() + 1).to_string().into_bytes();
        let (key, subject) = (&b"sum"[..], Subject::Value);
        let same = Condition { key, subject, value: &known, ..Condition::default() };
        let put = Step { kind: StepKind::Put, key, value: &next, ..Step::default() };
        let read = Step { kind: StepKind::Get, key, ..Step::default() };
        let reply = client.transact(&[same], &[put], &[read]).await.unwrap();
        let TransactionDone::Whole(steps) = reply.done else { panic!("{reply:?}") };
        known = match reply.held {
            true => next,
            false => steps[0].node.as_ref().unwrap().value.clone(),
        };
        done += u32::from(reply.held);
    }
}

/// Runs two futures to their ends.
async fn both<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let (mut one, mut other) = (Box::pin(one), Box::pin(other));
    let (mut a, mut b) = (None, None);
    std::future::poll_fn(|context| {
        if a.is_none()
            && let std::task::Poll::Ready(result) = one.as_mut().poll(context)
        {
            a = Some(result);
        }
        if b.is_none()
            && let std::task::Poll::Ready(result) = other.as_mut().poll(context)
        {
            b = Some(result);
        }
        match a.is_some() && b.is_some() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    (a.unwrap(), b.unwrap())
}
