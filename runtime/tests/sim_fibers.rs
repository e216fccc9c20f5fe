//! Fibers, shards, clocks and processes in the simulated world.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::sim::{
    CrashKind, Ending, FailureCause, FiberOrder, NodeKey, What, World, WorldOptions,
};
use runtime::{BootError, Moment, Shard, ShardId, mailbox};

const NODE: NodeKey = NodeKey(1);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64) -> World {
    World::new(WorldOptions::new(seed))
}

fn seconds(moment: Moment, since: Moment) -> f64 {
    moment.since(since).as_secs_f64()
}

#[test]
fn mails_between_shards_arrive_once_and_in_order() {
    for seed in 0..20 {
        let world = world(seed);
        let (sender, receiver) = mailbox::<u64>(16);
        let receiver = Arc::new(Mutex::new(Some(receiver)));
        let received = Arc::new(Mutex::new(Vec::new()));
        let result = Arc::clone(&received);
        let run = world.start::<BootError, _, _>(NODE, 2, move |shard: Shard| {
            let (sender, receiver) = (sender.clone(), Arc::clone(&receiver));
            let received = Arc::clone(&received);
            async move {
                if shard.id() == ShardId(0) {
                    let mut batch: Vec<u64> = (0..100).collect();
                    assert!(sender.send_all(&mut batch).await.is_ok());
                    shard.stopping().await;
                } else {
                    let mut receiver = receiver.lock().unwrap().take().unwrap();
                    let mut mails = Vec::new();
                    while mails.len() < 100 {
                        assert!(receiver.recv_all(&mut mails).await.is_ok());
                    }
                    *received.lock().unwrap() = mails;
                }
                Ok(())
            }
        });
        assert_eq!(world.run_until(|_| run.has_ended(), MINUTE), Ok(true));
        assert_eq!(*result.lock().unwrap(), (0..100).collect::<Vec<_>>());
        assert!(!world.is_running(NODE));
    }
}

#[test]
fn timeouts_take_virtual_time_only() {
    let world = world(1);
    let run = world.start::<BootError, _, _>(NODE, 1, |shard: Shard| async move {
        let clock = shard.clock();
        let start = clock.now();
        assert_eq!(clock.timeout(MINUTE, std::future::pending::<()>()).await, None);
        assert!((60.0..60.001).contains(&seconds(clock.now(), start)));
        assert_eq!(clock.timeout(MINUTE, async { 5 }).await, Some(5));
        clock.sleep_until(start + 2 * MINUTE).await;
        assert!((120.0..120.001).contains(&seconds(clock.now(), start)));
        clock.sleep_until(start).await;
        Ok(())
    });
    assert_eq!(world.run_until(|_| run.has_ended(), 3 * MINUTE), Ok(true));
    assert!(matches!(run.take_ending(), Some(Ending::Good)));
}

#[test]
fn clocks_drift_and_jump_each_for_itself() {
    let world = world(1);
    let sleeps = Arc::new(AtomicU64::new(0));
    for node in [NodeKey(1), NodeKey(2)] {
        let sleeps = Arc::clone(&sleeps);
        drop(world.start::<BootError, _, _>(node, 1, move |shard: Shard| {
            let sleeps = Arc::clone(&sleeps);
            async move {
                shard.clock().sleep(10 * SECOND).await;
                sleeps.fetch_add(1, Ordering::Relaxed);
                shard.stopping().await;
                Ok(())
            }
        }));
    }
    world.run_for(SECOND).unwrap();
    let before = [NodeKey(1), NodeKey(2)].map(|node| world.local_time(node));
    // The rate changes while both sleep: one wakes in 9 s, the other in 9 / 1.5 s.
    world.set_drift(NodeKey(2), 500_000);
    world.run_for(5_900 * SECOND / 1_000).unwrap();
    assert_eq!(sleeps.load(Ordering::Relaxed), 0);
    world.run_for(200 * SECOND / 1_000).unwrap();
    assert_eq!(sleeps.load(Ordering::Relaxed), 1);
    world.run_for(2_800 * SECOND / 1_000).unwrap();
    assert_eq!(sleeps.load(Ordering::Relaxed), 1);
    world.run_for(200 * SECOND / 1_000).unwrap();
    assert_eq!(sleeps.load(Ordering::Relaxed), 2);
    let passed = [0, 1].map(|n| seconds(world.local_time(NodeKey(n as u16 + 1)), before[n]));
    assert!((passed[0] - 9.1).abs() < 0.001 && (passed[1] - 13.65).abs() < 0.001, "{passed:?}");

    let wall = world.wall_time(NodeKey(1)).as_millis();
    world.jump_wall(NodeKey(1), -5_000);
    assert_eq!(world.wall_time(NodeKey(1)).as_millis(), wall - 5_000);
}

