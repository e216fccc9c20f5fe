//! The table of watches with a real tree and clients that answer well, badly or never.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::time::Duration;

use kv_api::{KvRequest, OperationKind, Owner, Payload, Repeated, WatchRequest, WatchState};
use kv_machine::{Machine, MachineOptions, Stamp};
use moment::Moment;
use rpc::ConnectionId;
use runtime::ShardId;
use server::watches::table::{SyncRefusal, Table};
use server::watches::{ClientId, NotifyAnswer, WatchLimits};
use wire::{BizCode, Writer};

const LIMITS: WatchLimits = WatchLimits {
    keys_max: 100,
    notify_bytes_max: 1000,
    in_flight_bytes_max: 1 << 20,
    keep_alive: Duration::from_secs(120),
};

/// A tree with its table, and the time.
struct Bench {
    machine: Machine,
    table: Table,
    index: u64,
    now: Moment,
}

/// A notification as a client gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    client: ClientId,
    flight: u64,
    /// Key, index, state, value.
    events: Vec<(Vec<u8>, u64, WatchState, Vec<u8>)>,
}

impl Bench {
    fn new(limits: WatchLimits) -> Bench {
        let machine = Machine::new(MachineOptions { hash_seed: 1 });
        Bench { machine, table: Table::new(limits), index: 0, now: Moment::from_nanos(1) }
    }

    fn apply(&mut self, kind: OperationKind, key: &[u8], value: &[u8]) -> u64 {
        let mut body = Vec::new();
        KvRequest { key, value, ..KvRequest::default() }.encode(&mut Writer::new(&mut body));
        let payload = Payload::new(kind, Owner { high: 1, low: 1 }, &body);
        let (head, length) = payload.head();
        self.index += 1;
        let stamp = Stamp { index: self.index, time_ms: 0 };
        self.machine.apply(stamp, &[&head[..length], &body].concat());
        self.index
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> u64 {
        self.apply(OperationKind::Put, key, value)
    }

    fn sync(
        &mut self,
        client: ClientId,
        all: bool,
        keys: &[(&[u8], i64)],
    ) -> Result<(), SyncRefusal> {
        let known: Vec<_> = keys.iter().map(|(_, known)| *known).collect();
        let names: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
        let request = WatchRequest::new(0, all, &known, &names);
        self.table.sync(&mut self.machine, client, &request, self.now)
    }

    fn watch(&mut self, client: ClientId, key: &[u8]) {
        self.sync(client, false, &[(key, 0)]).unwrap();
    }

    /// Everything that is sent at this moment.
    fn dispatch(&mut self) -> Vec<Told> {
        self.table.ring(&mut self.machine, self.now);
        while self.table.note_changes(&mut self.machine, 10) {}
        let mut told = Vec::new();
        while let Some(notification) = self.table.next_notification(&self.machine, self.now) {
            told.push(copy(&notification));
        }
        told
    }

    fn answer(&mut self, told: &Told, answer: NotifyAnswer<'_>) -> Option<Told> {
        let (client, flight) = (told.client, told.flight);
        let next = self.table.answered(&mut self.machine, client, flight, answer, self.now);
        next.as_ref().map(copy)
    }

    fn take(&mut self, told: &Told) -> Option<Told> {
        self.answer(told, NotifyAnswer::Results(Repeated::default()))
    }

    fn pass(&mut self, seconds: f64) {
        self.now = self.now + Duration::from_secs_f64(seconds);
    }

    /// Whether nothing is left of any watch.
    fn is_clean(&mut self) -> bool {
        self.put(b"a", b"x");
        self.put(b"b", b"x");
        !self.machine.has_changes() && self.table.next_alarm().is_none()
    }
}

fn copy(notification: &server::watches::sending::Notification<'_>) -> Told {
    let event = |event: &kv_api::WatchEvent<'_>| {
        (event.key.to_vec(), event.raft_index, event.state, event.value.to_vec())
    };
    let events = notification.events.iter().map(event).collect();
    Told { client: notification.client, flight: notification.flight, events }
}

fn client(number: u32) -> ClientId {
    ClientId { shard: ShardId(0), connection: ConnectionId::new(number, 0) }
}

fn value(key: &[u8], index: u64, value: &[u8]) -> (Vec<u8>, u64, WatchState, Vec<u8>) {
    (key.to_vec(), index, WatchState::Value, value.to_vec())
}

fn events(told: &[Told]) -> Vec<(Vec<u8>, u64, WatchState, Vec<u8>)> {
    told.iter().flat_map(|told| told.events.clone()).collect()
}

