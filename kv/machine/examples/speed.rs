//! What an operation costs: nanoseconds, worst pauses and bytes a node.
//!
//! `cargo run --release -p kv-machine --example speed [NODES]`

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program for people")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use kv_api::{KvRequest, OperationKind, Owner, Payload};
use kv_machine::{Loader, Machine, MachineOptions, Outcome, SnapshotPiece, Stamp};
use wire::{BizCode, Writer};

const KEY: &[u8] = b"benchmark.key00000000";
const VALUE_BYTES: usize = 256;
const HOT_KEYS: usize = 10_000;
const ROUNDS: usize = 3_000_000;

fn main() {
    let nodes = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number"));
    // First, so that no memory lies ready that the allocator had got for another.
    many_keys(nodes);
    hot_keys();
    decode();
}

fn decode() {
    let payload = payload(OperationKind::Put, b"benchmark.key1234567", &[7; VALUE_BYTES]);
    let body = &payload[2..];
    let spent = timed(ROUNDS, |_| {
        black_box(KvRequest::decode(black_box(body))).ok();
    });
    println!("decode a put of {} bytes: {spent} ns", body.len());
    let body = &payload[2..24];
    let spent = timed(ROUNDS, |_| {
        black_box(KvRequest::decode(black_box(body))).ok();
    });
    println!("decode a get of {} bytes: {spent} ns", body.len());
}

fn hot_keys() {
    let mut bench = Bench::new();
    let mut payload = put_payload();
    for number in 0..HOT_KEYS {
        bench.apply(with_number(&mut payload, number));
    }
    let order = shuffled(HOT_KEYS);
    let spent = timed(ROUNDS, |round| {
        bench.apply(with_number(&mut payload, order[round % HOT_KEYS]));
    });
    println!("overwrite one of {HOT_KEYS} values, random order: {spent} ns");
    println!("the same, read ahead: {} ns", bench.in_bursts(&payload, &order));
    let spent = timed(ROUNDS, |_| bench.apply(with_number(&mut payload, 17)));
    println!("overwrite always the same value: {spent} ns");
    let spent = timed(ROUNDS, |round| {
        bench.get(key_in(with_number(&mut payload, order[round % HOT_KEYS])));
    });
    println!("get one of {HOT_KEYS} values, random order: {spent} ns");
}

fn many_keys(nodes: usize) {
    let order = shuffled(nodes);
    let mut payload = put_payload();
    let mut pauses = vec![Duration::MAX; nodes];
    let before = resident_bytes();
    let mut bench = Bench::new();
    insert(&mut bench, &mut payload, &mut pauses);
    let content = KEY.len() + VALUE_BYTES;
    let resident = (resident_bytes() - before) / nodes - content;
    let asked = bench.machine.memory_bytes() / nodes - content;
    println!("memory above key and value: {asked} bytes a node asked for, {resident} resident");

    // Once more, to tell the pauses of the machine, which come again, from those of the computer.
    drop(bench);
    let mut bench = Bench::new();
    let started = processor_time();
    insert(&mut bench, &mut payload, &mut pauses);
    let spent = (processor_time() - started).as_nanos() / nodes as u128;
    let worst = pauses.iter().max().expect("nodes");
    let long = pauses.iter().filter(|pause| pause.as_micros() >= 100).count();
    println!("insert {nodes} values: {spent} ns each; worst {worst:?}, {long} above 100 us");

    let rounds = nodes.min(ROUNDS);
    let spent = timed(rounds, |round| {
        bench.get(key_in(with_number(&mut payload, order[round])));
    });
    println!("get one of {nodes} values, random order: {spent} ns");
    let spent = timed(rounds, |round| bench.apply(with_number(&mut payload, order[round])));
    println!("overwrite one of {nodes} values, random order: {spent} ns");
    println!("the same, read ahead: {} ns", bench.in_bursts(&payload, &order));
    let spent = timed(5, |_| {
        black_box(bench.machine.state_hash());
    });
    println!("hash of the whole state: {} ms", spent / 1_000_000);
    save_and_load(&mut bench, nodes);
    let mut removal = self::payload(OperationKind::Remove, KEY, b"");
    let head = removal.len() - KEY.len() - 2;
    let spent = timed(rounds, |round| {
        set_number(&mut removal[head + 2..], order[round]);
        bench.apply(&removal);
    });
    println!("remove one of {nodes} values, random order: {spent} ns");
}

