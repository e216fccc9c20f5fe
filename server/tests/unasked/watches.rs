//! Nodes in a simulated world tell those who watch of changes, across shards, and forget them when
//! they go.

use std::time::Duration;

use kv_api::KvRequest;
use wire::{BizCode, Command};

use crate::run_on_both;
use crate::session::{Session, events, written};

async fn put(session: &mut Session, group_id: i32, key: &[u8], value: &[u8]) -> u64 {
    let request = KvRequest { group_id, key, value, ..KvRequest::default() };
    session.kv(Command::DTKV_PUT, request).await.index
}

#[test]
fn every_watcher_is_told_wherever_it_is_connected() {
    for seed in 1..=3 {
        run_on_both(seed, |shard, address, group| async move {
            let mut writer = Session::open(&shard, address, 1).await;
            let first = put(&mut writer, group, b"a", b"1").await;
            let mut watchers = Vec::new();
            for process in 2..=5 {
                let mut watcher = Session::open(&shard, address, process).await;
                assert_eq!(watcher.watch(group, false, &[(b"a", 0)]).await, BizCode::Success);
                watchers.push(watcher);
            }
            for watcher in &mut watchers {
                let told = watcher.notification(group).await;
                assert_eq!(told, [(b"a".to_vec(), first, Some(b"1".to_vec()))]);
            }
            for number in [b"2", b"3"] {
                let index = put(&mut writer, group, b"a", number).await;
                for watcher in &mut watchers {
                    let told = watcher.told(group, b"a", index).await;
                    assert_eq!(told, (b"a".to_vec(), index, Some(number.to_vec())));
                }
            }
        });
    }
}

#[test]
fn the_first_change_after_a_pause_is_told_at_once() {
    run_on_both(1, |shard, address, group| async move {
        let mut writer = Session::open(&shard, address, 1).await;
        let mut watcher = Session::open(&shard, address, 2).await;
        put(&mut writer, group, b"a", b"0").await;
        watcher.watch(group, false, &[(b"a", 0)]).await;
        watcher.notification(group).await;
        for _ in 0..10 {
            shard.clock().sleep(Duration::from_millis(100)).await;
            let index = put(&mut writer, group, b"a", b"1").await;
            let written = shard.clock().now();
            watcher.told(group, b"a", index).await;
            let late = shard.clock().now().since(written);
            assert!(late < Duration::from_millis(2), "{late:?}");
        }
    });
}

#[test]
fn many_changes_make_few_notifications_and_the_last_one_is_told() {
    run_on_both(1, |shard, address, group| async move {
        let mut writer = Session::open(&shard, address, 1).await;
        let mut watcher = Session::open(&shard, address, 2).await;
        watcher.watch(group, false, &[(b"a", 0)]).await;
        let started = shard.clock().now();
        let mut seqs = Vec::new();
        for number in 0..2000_u32 {
            let value = number.to_string();
            let (group_id, key, value) = (group, b"a", value.as_bytes());
            let request = KvRequest { group_id, key, value, ..KvRequest::default() };
            seqs.push(writer.send_kv(Command::DTKV_PUT, request).await);
        }
        let last = writer.answer_to(*seqs.last().unwrap()).await;
        let last = written(&last).index;
        let mut indexes = Vec::new();
        while indexes.last() != Some(&last) {
            indexes.extend(watcher.notification(group).await.iter().map(|told| told.1));
        }
        assert!(indexes.is_sorted());
        let intervals = shard.clock().now().since(started).as_millis() / 5 + 2;
        assert!(indexes.len() as u128 <= intervals, "{} in {intervals}", indexes.len());
    });
}

#[test]
fn a_client_that_does_not_answer_is_asked_again_and_loses_nothing() {
    run_on_both(1, |shard, address, group| async move {
        let mut writer = Session::open(&shard, address, 1).await;
        let mut watcher = Session::open(&shard, address, 2).await;
        put(&mut writer, group, b"a", b"1").await;
        watcher.watch(group, false, &[(b"a", 0)]).await;
        let lost = watcher.push().await;
        let before = shard.clock().now();
        let index = put(&mut writer, group, b"a", b"2").await;
        assert_eq!(watcher.push_within(Duration::from_millis(5900)).await, None);
        let again = watcher.push().await;
        let passed = shard.clock().now().since(before);
        assert!(passed < Duration::from_millis(6100), "{passed:?}");
        assert_eq!(events(&again, group), [(b"a".to_vec(), index, Some(b"2".to_vec()))]);
        watcher.respond(&lost, BizCode::RemoveAllWatch, &[]).await;
        assert_eq!(watcher.watch_count(group).await, 1, "too late to mean anything");
        watcher.respond(&again, BizCode::RemoveAllWatch, &[]).await;
        while watcher.watch_count(group).await > 0 {}
    });
}

#[test]
fn a_closed_connection_leaves_no_watch() {
    run_on_both(1, |shard, address, group| async move {
        let mut writer = Session::open(&shard, address, 1).await;
        let mut watcher = Session::open(&shard, address, 2).await;
        put(&mut writer, group, b"a", b"1").await;
        watcher.watch(group, false, &[(b"a", 0), (b"b", 0)]).await;
        assert_eq!(watcher.watch_count(group).await, 2);
        assert_eq!(watcher.watch_count(1 - group).await, 0);
        watcher.close();
        let mut again = Session::open(&shard, address, 2).await;
        assert_eq!(again.watch_count(group).await, 0);
        put(&mut writer, group, b"a", b"2").await;
        assert_eq!(again.push_within(Duration::from_secs(1)).await, None);
    });
}

#[test]
fn clients_that_watch_for_long_only_have_to_ask_now_and_then() {
    run_on_both(1, |shard, address, group| async move {
        let mut writer = Session::open(&shard, address, 1).await;
        let mut speaks = Session::open(&shard, address, 2).await;
        let mut silent = Session::open(&shard, address, 3).await;
        put(&mut writer, group, b"a", b"1").await;
        for watcher in [&mut speaks, &mut silent] {
            watcher.watch(group, false, &[(b"a", 0)]).await;
            watcher.notification(group).await;
        }
        for _ in 0..2 {
            shard.clock().sleep(Duration::from_secs(25)).await;
        }
        assert_eq!(speaks.watch_count(group).await, 1);
        let index = put(&mut writer, group, b"a", b"2").await;
        speaks.told(group, b"a", index).await;
        silent.told(group, b"a", index).await;
    });
}