#[test]
fn the_state_at_registration_and_then_each_latest_state_is_told() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    bench.watch(client(1), b"a");
    let told = bench.dispatch();
    assert_eq!(events(&told), [value(b"a", 1, b"1")]);
    assert_eq!(bench.take(&told[0]), None);
    assert_eq!(bench.dispatch(), []);
    for number in 0..5 {
        bench.put(b"a", &[number]);
    }
    let told = bench.dispatch();
    assert_eq!(events(&told), [value(b"a", 6, &[4])]);
    bench.take(&told[0]);
    bench.apply(OperationKind::Remove, b"a", b"");
    let removed = (b"a".to_vec(), 7, WatchState::Missing, Vec::new());
    assert_eq!(events(&bench.dispatch()), [removed]);
}

#[test]
fn an_empty_store_tells_nothing_of_a_missing_key() {
    let mut bench = Bench::new(LIMITS);
    bench.watch(client(1), b"a");
    assert_eq!(bench.dispatch(), []);
    bench.put(b"a", b"1");
    assert_eq!(events(&bench.dispatch()), [value(b"a", 1, b"1")]);
}

#[test]
fn one_notification_is_in_flight_and_the_next_has_the_latest() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    bench.watch(client(1), b"a");
    let first = bench.dispatch();
    for number in 0..3 {
        bench.put(b"a", &[number]);
        assert_eq!(bench.dispatch(), []);
    }
    bench.take(&first[0]);
    let second = bench.dispatch();
    assert_eq!(events(&second), [value(b"a", 4, &[2])]);
    assert_eq!(bench.take(&first[0]), None, "an answer that comes twice");
    assert_eq!(bench.dispatch(), []);
    bench.put(b"a", b"9");
    assert_eq!(bench.dispatch(), [], "the second one is still in flight");
}

#[test]
fn what_the_client_knows_is_not_told() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    let known = bench.put(b"a", b"2") as i64;
    for (known, expected) in [(known, 0), (known + 5, 0), (known - 1, 1), (0, 1)] {
        bench.sync(client(1), true, &[(b"a", known)]).unwrap();
        let told = bench.dispatch();
        assert_eq!(told.len(), expected, "{known}");
        told.iter().for_each(|told| drop(bench.take(told)));
    }
    bench.sync(client(1), true, &[(b"a", known + 5)]).unwrap();
    for _ in 0..5 {
        bench.put(b"a", b"3");
        assert_eq!(bench.dispatch(), []);
    }
    bench.put(b"a", b"4");
    assert_eq!(events(&bench.dispatch()), [value(b"a", 8, b"4")]);
}

#[test]
fn registering_again_tells_once_more_whatever_is_in_flight() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    bench.watch(client(1), b"a");
    let first = bench.dispatch();
    bench.watch(client(1), b"a");
    assert_eq!(bench.table.count(client(1)), 1);
    bench.take(&first[0]);
    let again = bench.dispatch();
    assert_eq!(events(&again), [value(b"a", 1, b"1")]);
    bench.take(&again[0]);
    assert_eq!(bench.dispatch(), []);
}

#[test]
fn a_long_list_is_cut_and_the_rest_follows_each_answer() {
    let mut bench = Bench::new(LIMITS);
    let keys: Vec<_> = (0..30).map(|number| format!("k{number:02}").into_bytes()).collect();
    for key in &keys {
        bench.put(key, &[7; 197]);
    }
    let known: Vec<_> = keys.iter().map(|key| (&key[..], 0)).collect();
    bench.sync(client(1), false, &known).unwrap();
    let mut told = bench.dispatch();
    assert_eq!(told.len(), 1);
    let mut lengths = Vec::new();
    while let Some(next) = told.pop() {
        lengths.push(next.events.len());
        told.extend(bench.take(&next));
    }
    assert_eq!(lengths, [5; 6], "five events have at least a thousand bytes");
    assert_eq!(bench.dispatch(), []);
}

#[test]
fn failures_are_retried_later_and_later() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    bench.watch(client(1), b"a");
    let mut told = bench.dispatch();
    for (failures, rest) in [1.0, 10.0, 30.0, 60.0, 60.0].into_iter().enumerate() {
        if failures % 2 == 0 {
            bench.answer(&told[0], NotifyAnswer::Failed);
        } else {
            bench.pass(5.0);
            assert_eq!(bench.dispatch(), []);
        }
        let index = bench.put(b"a", b"2");
        bench.table.touch(client(1), bench.now);
        bench.pass(rest - 0.001);
        assert_eq!(bench.dispatch(), [], "after {failures} failures");
        bench.pass(0.001);
        told = bench.dispatch();
        assert_eq!(events(&told), [value(b"a", index, b"2")]);
    }
    bench.take(&told[0]);
    bench.put(b"a", b"3");
    let told = bench.dispatch();
    bench.answer(&told[0], NotifyAnswer::Failed);
    bench.pass(1.0);
    assert_eq!(bench.dispatch().len(), 1, "success begins the series anew");
}

