//! What the server does for a put, part by part: 256 bytes, 1,000 keys.

use std::hint::black_box;

use kv_api::{KvRequest, OperationKind, Owner, Payload, encode_response_body};
use kv_machine::{Machine, MachineOptions, Stamp};
use moment::Moment;
use raft_core::entry::{RecordHead, RecordSeed, record_size, write_record};
use raft_core::{
    Config, EntryKind, GroupId, Index, NodeId, Raft, RaftOptions, Restored, RoleName, Term,
};
use wire::{
    BizCode, Command, Packet, RequestHead, ResponseHead, Splitter, Writer, encode_request,
    encode_response,
};

const VALUE: [u8; 256] = [7; 256];
const KEYS: usize = 1_000;

fn key(number: usize) -> String {
    format!("benchmark.key{:08}", number % KEYS)
}

fn body(key: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let request = KvRequest { key: key.as_bytes(), value: &VALUE, ..Default::default() };
    request.encode(&mut Writer::new(&mut body));
    body
}

fn payload(kind: OperationKind, body: &[u8]) -> Vec<u8> {
    let (head, length) = Payload::new(kind, Owner { high: 1, low: 1 }, body).head();
    [&head[..length], body].concat()
}

/// From the bytes of a connection to the request.
pub(crate) fn decode(count: usize) {
    let head =
        RequestHead { command: Command::DTKV_PUT, seq: 7, timeout_nanos: 1 << 32, one_way: false };
    let mut bytes = Vec::new();
    encode_request(&mut bytes, &head, |writer| {
        let key = key(1);
        KvRequest { key: key.as_bytes(), value: &VALUE, ..Default::default() }.encode(writer);
    });
    let splitter = Splitter::new(1 << 20);
    for _ in 0..count {
        let (frame, _) = splitter.split(black_box(&bytes)).expect("short").expect("whole");
        let packet = Packet::decode(frame).expect("a packet");
        black_box(KvRequest::decode(packet.body_bytes()).expect("a put"));
    }
}

/// Consensus of a node that decides alone, one entry a round.
pub(crate) fn propose(count: usize) {
    let now = Moment::from_nanos(1);
    let founding = Restored::founded_with(Config::of([NodeId(1)], []));
    let mut raft = Raft::new(RaftOptions::new(NodeId(1), 7), founding, now).expect("whole");
    while raft.status().role != RoleName::Leader || raft.status().commit == Index::ZERO {
        let output = raft.output();
        if let Some(hard_state) = output.hard_state {
            raft.hard_state_persisted(hard_state, now);
        }
        for entry in output.own_entries {
            raft.persisted(entry.index, entry.term);
        }
    }
    drop(raft.output());
    for _ in 0..count {
        let proposed = raft.propose(1).expect("it leads");
        drop(black_box(raft.output()));
        raft.persisted(proposed.first, proposed.term);
        let applied = raft.output().apply_to.expect("committed");
        raft.applied(applied);
    }
}

/// The record of a put in the log, checksum included.
pub(crate) fn record(count: usize) {
    let seed = RecordSeed::new(7, GroupId(0));
    let payload = payload(OperationKind::Put, &body(&key(1)));
    let mut out = vec![0; record_size(payload.len())];
    for index in (1..=count as u64).map(Index) {
        let head = RecordHead { index, term: Term(1), time_ms: 1, kind: EntryKind::Command };
        black_box(write_record(&mut out, seed, &head, [black_box(&payload), &[]]));
    }
}

/// A put of an existing key into the tree, read ahead as behind a log.
pub(crate) fn apply(count: usize) {
    const BURST: usize = 32;
    let mut machine = Machine::new(MachineOptions { hash_seed: 42 });
    let mut index = 0;
    let mut apply = |machine: &mut Machine, payload: &[u8]| {
        index += 1;
        black_box(machine.apply(Stamp { index, time_ms: index }, payload));
    };
    let mkdir = KvRequest { key: b"benchmark", ..Default::default() };
    let mut body_of_mkdir = Vec::new();
    mkdir.encode(&mut Writer::new(&mut body_of_mkdir));
    apply(&mut machine, &payload(OperationKind::Mkdir, &body_of_mkdir));
    let puts: Vec<_> =
        (0..KEYS).map(|number| payload(OperationKind::Put, &body(&key(number)))).collect();
    puts.iter().for_each(|put| apply(&mut machine, put));
    let mut order = puts.iter().cycle();
    for _ in 0..count / BURST {
        let burst: [&Vec<u8>; BURST] = std::array::from_fn(|_| order.next().expect("endless"));
        machine.read_ahead(burst.iter().map(|put| &put[..]));
        burst.iter().for_each(|put| apply(&mut machine, put));
    }
}

/// The answer to a put.
pub(crate) fn reply(count: usize) {
    let mut out = Vec::new();
    for sequence in 0..count {
        out.clear();
        let head = ResponseHead::success(Command::DTKV_PUT, sequence as i32)
            .with_biz_code(BizCode::SuccessOverwrite);
        encode_response(&mut out, &head, |writer| {
            encode_response_body(writer, sequence as u64, &[BizCode::SuccessOverwrite]);
        });
        black_box(&out);
    }
}
