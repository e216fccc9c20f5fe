//! The handshake: what opens a connection, and what closes it.

use std::time::Duration;

use rpc::Limits;
use wire::{
    Command, ConnectionLimits, Handshake, PortKind, ProcessId, ResponseHead, encode_response,
};

use crate::backend::run;
use crate::serving::{PROCESS, SECOND, framed, handshake, request};

fn usual_handshake() -> Handshake {
    Handshake::request(PROCESS, ConnectionLimits::default())
}

/// A frame with this handshake, packet type and budget.
fn first_packet(handshake: &Handshake, packet_type: u8, timeout_nanos: i64) -> Vec<u8> {
    let mut frame = framed(Command::HANDSHAKE, 1, timeout_nanos, |w| handshake.encode(w));
    frame[5] = packet_type;
    frame
}

#[test]
fn what_opens_a_connection() {
    run(Limits::default(), async |server| {
        let usual = usual_handshake();
        let accepted = [
            ("as usual", usual),
            ("no magic", Handshake { magic: [None; 2], ..usual }),
            ("another version", Handshake { major_version: 9, minor_version: 7, ..usual }),
            ("no config", Handshake { config: None, ..usual }),
            ("half a uuid", Handshake { process: Some(ProcessId { high: 0, low: 1 }), ..usual }),
        ];
        for port in [PortKind::Service, PortKind::Replicate] {
            for (what, handshake) in &accepted {
                let mut client = server.connect(port).await;
                client.send(&first_packet(handshake, 1, SECOND)).await;
                let answer = client.next().await.expect(what);
                assert_eq!((answer.packet_type, answer.seq, answer.resp_code), (2, 1, 0), "{what}");
                let answer = Handshake::decode(&answer.body).expect(what);
                let config = answer.config.expect("the answer has a config");
                assert!(config.packet_bytes_max >= 5 << 20 && config.body_bytes_max >= 4 << 20);
                client.ping(b"open").await;
            }
        }
    });
}

#[test]
fn what_closes_a_connection() {
    run(Limits::default(), async |server| {
        let usual = usual_handshake();
        let first = |handshake: Handshake| first_packet(&handshake, 1, SECOND);
        let mut cut = first(usual);
        let length = u32::try_from(cut.len() - 4 - 3).expect("short").to_be_bytes();
        cut[..4].copy_from_slice(&length);
        let mut answer = Vec::new();
        encode_response(&mut answer, &ResponseHead::success(Command::HANDSHAKE, 1), |_| {});
        let refused = [
            ("wrong first magic", first(Handshake { magic: [Some(5), None], ..usual })),
            ("wrong second magic", first(Handshake { magic: [None, Some(5)], ..usual })),
            ("no uuid", first(Handshake { process: None, ..usual })),
            ("uuid zero", first(Handshake { process: Some(ProcessId::default()), ..usual })),
            ("no body", framed(Command::HANDSHAKE, 1, SECOND, |_| {})),
            ("type 0", first_packet(&usual, 0, SECOND)),
            ("one-way", first_packet(&usual, 3, SECOND)),
            ("an answer", answer),
            ("cut", cut),
            ("ping", request(Command::PING, 1, b"")),
            ("get", request(Command::DTKV_GET, 1, b"")),
            ("unknown command", request(Command(999), 1, b"")),
            ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ];
        for (what, bytes) in refused {
            let mut client = server.connect(PortKind::Service).await;
            client.send(&bytes).await;
            assert_eq!(client.next().await, None, "{what}");
        }
        server.until(|server| server.connections.is_empty()).await;
        assert_eq!(server.handler.opened.get(), 0);
        assert!(server.handler.requests.borrow().is_empty());
    });
}

#[test]
fn a_second_handshake_changes_nothing() {
    run(Limits::default(), async |server| {
        let mut client = server.usual().await;
        client.send(&handshake(ProcessId { high: 1, low: 1 })).await;
        client.ping(b"goes on").await;
        let connection = server.connections.of_process(PortKind::Service, PROCESS);
        assert_eq!(connection.map(|connection| connection.process()), Some(PROCESS));
        assert_eq!(server.handler.opened.get(), 1);
    });
}

#[test]
fn an_expired_handshake_may_be_repeated() {
    run(Limits::default(), async |server| {
        for timeout in [0, -1, i64::MIN] {
            let mut client = server.connect(PortKind::Service).await;
            client.send(&first_packet(&usual_handshake(), 1, timeout)).await;
            client.send(&first_packet(&usual_handshake(), 1, SECOND)).await;
            assert_eq!(client.next().await.map(|answer| answer.command), Some(Command::HANDSHAKE));
            client.ping(b"open").await;
        }
    });
}

#[test]
fn silence_closes_at_the_time_limit() {
    let limits = Limits { handshake_timeout: Duration::from_millis(200), ..Limits::default() };
    run(limits, async |server| {
        let started = server.shard.clock().now();
        let mut silent = server.connect(PortKind::Service).await;
        let mut half = server.connect(PortKind::Replicate).await;
        half.send(&handshake(PROCESS)[..40]).await;
        let mut open = server.usual().await;
        assert_eq!(silent.next().await, None);
        assert!(server.shard.clock().now().since(started) >= Duration::from_millis(200));
        assert_eq!(half.next().await, None);
        open.ping(b"not me").await;
        assert_eq!(server.connections.counts().broken, 0);
    });
}