/// A snapshot in the pieces that the host takes, and a machine of it.
fn save_and_load(bench: &mut Bench, nodes: usize) {
    const PIECE: usize = 32 << 10;
    const CHUNK: usize = 256 << 10;
    const STEPS: u32 = 4096;
    let mut stream = Vec::with_capacity(nodes * (VALUE_BYTES + 128));
    let started = processor_time();
    bench.machine.begin_snapshot(1 << 20, &mut stream);
    while bench.machine.snapshot_piece(PIECE, &mut stream) == SnapshotPiece::More {}
    let spent = (processor_time() - started).as_nanos() / nodes as u128;
    println!("save {nodes} values: {spent} ns each");
    let started = processor_time();
    let mut loader = Loader::new(MachineOptions { hash_seed: 42 });
    for chunk in stream.chunks(CHUNK) {
        loader.feed(chunk).expect("whole");
    }
    let fed = processor_time() - started;
    while !loader.link(STEPS).expect("whole") {}
    let spent = (processor_time() - started).as_nanos() / nodes as u128;
    let linking = spent - fed.as_nanos() / nodes as u128;
    println!("load {nodes} values: {spent} ns each, {linking} of them to fit them together");
    assert_eq!(loader.finish().state_hash(), bench.machine.state_hash());
}

/// A machine and its next index.
struct Bench {
    machine: Machine,
    index: u64,
}

impl Bench {
    fn new() -> Bench {
        let machine = Machine::new(MachineOptions { hash_seed: 42 });
        let mut bench = Bench { machine, index: 0 };
        bench.apply(&payload(OperationKind::Mkdir, b"benchmark", b""));
        bench
    }

    fn apply(&mut self, payload: &[u8]) {
        self.index += 1;
        let stamp = Stamp { index: self.index, time_ms: 1_700_000_000_000 + self.index / 1000 };
        let outcome = self.machine.apply(stamp, payload);
        let done = [BizCode::Success, BizCode::SuccessOverwrite].map(Outcome::One);
        assert!(done.contains(&outcome), "{outcome:?}");
    }

    /// Nanoseconds to overwrite a value when the machine reads ahead, as it does behind a log.
    fn in_bursts(&mut self, payload: &[u8], order: &[usize]) -> u128 {
        const BURST: usize = 32;
        let mut burst = vec![payload.to_vec(); BURST];
        let bursts = order.len().max(ROUNDS / 3) / BURST;
        timed(bursts, |round| {
            for (position, payload) in burst.iter_mut().enumerate() {
                with_number(payload, order[(round * BURST + position) % order.len()]);
            }
            self.machine.read_ahead(burst.iter().map(|payload| &payload[..]));
            for payload in &burst {
                self.apply(payload);
            }
        }) / BURST as u128
    }

    fn get(&self, key: &[u8]) {
        let node = self.machine.get(key).expect("there");
        assert!(black_box(node).value.len() == VALUE_BYTES);
    }
}

/// Applies one put for each element of `pauses`, which becomes the time of it if that is less.
fn insert(bench: &mut Bench, payload: &mut [u8], pauses: &mut [Duration]) {
    for (number, pause) in pauses.iter_mut().enumerate() {
        let started = Instant::now();
        bench.apply(with_number(payload, number));
        *pause = (*pause).min(started.elapsed());
    }
}

/// Nanoseconds of processor time a round, the least of five times.
fn timed(rounds: usize, mut round: impl FnMut(usize)) -> u128 {
    let rounds = rounds / 5;
    let times = (0..5).map(|part| {
        let started = processor_time();
        for number in part * rounds..(part + 1) * rounds {
            round(number);
        }
        (processor_time() - started).as_nanos() / rounds as u128
    });
    times.min().expect("five")
}

/// A put of [`KEY`], for [`with_number`].
fn put_payload() -> Vec<u8> {
    payload(OperationKind::Put, KEY, &[7; VALUE_BYTES])
}

/// The put of another key: the making of it costs little and the payload stays in the cache, as it
/// does behind a log.
fn with_number(payload: &mut [u8], number: usize) -> &[u8] {
    set_number(&mut payload[4..], number);
    payload
}

/// The key in a put.
fn key_in(payload: &[u8]) -> &[u8] {
    &payload[4..4 + KEY.len()]
}

/// Overwrites the digits at the end of [`KEY`].
fn set_number(key: &mut [u8], mut number: usize) {
    for digit in key[KEY.len() - 8..KEY.len()].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn payload(kind: OperationKind, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    KvRequest { key, value, ..Default::default() }.encode(&mut Writer::new(&mut body));
    let (head, length) = Payload::new(kind, Owner { high: 1, low: 1 }, &body).head();
    [&head[..length], &body].concat()
}

/// The numbers below `count` in an order without pattern.
fn shuffled(count: usize) -> Vec<usize> {
    let mut state = 1_u64;
    let mut numbers: Vec<_> = (0..count).collect();
    for last in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers.swap(last, (state >> 33) as usize % (last + 1));
    }
    numbers
}

/// What this process has used of the processor: other programs count less than on a clock.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

/// Memory of this process that is in the machine.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).and_then(|text| text.parse::<usize>().ok());
    pages.expect("a number") * 4096
}