#[test]
fn results_are_for_their_events() {
    let mut bench = Bench::new(LIMITS);
    for key in [b"a", b"b", b"c"] {
        bench.put(key, b"1");
        bench.watch(client(1), key);
    }
    let told = bench.dispatch();
    assert_eq!(told[0].events.len(), 3);
    bench.answer(&told[0], NotifyAnswer::Results(Repeated::new(&[16, 1])));
    assert_eq!(bench.table.count(client(1)), 2);
    assert_eq!(bench.dispatch(), []);
    bench.pass(1.0);
    assert_eq!(events(&bench.dispatch()), [value(b"b", 2, b"1")], "only what was not taken");
}

#[test]
fn answers_concern_neither_ended_nor_new_watches() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    bench.watch(client(1), b"a");
    bench.watch(client(1), b"z");
    let told = bench.dispatch();
    bench.sync(client(1), false, &[(b"a", -1)]).unwrap();
    // The new key takes the place of the old one in the tree's list and in the table's.
    bench.watch(client(1), b"b");
    bench.answer(&told[0], NotifyAnswer::Results(Repeated::new(&[16, 0])));
    assert_eq!(bench.table.count(client(1)), 2);
    let missing = (b"b".to_vec(), 1, WatchState::Missing, Vec::new());
    assert_eq!(events(&bench.dispatch()), [missing]);
}

