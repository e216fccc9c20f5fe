//! What arrives in pieces, too long, damaged or not at all.

use std::time::Duration;

use rpc::Limits;
use wire::{Command, PortKind};

use crate::backend::{run, run_on_both};
use crate::serving::{PROCESS, handshake, request};

#[test]
fn one_byte_at_a_time() {
    run(Limits::default(), async |server| {
        let mut client = server.connect(PortKind::Service).await;
        let mut bytes = handshake(PROCESS);
        bytes.extend(request(Command::PING, 2, b"echo"));
        bytes.extend(request(Command::DTKV_PUT, 3, b"put"));
        for byte in bytes {
            client.send(&[byte]).await;
        }
        for (command, seq, body) in [
            (Command::HANDSHAKE, 1, None),
            (Command::PING, 2, Some("echo")),
            (Command::DTKV_PUT, 3, Some("put")),
        ] {
            let answer = client.next().await.expect("an answer");
            assert_eq!((answer.command, answer.seq), (command, seq));
            assert!(body.is_none_or(|body| answer.body == body.as_bytes()));
        }
    });
}

#[test]
fn requests_behind_the_handshake_are_answered() {
    run_on_both(Limits::default(), async |server| {
        let mut client = server.connect(PortKind::Service).await;
        let mut bytes = handshake(PROCESS);
        for seq in 2_i32..2_000 {
            bytes.extend(request(Command::DTKV_PUT, seq, &seq.to_le_bytes()));
        }
        client.send(&bytes).await;
        assert_eq!(client.next().await.map(|answer| answer.seq), Some(1));
        for seq in 2_i32..2_000 {
            let answer = client.next().await.expect("an answer");
            assert_eq!((answer.seq, &answer.body[..]), (seq, &seq.to_le_bytes()[..]));
        }
        let batches = server.handler.batches.get();
        assert!(batches <= 1_000, "{batches} batches for 2,000 packets sent at once");
    });
}

#[test]
fn lengths_out_of_range_close() {
    let limits = Limits { packet_bytes_max: 1000, ..Limits::default() };
    run(limits, async |server| {
        for length in [1001, i32::MAX, -1, i32::MIN, 0] {
            let mut client = server.usual().await;
            client.send(&length.to_be_bytes()).await;
            assert_eq!(client.next().await, None, "length {length}");
        }
        server.until(|server| server.connections.is_empty()).await;
        assert_eq!(server.connections.counts().broken, 5);
        server.usual().await.ping(&[1; 900]).await;
    });
}

#[test]
fn a_packet_longer_than_the_read_buffer() {
    let limits = Limits { read_buffer_bytes: 4096, packet_bytes_max: 1 << 20, ..Limits::default() };
    run_on_both(limits, async |server| {
        let mut client = server.usual().await;
        for length in [4000, 4096, 5000, 8192, 100, 1_000_000, 0, 300_000] {
            client.ping(&vec![length as u8; length]).await;
        }
        let long = request(Command::PING, 1, &vec![0; 1 << 20]);
        client.send(&long).await;
        assert_eq!(client.next().await, None);
    });
}

#[test]
fn half_a_packet_delays_nobody_else() {
    run(Limits::default(), async |server| {
        let mut stuck = server.usual().await;
        let packet = request(Command::PING, 5, b"late");
        stuck.send(&packet[..9]).await;
        let mut other = server.usual().await;
        for _ in 0..10 {
            other.ping(b"now").await;
        }
        stuck.send(&packet[9..]).await;
        assert_eq!(stuck.next().await.map(|answer| answer.seq), Some(5));
        // The rest of a packet never comes: nobody is told about it.
        stuck.send(&request(Command::DTKV_PUT, 6, b"lost")[..20]).await;
        stuck.shutdown();
        server.until(|server| server.connections.len() == 1).await;
        assert!(server.handler.requests.borrow().is_empty());
    });
}

#[test]
fn garbage_closes_its_own_connection() {
    run_on_both(Limits::default(), async |server| {
        let mut good = server.usual().await;
        let frames: [&[u8]; 9] = [
            b"",
            b"\x00\x01",
            b"\x08\x01",
            b"\x08\x01\x10\x00",
            b"\x08\x01\x10\x01\xa3\x01",
            b"\x08\x01\x10\x01\x80\x80\x80\x80\x80\x01\x00",
            b"\x08\x01\x10\x01\x7a\x05abc",
            b"\x08\x01\x10\x01\x7a\x01a\x08\x01",
            b"\x08\x01\x10\x01\xa5\x01\x01\x02",
        ];
        for frame in frames {
            let mut bad = server.usual().await;
            let mut bytes = u32::to_be_bytes(frame.len() as u32).to_vec();
            bytes.extend_from_slice(frame);
            // What follows is not looked at.
            bytes.extend(request(Command::PING, 9, b""));
            bad.send(&bytes).await;
            assert_eq!(bad.next().await, None, "{frame:x?}");
            good.ping(b"still there").await;
        }
    });
}

#[test]
fn random_bytes_never_harm() {
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    run(limits, async |server| {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut below = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % limit as u64) as usize
        };
        for round in 0..200 {
            let mut client = match round % 2 {
                0 => server.connect(PortKind::Service).await,
                _ => server.usual().await,
            };
            let mut bytes = handshake(PROCESS);
            for seq in 0..4 {
                bytes.extend(request(Command::PING, seq, &vec![seq as u8; below(50)]));
            }
            for _ in 0..1 + below(8) {
                let at = below(bytes.len());
                bytes[at] = below(256) as u8;
            }
            client.send(&bytes).await;
            client.shutdown();
            while client.next().await.is_some() {}
        }
        server.until(|server| server.connections.is_empty()).await;
        server.usual().await.ping(b"alive").await;
    });
}