#[test]
fn a_slower_clock_wakes_its_sleepers_later() {
    let world = world(1);
    let run = world.start::<BootError, _, _>(NODE, 1, |shard: Shard| async move {
        let start = shard.clock().now();
        shard.clock().sleep(10 * SECOND).await;
        assert!((10.0..10.001).contains(&seconds(shard.clock().now(), start)));
        Ok(())
    });
    world.set_drift(NODE, -500_000);
    assert_eq!(world.run_until(|_| run.has_ended(), MINUTE), Ok(true));
    assert!((20.0..20.001).contains(&seconds(world.now(), Moment::ZERO)));
}

#[test]
fn a_paused_node_stands_still_while_time_goes_on() {
    let world = world(1);
    let ticks = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&ticks);
    drop(world.start::<BootError, _, _>(NODE, 1, move |shard: Shard| {
        let ticks = Arc::clone(&counter);
        async move {
            let start = shard.clock().now();
            loop {
                shard.clock().sleep(SECOND).await;
                let now = shard.clock().now().since(start).as_secs();
                ticks.store(now, Ordering::Relaxed);
            }
        }
    }));
    world.run_for(5 * SECOND + SECOND / 2).unwrap();
    assert_eq!(ticks.load(Ordering::Relaxed), 5);
    world.pause(NODE);
    world.run_for(20 * SECOND).unwrap();
    assert_eq!(ticks.load(Ordering::Relaxed), 5);
    world.resume(NODE);
    world.run_for(SECOND / 4).unwrap();
    assert_eq!(ticks.load(Ordering::Relaxed), 25);
}

#[test]
fn panics_fail_the_run_with_the_name_of_the_fiber() {
    let world = world(1);
    drop(world.start::<BootError, _, _>(NODE, 2, |shard: Shard| async move {
        if shard.id() == ShardId(1) {
            let clock = shard.clock().clone();
            drop(shard.fibers().spawn("bad", async move {
                clock.sleep(SECOND).await;
                panic!("it went wrong");
            }));
        }
        shard.stopping().await;
        Ok(())
    }));
    let failure = world.run_for(MINUTE).unwrap_err();
    assert_eq!((failure.node, failure.shard), (NODE, ShardId(1)));
    assert!(failure.fiber.contains("bad"), "{failure}");
    assert_eq!(failure.cause, FailureCause::Panicked("it went wrong".to_owned()));
    assert!(world.run_for(SECOND).is_err(), "a failed run does not go on");
}

#[test]
fn a_panic_of_main_fails_the_run() {
    let world = world(1);
    drop(world.start::<BootError, _, _>(NODE, 1, |_| async { panic!("at once") }));
    let failure = world.run_for(MINUTE).unwrap_err();
    assert_eq!(failure.fiber, "main");
}

#[test]
fn spinning_fails_the_run_and_passing_lets_time_go_on() {
    for poll_cost in [Duration::ZERO, Duration::from_micros(1)] {
        let options = WorldOptions { poll_cost, spin_limit: 10_000, ..WorldOptions::new(1) };
        let world = World::new(options);
        drop(world.start::<BootError, _, _>(NODE, 1, |shard: Shard| async move {
            drop(shard.fibers().spawn("spinner", {
                let shard = shard.clone();
                async move {
                    loop {
                        shard.pass().await;
                    }
                }
            }));
            shard.stopping().await;
            Ok(())
        }));
        let failure = world.run_for(MINUTE).unwrap_err();
        assert!(failure.fiber.contains("spinner"), "{failure}");
        assert!(matches!(failure.cause, FailureCause::Spinning { .. }));
    }
    let world = world(1);
    let run = world.start::<BootError, _, _>(NODE, 1, |shard: Shard| async move {
        let start = shard.clock().now();
        while shard.clock().now() < start + Duration::from_millis(100) {
            shard.pass().await;
        }
        Ok(())
    });
    assert_eq!(world.run_until(|_| run.has_ended(), SECOND), Ok(true));
}

#[test]
fn stop_lets_a_process_end_in_its_own_way() {
    let world = world(1);
    let run = world.start::<BootError, _, _>(NODE, 2, |shard: Shard| async move {
        let clock = shard.clock().clone();
        drop(shard.fibers().spawn("worker", {
            let fibers = shard.fibers().clone();
            async move {
                fibers.stopped().await;
                clock.sleep(SECOND).await;
            }
        }));
        shard.fibers().spawn_daemon("daemon", std::future::pending());
        shard.stopping().await;
        Ok(())
    });
    world.run_for(SECOND).unwrap();
    assert_eq!(world.fiber_names(NODE).len(), 6);
    world.stop(NODE);
    world.run_for(SECOND / 2).unwrap();
    assert!(world.is_running(NODE) && run.take_ending().is_none());
    world.run_for(SECOND).unwrap();
    assert!(!world.is_running(NODE) && matches!(run.take_ending(), Some(Ending::Good)));
    assert!(world.fiber_names(NODE).is_empty());
}