#[test]
fn every_end_leaves_nothing() {
    let mut bench = Bench::new(LIMITS);
    let ends: [fn(&mut Bench); 7] = [
        |bench| bench.table.close(&mut bench.machine, client(1)),
        |bench| bench.sync(client(1), true, &[]).unwrap(),
        |bench| bench.sync(client(1), false, &[(b"a", -1), (b"b", -7)]).unwrap(),
        |bench| {
            let told = bench.dispatch();
            bench.answer(&told[0], NotifyAnswer::RemoveAll);
        },
        |bench| {
            let told = bench.dispatch();
            bench.answer(&told[0], NotifyAnswer::Results(Repeated::new(&[16, 16])));
        },
        |bench| {
            bench.pass(119.9);
            bench.dispatch();
            assert_eq!(bench.table.count(client(1)), 2);
            bench.pass(0.1);
            bench.dispatch();
        },
        |bench| {
            let told = bench.dispatch();
            bench.answer(&told[0], NotifyAnswer::Failed);
            bench.table.close(&mut bench.machine, client(1));
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        bench.put(b"a", b"1");
        bench.watch(client(1), b"a");
        bench.watch(client(1), b"b");
        end(&mut bench);
        assert_eq!(bench.table.count(client(1)), 0, "{number}");
        assert!(bench.is_clean(), "{number}");
    }
}

#[test]
fn who_speaks_stays() {
    let mut bench = Bench::new(LIMITS);
    bench.put(b"a", b"1");
    bench.watch(client(1), b"a");
    let told = bench.dispatch();
    bench.take(&told[0]);
    let speak: [fn(&mut Bench); 3] = [
        |bench| bench.table.touch(client(1), bench.now),
        |bench| {
            bench.put(b"a", b"2");
            let told = bench.dispatch();
            bench.take(&told[0]);
        },
        |bench| bench.watch(client(1), b"a"),
    ];
    for speak in speak {
        bench.pass(119.0);
        speak(&mut bench);
        bench.pass(119.0);
        bench.dispatch();
        assert_eq!(bench.table.count(client(1)), 1);
        bench.table.touch(client(1), bench.now);
    }
}

#[test]
fn limits_are_kept() {
    let limits = WatchLimits { in_flight_bytes_max: 10, ..LIMITS };
    let mut bench = Bench::new(limits);
    bench.put(b"a", b"123456789");
    (1..=3).for_each(|number| bench.watch(client(number), b"a"));
    let first = bench.dispatch();
    assert_eq!(first.len(), 1);
    bench.take(&first[0]);
    let second = bench.dispatch();
    assert_eq!(second.len(), 1);
    bench.pass(5.0);
    let third = bench.dispatch();
    assert_eq!(third.len(), 1, "an answer that does not come makes way");
    let told = [&first, &second, &third].map(|told| told[0].client);
    assert_eq!(told, [client(1), client(2), client(3)]);

    let keys: Vec<_> = (0..101).map(|number| format!("k{number}").into_bytes()).collect();
    let keys: Vec<_> = keys.iter().map(|key| (&key[..], 0)).collect();
    assert_eq!(bench.sync(client(9), false, &keys), Err(SyncRefusal::TooManyKeys { room: 100 }));
    assert_eq!(bench.table.count(client(9)), 0);
    bench.sync(client(9), false, &keys[..100]).unwrap();
    assert_eq!(bench.sync(client(9), false, &keys[..1]), Err(SyncRefusal::TooManyKeys { room: 0 }));
    bench.sync(client(9), true, &keys[1..]).unwrap();
    let bad = bench.sync(client(9), false, &[(b"good", 0), (b"bad.", 0)]);
    assert_eq!(bad, Err(SyncRefusal::Code(BizCode::InvalidKey)));
    assert_eq!(bench.table.count(client(9)), 100);
}

/// What a client of the random test remembers of each key that it watches: the last index, and
/// whether there was something.
type Memory = BTreeMap<Vec<u8>, (u64, bool)>;

/// Lets clients come, go, answer and fail at random; in the end each has the latest state of all it
/// watches. Returns how many notifications there were.
fn converge(seed: u64) -> usize {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let limits = WatchLimits { notify_bytes_max: 4, in_flight_bytes_max: 40, ..LIMITS };
    let mut bench = Bench::new(limits);
    let keys = [&b"a"[..], b"b", b"c", b"d", b"e"];
    let mut memories: Vec<Memory> = vec![Memory::new(); 6];
    let mut open: Vec<Told> = Vec::new();
    let mut count = 0;
    for _ in 0..400 {
        let key = keys[below(5) as usize];
        let number = below(6) as u32;
        let memory = &mut memories[number as usize];
        match below(12) {
            0 | 1 => drop(bench.put(key, &[below(256) as u8 | 1])),
            2 => drop(bench.apply(OperationKind::Remove, key, b"")),
            3 => {
                let known = memory.get(key).map_or(0, |(index, _)| *index as i64);
                bench.sync(client(number), false, &[(key, known)]).unwrap();
                memory.entry(key.to_vec()).or_default();
            }
            4 => {
                bench.sync(client(number), false, &[(key, -1)]).unwrap();
                memory.remove(key);
            }
            5 => {
                bench.sync(client(number), true, &[(key, 0)]).unwrap();
                *memory = BTreeMap::from([(key.to_vec(), (0, false))]);
            }
            6 if below(8) == 0 => {
                bench.table.close(&mut bench.machine, client(number));
                memory.clear();
            }
            7..=9 => {
                let told = bench.dispatch();
                count += told.len();
                open.extend(told);
            }
            10 if !open.is_empty() => {
                let told = open.swap_remove(below(open.len() as u64) as usize);
                open.extend(respond(&mut bench, &mut memories, &told, below(4) == 0));
            }
            _ => bench.pass(below(70) as f64 / 10.0),
        }
        (0..6).for_each(|number| bench.table.touch(client(number), bench.now));
    }
    for _ in 0..50 {
        bench.pass(61.0);
        (0..6).for_each(|number| bench.table.touch(client(number), bench.now));
        open = bench.dispatch();
        while let Some(told) = open.pop() {
            open.extend(respond(&mut bench, &mut memories, &told, false));
        }
    }
    for (number, memory) in memories.iter().enumerate() {
        assert_eq!(bench.table.count(client(number as u32)), memory.len(), "seed {seed}");
        for (key, (index, exists)) in memory {
            let node = bench.machine.get(key);
            assert_eq!(node.is_ok(), *exists, "seed {seed}: client {number}, {key:?}");
            let current = node.map_or(*index, |node| node.update_index);
            assert_eq!(*index, current, "seed {seed}: client {number}, {key:?}");
        }
    }
    count
}

/// A client takes a notification, or drops it.
fn respond(bench: &mut Bench, memories: &mut [Memory], told: &Told, fail: bool) -> Option<Told> {
    if fail {
        return bench.answer(told, NotifyAnswer::Failed);
    }
    let number = (0..6).find(|number| client(*number) == told.client).unwrap();
    let memory = &mut memories[number as usize];
    let take = |(key, index, state, _): &(Vec<u8>, u64, WatchState, Vec<u8>)| {
        let Some(known) = memory.get_mut(key) else { return 16 };
        if *index > known.0 {
            *known = (*index, *state != WatchState::Missing);
        }
        0
    };
    let results: Vec<_> = told.events.iter().map(take).collect();
    bench.answer(told, NotifyAnswer::Results(Repeated::new(&results)))
}

#[test]
fn clients_that_come_go_and_fail_have_the_latest_state_in_the_end() {
    let notifications: usize = (1..=500).map(converge).sum();
    assert!(notifications > 10_000, "{notifications} show little");
}
