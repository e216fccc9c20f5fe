//! What submitting an operation and completing it cost: `cargo run --release --example cost`.
#![expect(clippy::expect_used, reason = "a measurement ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "the result is for the terminal")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client_core::operations::Put;
use client_core::{Core, LinkId, NodeId, Options, Server};
use kv_api::encode_response_body;
use moment::Moment;
use wire::{
    BizCode, Command, ConnectionLimits, Handshake, ProcessId, QueryStatusResp, ResponseHead,
    Writer, encode_response,
};

const IN_FLIGHT: usize = 2_000;
const ROUNDS: u32 = 2_000;

fn main() {
    let link = LinkId(0);
    let now = Moment::from_nanos(1);
    let mut core = connected(link, now);
    let keys: Vec<String> = (0..10_000).map(|number| format!("benchmark.key{number}")).collect();
    let value = [7; 256];
    let (mut submitting, mut receiving) = (Duration::ZERO, Duration::ZERO);
    let mut sequence = 3;
    let mut answers = Vec::new();
    for round in 0..ROUNDS as usize {
        let start = Instant::now();
        for call in 0..IN_FLIGHT {
            let key = keys[(round * 7_919 + call * 104_729) % keys.len()].as_bytes();
            core.submit(&Put { key, value: &value }, now).expect("room");
        }
        submitting += start.elapsed();
        core.outgoing(link).clear();
        answers.clear();
        for _ in 0..IN_FLIGHT {
            sequence += 1;
            let head = ResponseHead::success(Command::DTKV_PUT, sequence)
                .with_biz_code(BizCode::SuccessOverwrite);
            encode_response(&mut answers, &head, |writer| {
                encode_response_body(writer, sequence as u64, &[BizCode::SuccessOverwrite]);
            });
        }
        let start = Instant::now();
        core.received(link, &answers, now);
        while let Some(request) = core.next_finished() {
            let reply = core.take(request, |completion| completion.reply::<Put>());
            assert!(reply.is_some_and(|reply| reply.is_ok_and(|reply| reply.overwritten)));
        }
        receiving += start.elapsed();
    }
    let calls = ROUNDS * IN_FLIGHT as u32;
    println!("submit {:?}, complete {:?} per put", submitting / calls, receiving / calls);
}

/// A client that has greeted its server and knows that it is the leader.
fn connected(link: LinkId, now: Moment) -> Core {
    let address = SocketAddr::from(([127, 0, 0, 1], 9332));
    let servers = vec![Server { node: NodeId(1), address }];
    let options = Options::new(servers, ProcessId { high: 1, low: 1 });
    let mut core = Core::new(options).expect("valid options");
    let first = core.submit(&Put { key: b"a", value: b"1" }, now).expect("room");
    core.link_up(link, now);
    answer(&mut core, link, Command::HANDSHAKE, 1, |writer| {
        Handshake::response(ConnectionLimits::default()).encode(writer);
    });
    answer(&mut core, link, Command::RAFT_QUERY_STATUS, 2, |writer| {
        QueryStatusResp { leader_id: 1, term: 1, ..QueryStatusResp::default() }.encode(writer);
    });
    core.abandon(first);
    answer(&mut core, link, Command::DTKV_PUT, 3, |_| {});
    core
}

fn answer(
    core: &mut Core,
    link: LinkId,
    command: Command,
    sequence: i32,
    body: impl FnOnce(&mut Writer<'_>),
) {
    let mut bytes = Vec::new();
    encode_response(&mut bytes, &ResponseHead::success(command, sequence), body);
    core.received(link, &bytes, Moment::from_nanos(1));
}
