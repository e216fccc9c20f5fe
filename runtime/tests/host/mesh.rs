//! Mailboxes between real shards.

use std::sync::{Arc, Mutex};

use runtime::{Closed, MailReceiver, MailSender, Shard, StopHandle, mailbox};

use crate::support::{Failed, on_shard, on_shards, shards};

type Ends = Vec<Option<(MailSender<u64>, MailReceiver<u64>)>>;

const MESSAGES: u64 = 1_000_000;
const BATCH: u64 = 300;
const CAPACITY: usize = 1_000;

#[test]
fn a_million_messages_go_both_ways_at_once_in_order() {
    if shards() < 2 {
        return;
    }
    let (to_second, at_second) = mailbox(CAPACITY);
    let (to_first, at_first) = mailbox(CAPACITY);
    let ends: Arc<Mutex<Ends>> =
        Arc::new(Mutex::new(vec![Some((to_second, at_first)), Some((to_first, at_second))]));
    on_shards(2, StopHandle::new(), move |shard| {
        let ends = Arc::clone(&ends);
        async move {
            let taken =
                ends.lock().ok().and_then(|mut ends| ends[usize::from(shard.id().0)].take());
            let Some((sender, receiver)) = taken else { return Err(Failed::Test("no mailbox")) };
            let received = shard.fibers().spawn("receive", receive(receiver));
            send(&shard, sender).await;
            assert_eq!(received.await, Some(MESSAGES));
            Ok(())
        }
    })
    .expect("all messages arrive");
}

async fn send(shard: &Shard, sender: MailSender<u64>) {
    let mut batch = Vec::new();
    let mut next = 0;
    while next < MESSAGES {
        let end = (next + BATCH).min(MESSAGES);
        batch.extend(next..end);
        next = end;
        assert_eq!(sender.send_all(&mut batch).await, Ok(()));
        shard.pass().await;
    }
}

async fn receive(mut receiver: MailReceiver<u64>) -> u64 {
    let (mut expected, mut messages) = (0, Vec::new());
    while receiver.recv_all(&mut messages).await.is_ok() {
        assert!(messages.len() <= CAPACITY, "the mailbox is bounded");
        for message in messages.drain(..) {
            assert_eq!(message, expected);
            expected += 1;
        }
    }
    expected
}

#[test]
fn as_many_as_fit_are_taken_and_the_rest_stays() {
    on_shard(|shard| async move {
        let (sender, mut receiver) = mailbox(3);
        let mut batch = vec![1, 2, 3, 4, 5];
        assert!(!sender.try_send_all(&mut batch));
        assert_eq!(batch, [4, 5]);
        assert!(!sender.try_send_all(&mut batch));
        let other = sender.clone();
        let blocked = shard.fibers().spawn("blocked", async move {
            let result = other.send_all(&mut batch).await;
            (result, batch)
        });
        let mut out = Vec::new();
        assert_eq!(receiver.recv_all(&mut out).await, Ok(()));
        assert_eq!(blocked.await, Some((Ok(()), vec![])));
        assert_eq!(receiver.recv_all(&mut out).await, Ok(()));
        assert_eq!(out, [1, 2, 3, 4, 5]);
        drop(receiver);
        assert!(sender.is_closed());
        let mut batch = vec![6];
        assert_eq!(sender.send_all(&mut batch).await, Err(Closed));
        assert!(!sender.try_send_all(&mut batch));
        assert_eq!(batch, [6]);
    });
}

#[test]
fn the_receiver_hears_of_the_last_sender_only_after_all_messages() {
    on_shard(|shard| async move {
        let (sender, mut receiver) = mailbox(8);
        let second = sender.clone();
        let fiber = shard.fibers().spawn("receiver", async move {
            let mut out = Vec::new();
            while receiver.recv_all(&mut out).await.is_ok() {}
            out
        });
        shard.pass().await;
        assert!(sender.try_send_all(&mut vec![1]));
        drop(sender);
        shard.pass().await;
        assert!(second.try_send_all(&mut vec![2]));
        drop(second);
        assert_eq!(fiber.await, Some(vec![1, 2]));
    });
}
