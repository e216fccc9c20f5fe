//! Groups, channels, conditions and timers on a real executor.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use runtime::{Closed, Condition, Either, FiberGroup, Rejected, Signal, channel, oneshot, race};

use crate::support::on_shard;

#[test]
fn a_fiber_starts_after_the_spawning_code_lets_go() {
    on_shard(|shard| async move {
        let state = Rc::new(RefCell::new(0));
        let borrowed = state.borrow_mut();
        let inner = Rc::clone(&state);
        let fiber = shard.fibers().spawn("reader", async move { *inner.borrow() });
        drop(borrowed);
        assert_eq!(fiber.await, Some(0));
    });
}

#[test]
fn join_waits_for_normal_fibers_and_then_drops_daemons() {
    on_shard(|shard| async move {
        let group = FiberGroup::new(&shard, "test");
        let ended = Rc::new(Cell::new(0));
        for _ in 0..10 {
            let (group_inside, ended, clock) =
                (group.clone(), Rc::clone(&ended), shard.clock().clone());
            drop(group.spawn("normal", async move {
                group_inside.stopped().await;
                clock.sleep(Duration::from_millis(1)).await;
                ended.set(ended.get() + 1);
            }));
        }
        let dropped = Rc::new(());
        let held = Rc::clone(&dropped);
        group.spawn_daemon("daemon", async move {
            let _held = held;
            std::future::pending().await
        });
        assert!(!group.is_stopping());
        assert_eq!(Rc::strong_count(&dropped), 2);
        group.stop();
        group.join().await;
        assert_eq!((ended.get(), Rc::strong_count(&dropped)), (10, 1));
        group.join().await;
    });
}

#[test]
fn cancel_drops_fibers_where_they_stand() {
    on_shard(|shard| async move {
        let group = FiberGroup::new(&shard, "test");
        let held = Rc::new(());
        let waiting = group.spawn("waiting", {
            let held = Rc::clone(&held);
            async move {
                let _held = held;
                std::future::pending::<u32>().await
            }
        });
        let never_started = group.spawn("never started", async { 7 });
        group.cancel();
        assert_eq!(Rc::strong_count(&held), 1);
        assert_eq!((waiting.await, never_started.await), (None, None));
        group.join().await;

        // A fiber that cancels its own group ends at its next await.
        let inside = group.clone();
        let own = group.spawn("own", async move {
            inside.cancel();
            std::future::pending::<()>().await
        });
        assert_eq!(own.await, None);
        group.join().await;
    });
}

#[test]
fn a_channel_is_bounded_ordered_and_knows_its_ends() {
    on_shard(|shard| async move {
        let (sender, mut receiver) = channel(2);
        assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Ok(())));
        assert_eq!(sender.try_send(3), Err(Rejected::Full(3)));
        let second = sender.clone();
        let blocked = shard.fibers().spawn("blocked", async move { second.send(3).await });
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(blocked.await, Some(Ok(())));
        let mut out = Vec::new();
        assert_eq!(receiver.recv_all(&mut out).await, Ok(()));
        assert_eq!(out, [2, 3]);
        drop(sender);
        assert_eq!(receiver.recv().await, None);
        assert_eq!(receiver.recv_all(&mut out).await, Err(Closed));

        let (sender, receiver) = channel(1);
        assert_eq!(sender.try_send(1), Ok(()));
        let full = sender.clone();
        let blocked = shard.fibers().spawn("blocked", async move { full.send(2).await });
        shard.pass().await;
        drop(receiver);
        assert_eq!(blocked.await, Some(Err(Closed)));
        assert_eq!(sender.try_send(3), Err(Rejected::Closed(3)));
    });
}

#[test]
fn a_notification_that_a_dropped_wait_got_goes_to_the_next() {
    on_shard(|shard| async move {
        let condition = Rc::new(Condition::new());
        let first = condition.wait();
        let other = Rc::clone(&condition);
        let second = shard.fibers().spawn("second", async move { other.wait().await });
        shard.pass().await;
        condition.notify_one();
        drop(first);
        assert_eq!(second.await, Some(()));
    });
}

#[test]
fn a_signal_remembers_one_set() {
    on_shard(|shard| async move {
        let signal = Signal::new();
        signal.set();
        signal.set();
        signal.wait().await;
        let short = Duration::from_millis(1);
        assert_eq!(shard.clock().timeout(short, signal.wait()).await, None);
    });
}

#[test]
fn a_oneshot_tells_when_its_value_never_comes() {
    on_shard(|_| async move {
        let (sender, receiver) = oneshot();
        assert_eq!(sender.send(5), Ok(()));
        assert_eq!(receiver.await, Ok(5));
        let (sender, receiver) = oneshot::<u32>();
        drop(sender);
        assert_eq!(receiver.await, Err(Closed));
        let (sender, receiver) = oneshot();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(5), Err(5));
    });
}

#[test]
fn timers_fire_in_order_and_never_early() {
    on_shard(|shard| async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let start = shard.clock().now();
        let group = FiberGroup::new(&shard, "timers");
        // More than the executor's own timers keep exact, and the later ones first.
        for micros in (1..=400u64).rev() {
            let (clock, order) = (shard.clock().clone(), Rc::clone(&order));
            drop(group.spawn("sleeper", async move {
                let due = start + Duration::from_micros(micros * 50);
                let is_ahead = clock.now() < due;
                clock.sleep_until(due).await;
                assert!(clock.now() >= due, "woke early");
                // What was due before it was waited for has no place in the order.
                if is_ahead {
                    order.borrow_mut().push(micros);
                }
            }));
        }
        group.join().await;
        assert!(order.borrow().is_sorted(), "{:?}", order.borrow());
        let passed = shard.clock().now().since(start);
        assert!(passed < Duration::from_secs(5), "{passed:?}");
    });
}

#[test]
fn timeouts_and_races_drop_the_loser() {
    on_shard(|shard| async move {
        let clock = shard.clock();
        let held = Rc::new(());
        let inside = Rc::clone(&held);
        let slow = async move {
            let _inside = inside;
            std::future::pending::<()>().await
        };
        assert_eq!(clock.timeout(Duration::from_millis(2), slow).await, None);
        assert_eq!(Rc::strong_count(&held), 1);
        assert_eq!(clock.timeout(Duration::from_secs(3600), async { 3 }).await, Some(3));
        let both = race(async { 1 }, async { 2 }).await;
        assert_eq!(both, Either::Left(1));
        assert!(clock.wall().as_millis() > 1_700_000_000_000);
    });
}
