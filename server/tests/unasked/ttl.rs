//! Nodes in a simulated world remove what has expired: never early, soon after, once.

use std::time::Duration;

use kv_api::KvRequest;
use runtime::Shard;
use runtime::sim::{CrashKind, Latency, World, WorldOptions};
use wire::{BizCode, Command};

use crate::session::{Session, written};
use crate::simulated::{LIMIT, PROGRAMS, Process, config, key, start_program, world};
use crate::{address, has_ended, run};

/// An expiry takes a timer, a log write and an apply.
const LATE_MAX: Duration = Duration::from_millis(12);

fn temporary<'a>(key: &'a [u8], ttl_millis: i64) -> KvRequest<'a> {
    KvRequest { key, value: b"v", ttl_millis, ..KvRequest::default() }
}

async fn put_temporary(session: &mut Session, key: &[u8], ttl_millis: i64) {
    let put = session.kv(Command::DTKV_PUT_TEMP_NODE, temporary(key, ttl_millis)).await;
    assert!(matches!(put.code, BizCode::Success | BizCode::SuccessOverwrite), "{put:?}");
}

/// Waits until a key is gone.
async fn gone(shard: &Shard, session: &mut Session, key: &[u8]) {
    while session.exists(0, key).await {
        shard.clock().sleep(Duration::from_micros(200)).await;
    }
}

#[test]
fn a_value_lives_for_its_time_and_hardly_longer() {
    for seed in 1..=5 {
        run(seed, &config(1, 1), |shard, address| async move {
            let mut session = Session::open(&shard, address, 1).await;
            for ttl_ms in [1, 2, 5, 50, 300, 2000] {
                let before = shard.clock().now();
                put_temporary(&mut session, b"t", ttl_ms).await;
                let after = shard.clock().now();
                gone(&shard, &mut session, b"t").await;
                let now = shard.clock().now();
                let ttl = Duration::from_millis(ttl_ms as u64);
                assert!(now.since(before) > ttl, "early by {:?}", ttl - now.since(before));
                assert!(now.since(after) < ttl + LATE_MAX, "{:?}", now.since(after));
            }
        });
    }
}

#[test]
fn a_renewed_time_counts_from_the_renewal() {
    run(1, &config(1, 1), |shard, address| async move {
        let mut session = Session::open(&shard, address, 1).await;
        put_temporary(&mut session, b"t", 100).await;
        let mut before = shard.clock().now();
        for round in 0..30 {
            // Some of the renewals meet the expiry on its way.
            let pause = Duration::from_micros(99_000 + 100 * round);
            shard.clock().sleep(pause).await;
            let renewal = shard.clock().now();
            let update = session.kv(Command::DTKV_UPDATE_TTL, temporary(b"t", 100)).await;
            if update.code == BizCode::NotFound {
                assert!(shard.clock().now().since(before) > Duration::from_millis(100));
                put_temporary(&mut session, b"t", 100).await;
            }
            before = renewal;
        }
        gone(&shard, &mut session, b"t").await;
        assert!(shard.clock().now().since(before) > Duration::from_millis(100));
    });
}

#[test]
fn a_wall_clock_that_is_set_shortens_and_prolongs_nothing() {
    for jump in [3_600_000, -3_600_000] {
        let world = world(1);
        let config = config(1, 1);
        let _process = Process::start(&world, &config);
        let address = address(&config);
        start_program(&world, PROGRAMS, move |shard| async move {
            let mut session = Session::open(&shard, address, 1).await;
            put_temporary(&mut session, b"t", 4000).await;
            let before = shard.clock().now();
            gone(&shard, &mut session, b"t").await;
            let lived = shard.clock().now().since(before);
            let early = Duration::from_millis(5);
            assert!(lived > Duration::from_secs(4) - early, "{lived:?}");
            assert!(lived < Duration::from_secs(4) + early + LATE_MAX, "{lived:?}");
        });
        world.run_for(Duration::from_secs(1)).unwrap();
        world.jump_wall(key(&config), jump);
        assert_eq!(world.run_until(has_ended, LIMIT), Ok(true), "{jump}");
    }
}

/// Values that expire within the same milliseconds.
const STORM: usize = 100_000;
/// More entries than these do not come between two writes of a client, one after the other.
const BETWEEN_MAX: u64 = 5000;