#[derive(Debug, PartialEq)]
enum MyError {
    Mine,
    Boot,
}

impl From<BootError> for MyError {
    fn from(_: BootError) -> MyError {
        MyError::Boot
    }
}

#[test]
fn the_first_error_stops_the_node_and_is_its_ending() {
    let world = world(1);
    let run = world.start(NODE, 3, |shard: Shard| async move {
        if shard.id() == ShardId(2) {
            shard.clock().sleep(SECOND).await;
            return Err(MyError::Mine);
        }
        shard.stopping().await;
        Ok(())
    });
    assert_eq!(world.run_until(|_| run.has_ended(), MINUTE), Ok(true));
    assert!(matches!(run.take_ending(), Some(Ending::Failed(MyError::Mine))));
}

#[test]
fn a_crash_drops_all_fibers_and_the_node_starts_again() {
    struct Guard(Arc<AtomicU64>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let world = world(1);
    let dropped = Arc::new(AtomicU64::new(0));
    for kind in [CrashKind::Kill, CrashKind::PowerLoss] {
        let guards = Arc::clone(&dropped);
        let run = world.start::<BootError, _, _>(NODE, 2, move |shard: Shard| {
            let guard = Guard(Arc::clone(&guards));
            async move {
                let fibers = shard.fibers().clone();
                let inner = Guard(Arc::clone(&guard.0));
                drop(shard.fibers().spawn("child", async move {
                    let _inner = inner;
                    fibers.stopped().await;
                }));
                std::future::pending::<()>().await;
                drop(guard);
                Ok(())
            }
        });
        world.run_for(SECOND).unwrap();
        assert_eq!(dropped.swap(0, Ordering::Relaxed), 0);
        world.crash(NODE, kind);
        assert_eq!(dropped.swap(0, Ordering::Relaxed), 4);
        assert!(!world.is_running(NODE) && !run.has_ended());
        assert!(world.fiber_names(NODE).is_empty());
        world.run_for(SECOND).unwrap();
    }
}

#[test]
fn fibers_of_a_shard_run_in_turn_unless_the_seed_may_choose() {
    let orders = |order| {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..30 {
            let world = World::new(WorldOptions { fiber_order: order, ..WorldOptions::new(seed) });
            let ran = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&ran);
            let run = world.start::<BootError, _, _>(NODE, 1, move |shard: Shard| {
                let log = Arc::clone(&log);
                async move {
                    let local = Rc::new(RefCell::new(Vec::new()));
                    for number in 0..3 {
                        let local = Rc::clone(&local);
                        drop(shard.fibers().spawn("one of three", async move {
                            local.borrow_mut().push(number);
                        }));
                    }
                    shard.clock().sleep(SECOND).await;
                    *log.lock().unwrap() = local.take();
                    Ok(())
                }
            });
            assert_eq!(world.run_until(|_| run.has_ended(), MINUTE), Ok(true));
            seen.insert(ran.lock().unwrap().clone());
        }
        seen
    };
    assert_eq!(orders(FiberOrder::Fifo), [vec![0, 1, 2]].into());
    assert_eq!(orders(FiberOrder::Seeded).len(), 6);
}

#[test]
fn an_observer_sees_who_runs_and_changes_nothing() {
    let hash = |is_observed: bool| {
        let world = world(1);
        let lines = Rc::new(RefCell::new(Vec::new()));
        if is_observed {
            let lines = Rc::clone(&lines);
            world.observe(move |happening| lines.borrow_mut().push(happening.what));
        }
        let run = world.start::<BootError, _, _>(NODE, 1, |shard: Shard| async move {
            shard.clock().sleep(SECOND).await;
            Ok(())
        });
        assert_eq!(world.run_until(|_| run.has_ended(), MINUTE), Ok(true));
        let main = What::Poll { node: NODE, shard: ShardId(0), fiber: "main" };
        let expected = [What::Start(NODE), main, What::Timer(NODE), main, What::End(NODE)];
        assert_eq!(*lines.borrow(), if is_observed { &expected[..] } else { &[] });
        world.trace_hash()
    };
    assert_eq!(hash(true), hash(false));
}
