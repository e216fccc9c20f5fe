//! What a node costs above its key and value, counted at the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use kv_api::{KvRequest, OperationKind, Owner, Payload};
use kv_machine::{Machine, MachineOptions, Outcome, Stamp};
use wire::{BizCode, Writer};

const NODES: usize = 1_000_000;
const VALUE_BYTES: usize = 256;
/// The budget, which leaves room for what the allocator adds to each allocation.
const BYTES_MAX: usize = 84;

/// Counts what is asked for.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller promises what the system's allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller promises what the system's allocator needs.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_is_within_the_budget_and_overwriting_takes_none() {
    let mut payload = Vec::new();
    let before = BYTES.load(Ordering::Relaxed);
    let mut machine = Machine::new(MachineOptions { hash_seed: 3 });
    put(&mut machine, &mut payload, OperationKind::Mkdir, 0, b"d", b"");
    let content = key(0).len() + VALUE_BYTES;
    for number in 0..NODES {
        let value = [number as u8; VALUE_BYTES];
        put(&mut machine, &mut payload, OperationKind::Put, 1, key(number).as_bytes(), &value);
        if number + 1 == NODES / 3 || number + 1 == NODES * 2 / 3 || number + 1 == NODES {
            check_budget(&machine, before, content, number + 1);
        }
    }
    overwrite(&mut machine, &mut payload);
    for number in 0..NODES {
        put(&mut machine, &mut payload, OperationKind::Remove, 1, key(number).as_bytes(), b"");
    }
    let left = BYTES.load(Ordering::Relaxed) - before;
    assert!(left < 96 * NODES, "{left} bytes are kept for later nodes");
    drop(machine);
    // The harness, which runs in another thread, may have kept something small.
    let left = BYTES.load(Ordering::Relaxed) - before - payload.capacity();
    assert!(left < 64 << 10, "{left} bytes are lost");
}

fn check_budget(machine: &Machine, before: usize, content: usize, nodes: usize) {
    let counted = BYTES.load(Ordering::Relaxed) - before;
    let above = counted / nodes - content;
    assert!(above <= BYTES_MAX, "{above} bytes a node above key and value at {nodes} nodes");
    // The machine's own account is what operators see.
    let account = machine.memory_bytes();
    let difference = account.abs_diff(counted);
    assert!(difference < counted / 100, "{account} bytes by its own account, {counted} counted");
}

/// Neither a hot overwrite nor a read allocates.
fn overwrite(machine: &mut Machine, payload: &mut Vec<u8>) {
    let key = key(77).into_bytes();
    encode(payload, OperationKind::Put, &key, &[9; VALUE_BYTES]);
    let calls = CALLS.load(Ordering::Relaxed);
    for _ in 0..1000 {
        let stamp = Stamp { index: machine.applied_index() + 1, time_ms: 5 };
        let outcome = machine.apply(stamp, payload);
        assert!(outcome == Outcome::One(BizCode::SuccessOverwrite));
        assert!(machine.get(&key).is_ok_and(|node| node.value == [9; VALUE_BYTES]));
    }
    assert_eq!(CALLS.load(Ordering::Relaxed), calls);
}

fn put(
    machine: &mut Machine,
    payload: &mut Vec<u8>,
    kind: OperationKind,
    time_ms: u64,
    key: &[u8],
    value: &[u8],
) {
    encode(payload, kind, key, value);
    let stamp = Stamp { index: machine.applied_index() + 1, time_ms };
    assert_eq!(machine.apply(stamp, payload), Outcome::One(BizCode::Success));
}

fn encode(payload: &mut Vec<u8>, kind: OperationKind, key: &[u8], value: &[u8]) {
    let (head, length) = Payload::new(kind, Owner::default(), &[]).head();
    payload.clear();
    payload.extend_from_slice(&head[..length]);
    let request = KvRequest { key, value, ..Default::default() };
    request.encode(&mut Writer::new(payload));
}

fn key(number: usize) -> String {
    format!("d.key{number:08}")
}