#[test]
fn a_storm_of_expiries_lets_others_through() {
    let config = config(1, 1);
    run(1, &config, |shard, address| async move {
        let mut owner = Session::open(&shard, address, 1).await;
        let mut other = Session::open(&shard, address, 2).await;
        let due = shard.clock().now() + Duration::from_secs(5);
        let mut first = 0;
        while first < STORM {
            let mut seqs = Vec::new();
            for number in first..first + 1000 {
                let left = due.since(shard.clock().now()).as_millis() as i64;
                let key = number.to_string();
                let request = temporary(key.as_bytes(), left);
                seqs.push(owner.send_kv(Command::DTKV_PUT_TEMP_NODE, request).await);
            }
            for seq in seqs {
                assert_eq!(written(&owner.answer_to(seq).await).code, BizCode::Success);
            }
            first += 1000;
        }
        assert!(shard.clock().now() < due, "all are there before the first one goes");
        let mut last = 0;
        let mut widest = 0;
        let mut writes = 0;
        shard.clock().sleep_until(due).await;
        loop {
            let request = KvRequest { key: b"other", value: b"v", ..KvRequest::default() };
            let put = other.kv(Command::DTKV_PUT, request).await;
            let between = if last == 0 { 0 } else { put.index - last };
            (last, widest, writes) = (put.index, between.max(widest), writes + 1);
            // The last one to come need not be the last one to go, by milliseconds.
            let key = (STORM - 1).to_string();
            if !other.exists(0, key.as_bytes()).await && children(&mut owner).await == 1 {
                break;
            }
        }
        assert!(widest <= BETWEEN_MAX, "{widest} entries came between two writes");
        assert!(writes >= STORM as u64 / BETWEEN_MAX, "{writes}");
        let late = shard.clock().now().since(due);
        assert!(late < Duration::from_secs(1), "{late:?}");
    });
}

async fn children(session: &mut Session) -> usize {
    let listed = session.call(Command::DTKV_LIST, &[]).await;
    kv_api::KvResponse::decode(&listed.body).unwrap().results.iter().count()
}

#[test]
fn what_was_due_while_the_node_was_down_goes_at_once() {
    for seed in 1..=10 {
        let world = world(seed);
        let config = config(1, 1);
        let process = Process::start(&world, &config);
        let address = address(&config);
        start_program(&world, PROGRAMS, move |shard| async move {
            let mut session = Session::open(&shard, address, 1).await;
            put_temporary(&mut session, b"short", 500).await;
            put_temporary(&mut session, b"long", 5000).await;
        });
        assert_eq!(world.run_until(has_ended, LIMIT), Ok(true));
        let put = world.now();
        assert!(process.is_ready());
        world.crash(key(&config), CrashKind::PowerLoss);
        world.run_for(Duration::from_secs(1)).unwrap();
        let _process = Process::start(&world, &config);
        start_program(&world, PROGRAMS, move |shard| async move {
            let mut session = Session::open(&shard, address, 1).await;
            let start = shard.clock().now();
            gone(&shard, &mut session, b"short").await;
            assert!(shard.clock().now().since(start) < LATE_MAX);
            assert!(session.exists(0, b"long").await);
            gone(&shard, &mut session, b"long").await;
        });
        assert_eq!(world.run_until(has_ended, LIMIT), Ok(true));
        let lived = world.now().since(put);
        assert!(lived > Duration::from_millis(4990), "seed {seed}: {lived:?}");
        assert!(lived < Duration::from_millis(5050), "seed {seed}: {lived:?}");
    }
}

/// How long a log write takes in the test of a slow disk.
const SLOW_WRITE: Duration = Duration::from_millis(50);

#[test]
fn time_spent_in_a_batch_before_the_request_came_does_not_count() {
    let mut options = WorldOptions { is_recording: false, ..WorldOptions::new(1) };
    options.disk.write = Latency::fixed(SLOW_WRITE);
    let world = World::new(options);
    let config = config(1, 1);
    let _process = Process::start(&world, &config);
    let address = address(&config);
    start_program(&world, PROGRAMS, move |shard| async move {
        let mut session = Session::open(&shard, address, 1).await;
        let request = KvRequest { key: b"other", value: b"v", ..KvRequest::default() };
        // The first write goes to the disk; the second one opens the batch that waits for it.
        let first = session.send_kv(Command::DTKV_PUT, request).await;
        shard.clock().sleep(Duration::from_millis(2)).await;
        session.send_kv(Command::DTKV_PUT, request).await;
        shard.clock().sleep(SLOW_WRITE - Duration::from_millis(7)).await;
        let before = shard.clock().now();
        let temporary = temporary(b"t", 200);
        let temporary = session.send_kv(Command::DTKV_PUT_TEMP_NODE, temporary).await;
        session.answer_to(first).await;
        assert!(shard.clock().now().since(before) < SLOW_WRITE / 2, "the batch was open");
        session.answer_to(temporary).await;
        gone(&shard, &mut session, b"t").await;
        let lived = shard.clock().now().since(before);
        assert!(lived > Duration::from_millis(200) + SLOW_WRITE, "and a write: {lived:?}");
    });
    assert_eq!(world.run_until(has_ended, LIMIT), Ok(true));
}
