//! How many puts a second one thread drives: `cargo run --release -p client --example
//! pipeline_speed`. The server, in a second thread, only looks at the head of each packet.
#![expect(clippy::expect_used, reason = "a measurement ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "the result is for the terminal")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use client::blocking::Pipeline;
use client::operations::Put;
use client::{NodeId, Options, Server, new_process_id};
use kv_api::encode_response_body;
use wire::{
    BizCode, Command, ConnectionLimits, Handshake, Packet, QueryStatusResp, ResponseHead, Splitter,
    encode_response,
};

const IN_FLIGHT: usize = 2_000;
const SECONDS: u64 = 3;

fn main() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || serve(listener.accept().expect("a connection").0));
    let servers = vec![Server { node: NodeId(1), address }];
    let mut pipeline = Pipeline::new(Options::new(servers, new_process_id())).expect("valid");
    let keys: Vec<String> = (0..10_000).map(|number| format!("benchmark.key{number}")).collect();
    let value = [7; 256];
    let (mut finished, mut polls, mut next) = (0, 0, 0_usize);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(SECONDS) {
        let room = IN_FLIGHT - pipeline.in_flight();
        let mut burst = pipeline.burst();
        for _ in 0..room {
            next = (next + 104_729) % keys.len();
            burst.submit(&Put { key: keys[next].as_bytes(), value: &value }).expect("room");
        }
        finished += pipeline.poll(Duration::from_secs(1), |completion| {
            assert!(completion.reply::<Put>().is_ok_and(|reply| reply.overwritten));
        });
        polls += 1;
    }
    let rate = finished as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} puts/s, {} a poll", finished / polls);
}

fn serve(mut stream: TcpStream) {
    let splitter = Splitter::new(8 << 20);
    let (mut buffer, mut filled, mut output) = (vec![0; 1 << 20], 0, Vec::new());
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        let mut used = 0;
        while let Some((frame, length)) = splitter.split(&buffer[used..filled]).expect("a frame") {
            answer(&Packet::decode(frame).expect("a packet"), &mut output);
            used += length;
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if stream.write_all(&output).is_err() {
            return;
        }
        output.clear();
    }
}

fn answer(packet: &Packet<'_>, out: &mut Vec<u8>) {
    let head = ResponseHead::success(packet.command, packet.seq);
    match packet.command {
        Command::HANDSHAKE => encode_response(out, &head, |writer| {
            Handshake::response(ConnectionLimits::default()).encode(writer);
        }),
        Command::RAFT_QUERY_STATUS => encode_response(out, &head, |writer| {
            QueryStatusResp { leader_id: 1, term: 1, ..QueryStatusResp::default() }.encode(writer);
        }),
        _ => {
            let codes = [BizCode::SuccessOverwrite];
            let head = head.with_biz_code(codes[0]);
            encode_response(out, &head, |writer| encode_response_body(writer, 1 << 20, &codes));
        }
    }
}
