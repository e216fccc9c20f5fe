//! Starting and ending a node.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runtime::{
    BLOCK, BootError, BootPlan, FiberGroup, OpenOptions, ShardPlacement, StopHandle, boot,
};

use crate::support::{Failed, data_dir, on_shards, shards};

#[test]
fn every_shard_runs_main_on_its_own_core_until_the_node_is_stopped() {
    let stop = StopHandle::new();
    let started = Arc::new(AtomicUsize::new(0));
    let count = shards();
    let counter = Arc::clone(&started);
    on_shards(count, stop, move |shard| {
        let started = Arc::clone(&counter);
        async move {
            if started.fetch_add(1, Ordering::SeqCst) + 1 == count {
                shard.stop_node();
            }
            shard.stopping().await;
            assert!(shard.is_stopping());
            Ok(())
        }
    })
    .expect("a clean end");
    assert_eq!(started.load(Ordering::SeqCst), count);
}

#[test]
fn another_thread_stops_a_sleeping_node() {
    let stop = StopHandle::new();
    let handle = stop.clone();
    let (asleep, is_asleep) = std::sync::mpsc::channel();
    let stopper = std::thread::spawn(move || {
        is_asleep.recv().expect("the node starts");
        handle.stop();
    });
    on_shards(1, stop, move |shard| {
        let asleep = asleep.clone();
        async move {
            asleep.send(()).expect("the stopper listens");
            shard.stopping().await;
            Ok(())
        }
    })
    .expect("a clean end");
    stopper.join().expect("the stopper ends");
}

#[test]
fn the_first_error_stops_all_shards_and_is_the_result() {
    let result = on_shards(shards(), StopHandle::new(), |shard| async move {
        if shard.id().0 == 0 {
            shard.clock().sleep(Duration::from_millis(1)).await;
            return Err(Failed::Test("shard 0 gave up"));
        }
        shard.stopping().await;
        Ok(())
    });
    assert!(matches!(result, Err(Failed::Test("shard 0 gave up"))), "{result:?}");
}

#[test]
fn a_panic_in_main_stops_all_shards_with_its_text() {
    let result = on_shards(shards(), StopHandle::new(), |shard| async move {
        assert!(shard.id().0 != 0, "planted");
        shard.stopping().await;
        Ok(())
    });
    let Err(Failed::Boot(BootError::Panicked { shard, place, message })) = result else {
        panic!("{result:?}")
    };
    assert_eq!((shard.0, place.as_str(), message.as_str()), (0, "main", "planted"));
}

#[test]
fn a_panic_in_a_fiber_of_any_group_stops_the_node_with_its_place() {
    let result = on_shards(1, StopHandle::new(), |shard| async move {
        let group = FiberGroup::new(&shard, "workers");
        group.spawn_daemon("bad", async { panic!("planted {}", 7) });
        shard.stopping().await;
        std::future::pending().await
    });
    let Err(Failed::Boot(BootError::Panicked { place, message, .. })) = result else {
        panic!("{result:?}")
    };
    assert_eq!((place.as_str(), message.as_str()), ("fiber workers/bad", "planted 7"));
}

#[test]
fn a_shard_that_spins_before_it_sleeps_does_all_the_same() {
    let data = data_dir();
    let mut plan = BootPlan::new(ShardPlacement::Count(1), data.path().to_owned());
    plan.spin = Duration::from_micros(100);
    let result = boot(plan, StopHandle::new(), |shard| async move {
        let options = OpenOptions { write: true, create: true, dsync: true };
        let file = shard.storage().open("file", options).await.expect("made");
        let mut block = shard.buffer(BLOCK);
        block.fill(1);
        let block = block.freeze();
        for number in 0..10 {
            let offset = number * BLOCK as u64;
            file.write_at(&block, 0..BLOCK, offset).await.expect("written");
            shard.clock().sleep(Duration::from_millis(1)).await;
        }
        Ok::<(), Failed>(())
    });
    assert!(result.is_ok(), "{result:?}");
}

#[test]
fn impossible_plans_are_refused_before_anything_starts() {
    let data = data_dir();
    let start = |shards| {
        let plan = BootPlan::new(shards, data.path().to_owned());
        boot::<Failed, _, _>(plan, StopHandle::new(), |_| async { panic!("must not start") })
    };
    let cases = [
        (ShardPlacement::Count(0), "cannot run 0 shards"),
        (ShardPlacement::Cpus(vec![]), "cannot run 0 shards"),
        (ShardPlacement::Count(100_000), "100000 shards need as many cpus"),
        (ShardPlacement::Cpus(vec![0, 9_999]), "the process may not use cpu 9999"),
    ];
    for (shards, text) in cases {
        let Err(Failed::Boot(error)) = start(shards) else { panic!("{text}") };
        assert!(error.to_string().starts_with(text), "{error}");
    }
    let plan = BootPlan::new(ShardPlacement::Count(1), "/proc/nothing/here".into());
    let result = boot::<Failed, _, _>(plan, StopHandle::new(), |_| async { Ok(()) });
    assert!(matches!(result, Err(Failed::Boot(BootError::DataDir(..)))), "{result:?}");
}
