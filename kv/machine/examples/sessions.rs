//! Puts to 10,000 keys, alone or in a session with 100 in flight, for counting instructions.
//!
//! `perf stat -e instructions:u target/release/examples/sessions alone|session [PUTS]`

#![expect(clippy::expect_used, reason = "a program for people")]

use core::num::NonZeroU64;

use kv_api::{KvRequest, OpenSession, OperationKind, Owner, Payload, SessionLimits, SessionStamp};
use kv_machine::{Machine, MachineOptions, Stamp};
use wire::Writer;

const KEYS: u64 = 10_000;
const IN_FLIGHT: u64 = 100;
const LIMITS: SessionLimits =
    SessionLimits { sessions_max: 4_096, results_max: 2_048, bytes_max: 64 << 20 };

fn main() {
    let in_session = std::env::args().nth(1).as_deref() == Some("session");
    let puts = std::env::args().nth(2).map_or(3_000_000, |text| text.parse().expect("a number"));
    let mut machine = Machine::new(MachineOptions { hash_seed: 42 });
    let mut body = Vec::new();
    OpenSession { group_id: 0, limits: LIMITS }.encode(&mut Writer::new(&mut body));
    let mut entry = Vec::new();
    fill(&mut entry, OperationKind::OpenSession, &body);
    machine.apply(Stamp { index: 1, time_ms: 1 }, &entry);
    for sequence in 1..=puts {
        let key = format!("key{:08}", sequence % KEYS);
        let session = in_session.then(|| SessionStamp {
            session: 1,
            sequence: NonZeroU64::new(sequence).expect("numbers begin with 1"),
            span: sequence.min(IN_FLIGHT) as u32 - 1,
            check: 0,
        });
        let value = &[7; 256];
        let request = KvRequest { key: key.as_bytes(), value, session, ..Default::default() };
        body.clear();
        request.encode(&mut Writer::new(&mut body));
        fill(&mut entry, OperationKind::Put, &body);
        machine.apply(Stamp { index: sequence + 1, time_ms: 1 }, &entry);
    }
}

fn fill(entry: &mut Vec<u8>, kind: OperationKind, body: &[u8]) {
    let (head, length) = Payload::new(kind, Owner::default(), body).head();
    entry.clear();
    entry.extend_from_slice(&head[..length]);
    entry.extend_from_slice(body);
}
