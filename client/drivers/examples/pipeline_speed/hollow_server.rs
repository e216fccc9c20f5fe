//! A server that only looks at the head of each packet and says that all went well.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use kv_api::encode_response_body;
use wire::{
    BizCode, Command, ConnectionLimits, Handshake, Packet, QueryStatusResp, ResponseHead, Splitter,
    encode_response,
};

/// Serves until the process ends, with a thread for each connection.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            std::thread::spawn(move || serve(stream));
        }
    });
    address
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
        command => {
            let overwritten = command == Command::DTKV_PUT;
            let codes = [if overwritten { BizCode::SuccessOverwrite } else { BizCode::Success }];
            let head = head.with_biz_code(codes[0]);
            encode_response(out, &head, |writer| encode_response_body(writer, 1 << 20, &codes));
        }
    }
}
