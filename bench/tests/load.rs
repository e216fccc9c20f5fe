//! Whole runs against a small server.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

#[path = "../../client/drivers/tests/server/mod.rs"]
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bench::{
    Acknowledged, BenchError, Load, Lost, Options, Record, RecordFile, decode_value, read_record,
    run, verify,
};
use client::blocking::Client;
use client::{NodeId, new_process_id};

use crate::server::{Manner, Server};

/// A run of a third of a second.
fn options(server: &Server) -> Options {
    let servers = vec![client::Server { node: NodeId(1), address: server.address() }];
    Options {
        warm_up: Duration::from_millis(100),
        duration: Duration::from_millis(200),
        in_flight: 50,
        keys: 1_000,
        ..Options::new(client::Options::new(servers, new_process_id()))
    }
}

#[test]
fn puts_are_counted_and_timed() {
    let server = Server::start(1, Manner::Serve);
    for (threads, connections) in [(1, 1), (2, 3)] {
        let durable = Some(false);
        let options = Options { threads, connections, durable, ..options(&server) };
        let report = run(&options, &mut |_| panic!("no second is full")).expect("a run");
        assert!(report.ops > 100, "{report}");
        assert_eq!((report.op, report.errors, report.seconds), ("put", 0, 0.2));
        let ascending =
            [0.0, report.p50_us, report.p90_us, report.p99_us, report.p999_us, report.max_us];
        assert!(ascending.is_sorted() && report.p50_us > 0.0, "{report}");
        for field in ["op", "ops_per_s", "p50_us", "p99_us", "p999_us", "max_us", "errors"] {
            assert!(report.to_json().contains(&format!("\"{field}\":")), "{field}");
        }
        assert!(report.to_json().contains("\"durable\":false"));
    }
}

#[test]
fn seconds_are_reported_while_it_runs() {
    let server = Server::start(1, Manner::Serve);
    let duration = Duration::from_millis(1_100);
    let warm_up = Duration::ZERO;
    let mut seconds = Vec::new();
    let report = run(&Options { warm_up, duration, ..options(&server) }, &mut |second| {
        seconds.push((second.second, second.is_warm_up, second.ops));
    });
    let report = report.expect("a run");
    assert!(matches!(seconds[..], [(0, false, 1..)]), "{seconds:?}");
    assert!(report.ops > seconds[0].2, "the rest counts as well");
}

#[test]
fn gets_find_what_was_filled_in() {
    let server = Server::start(1, Manner::Serve);
    let options = Options { load: Load::Get, keys: 200, ..options(&server) };
    let report = run(&options, &mut |_| {}).expect("a run");
    assert_eq!((report.op, report.errors), ("get", 0), "{report}");
    assert!(report.ops > 100);
}

#[test]
fn recorded_puts_are_verified() {
    let server = Server::start(1, Manner::Serve);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let file = Mutex::new(RecordFile::create(&path).expect("a file"));
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let record = Record::new({
        let seen = seen.clone();
        move |puts: &[Acknowledged]| {
            file.lock().expect("no panic").append(puts).expect("written");
            for put in puts {
                let before = seen.lock().expect("no panic").insert(put.key, put.number);
                assert!(before.is_none_or(|before| before < put.number), "numbers rise");
            }
        }
    });
    let options = Options { record: Some(record), threads: 2, connections: 2, ..options(&server) };
    let report = run(&options, &mut |_| {}).expect("a run");
    assert_eq!(report.errors, 0, "{report}");

    let mut recorded = read_record(&path).expect("a record");
    assert_eq!(recorded, *seen.lock().expect("no panic"));
    let verification = verify(options.client.clone(), "benchmark", &recorded).expect("reads");
    assert_eq!(verification.checked, recorded.len() as u64);
    assert_eq!(verification.lost, []);

    // Three keys lose something: one its last value, one everything, one gets another's value.
    let mut client = Client::new(options.client.clone()).expect("valid options");
    let keys: Vec<u64> = recorded.keys().copied().take(3).collect();
    let name = |key: u64| format!("benchmark.key{key}").into_bytes();
    let value = client.get(&name(keys[0])).expect("a reply").expect("a node").value;
    let head = decode_value(&value).expect("a value of the run");
    assert_eq!((head.key, head.number), (keys[0], recorded[&keys[0]]));
    recorded.insert(keys[0], head.number + 1);
    client.remove(&name(keys[1])).expect("a reply");
    client.put(&name(keys[2]), &value).expect("a reply");
    let lost = verify(options.client.clone(), "benchmark", &recorded).expect("reads").lost;
    let found = [Some(head.number), None, None];
    for (lost, (key, found)) in lost.iter().zip(keys.iter().zip(found)) {
        assert_eq!(*lost, Lost { key: *key, acknowledged: recorded[key], found });
    }
    assert_eq!(lost.len(), 3);
}

#[test]
fn torn_record_is_read_to_its_last_put() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let mut file = RecordFile::create(&path).expect("a file");
    let puts = [(1, 5), (2, 6), (1, 3)].map(|(key, number)| Acknowledged { key, number });
    file.append(&puts).expect("written");
    let bytes = std::fs::read(&path).expect("readable");
    for cut in 0..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).expect("writable");
        let expected = match cut / 16 {
            0 => BTreeMap::new(),
            1 => BTreeMap::from([(1, 5)]),
            _ => BTreeMap::from([(1, 5), (2, 6)]),
        };
        assert_eq!(read_record(&path).expect("readable"), expected, "cut at {cut}");
    }
}

#[test]
fn failures_are_counted_by_kind() {
    let server = Server::start(1, Manner::HangUp);
    let report = run(&options(&server), &mut |_| {}).expect("a run");
    assert_eq!((report.ops, report.ops_per_s), (0, 0.0));
    assert_eq!(report.errors_by_kind.values().sum::<u64>(), report.errors);
    assert!(report.errors_by_kind.contains_key("unknown_disconnected"), "{report}");
}

#[test]
fn a_run_needs_its_directory() {
    for manner in [Manner::Ignore, Manner::PointToNode2] {
        let server = Server::start(1, manner);
        let mut options = options(&server);
        options.client.call_timeout = Duration::from_millis(50);
        let error = run(&options, &mut |_| {}).expect_err("no directory");
        assert!(matches!(error, BenchError::Prepare(_)), "{error}");
    }
}

#[test]
fn contradictions_are_refused() {
    let server = Server::start(1, Manner::Serve);
    let good = options(&server);
    assert!(good.check().is_ok());
    let record = Some(Record::new(|_| {}));
    let table = [
        Options { keys: 0, ..good.clone() },
        Options { threads: 2, ..good.clone() },
        Options { threads: 0, ..good.clone() },
        Options { in_flight: 0, ..good.clone() },
        Options { value_bytes: 0, ..good.clone() },
        Options { duration: Duration::ZERO, ..good.clone() },
        Options { record: record.clone(), value_bytes: 15, ..good.clone() },
        Options { record: record.clone(), keys: 199, ..good.clone() },
        Options { record, load: Load::Get, ..good.clone() },
    ];
    for (row, options) in table.iter().enumerate() {
        assert!(matches!(options.check(), Err(BenchError::Options(_))), "row {row}");
        assert!(run(options, &mut |_| {}).is_err());
    }
}
