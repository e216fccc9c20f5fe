//! Which packets reach the handler, and which are answered, dropped or refused before.

use rpc::Limits;
use wire::{
    Command, Packet, PortKind, RequestHead, RespCode, ResponseHead, encode_request, encode_response,
};

use crate::backend::{run, run_really};
use crate::serving::{PROCESS, SECOND, framed, request};

#[test]
fn ping_is_echoed_on_both_ports() {
    run(Limits::default(), async |server| {
        for port in [PortKind::Service, PortKind::Replicate] {
            let mut client = server.client(port, PROCESS).await;
            for body in [&b""[..], b"\xff\x00 no message", &[3; 100_000]] {
                client.ping(body).await;
            }
        }
        assert!(server.handler.requests.borrow().is_empty());
    });
}

#[test]
fn any_seq_comes_back() {
    run(Limits::default(), async |server| {
        let mut client = server.usual().await;
        for seq in [0, -1, i32::MIN, i32::MAX, 5, 5] {
            client.send(&request(Command::DTKV_PUT, seq, b"x")).await;
            assert_eq!(client.next().await.map(|answer| answer.seq), Some(seq));
        }
    });
}

#[test]
fn requests_without_time_are_dropped() {
    run(Limits::default(), async |server| {
        let mut client = server.usual().await;
        for timeout in [0, -1, -SECOND, i64::MIN] {
            for command in [Command::DTKV_PUT, Command::PING, Command(999)] {
                client.send(&framed(command, 50, timeout, |writer| writer.raw(b"x"))).await;
            }
        }
        client.ping(b"fence").await;
        assert!(server.handler.requests.borrow().is_empty());
        assert_eq!(server.connections.counts().expired, 12);
        client.send(&framed(Command::DTKV_PUT, 51, i64::MAX, |_| {})).await;
        assert_eq!(client.next().await.map(|answer| answer.seq), Some(51));
    });
}

/// The clock of a simulated world stands still while a fiber works; a real one does not.
#[test]
fn the_shortest_budgets_are_over_at_once() {
    run_really(Limits::default(), async |server| {
        let mut client = server.usual().await;
        for _ in 0..10 {
            client.send(&framed(Command::DTKV_PUT, 50, 1, |_| {})).await;
        }
        client.ping(b"fence").await;
        assert!(server.handler.requests.borrow().is_empty());
    });
}

#[test]
fn the_deadline_starts_when_the_request_is_received() {
    run(Limits::default(), async |server| {
        let before = server.shard.clock().now();
        let mut client = server.usual().await;
        client.send(&framed(Command::DTKV_PUT, 7, 3 * SECOND, |_| {})).await;
        client.next().await.expect("an answer");
        let after = server.shard.clock().now();
        let (_, _, deadline) = server.handler.requests.borrow()[0];
        let budget = 3 * SECOND as u64;
        assert!(before.after_nanos(budget) <= deadline && deadline <= after.after_nanos(budget));
    });
}

#[test]
fn commands_are_refused_by_name_and_port() {
    run(Limits::default(), async |server| {
        let unknown = "command N not support";
        let wrong = "command not supported on this port";
        let table = [
            (PortKind::Service, 999, unknown),
            (PortKind::Service, i32::MAX, unknown),
            (PortKind::Service, Command::HEARTBEAT.0, unknown),
            (PortKind::Service, Command::DTKV_WATCH_NOTIFY_PUSH.0, unknown),
            (PortKind::Replicate, Command::DTKV_LOCK_PUSH.0, unknown),
            (PortKind::Replicate, Command::DTKV_PUT.0, wrong),
            (PortKind::Service, Command::NODE_PING.0, wrong),
            (PortKind::Service, Command::RAFT_ADMIN_LIST_NODES.0, wrong),
        ];
        for (port, command, text) in table {
            let mut client = server.client(port, PROCESS).await;
            let seq = client.request(Command(command), b"\xff\xff").await;
            let answer = client.next().await.expect("a refusal");
            assert_eq!((answer.command, answer.seq), (Command(command), seq));
            assert_eq!(answer.resp_code, RespCode::CommandNotSupport.number());
            assert_eq!(answer.msg, text.replace('N', &command.to_string()));
            client.ping(b"goes on").await;
        }
        assert!(server.handler.requests.borrow().is_empty());
    });
}

#[test]
fn one_way_packets_are_handled_or_dropped_in_silence() {
    run(Limits::default(), async |server| {
        let mut client = server.usual().await;
        for command in [Command(999), Command::NODE_PING, Command::PING, Command::DTKV_LIST] {
            let mut out = Vec::new();
            let head = RequestHead { command, seq: 3, timeout_nanos: SECOND, one_way: true };
            encode_request(&mut out, &head, |writer| writer.raw(b"x"));
            client.send(&out).await;
        }
        client.ping(b"fence").await;
        let handled: Vec<_> = server.handler.requests.borrow().iter().map(|r| r.0).collect();
        assert_eq!(handled, [Command::DTKV_LIST]);
    });
}

#[test]
fn fields_of_an_answer_in_a_request_are_ignored() {
    run(Limits::default(), async |server| {
        let mut client = server.usual().await;
        let packet = Packet {
            packet_type: 9,
            command: Command::DTKV_PUT,
            seq: 4,
            resp_code: 5,
            biz_code: 6,
            msg: b"\xff",
            timeout_nanos: SECOND,
            extra: b"extra",
            body: Some(b"body"),
        };
        let mut out = Vec::new();
        packet.encode(&mut out);
        client.send(&out).await;
        let answer = client.next().await.expect("an answer");
        assert_eq!((answer.packet_type, answer.resp_code, &answer.body[..]), (2, 0, &b"body"[..]));
    });
}

#[test]
fn answers_go_to_the_handler_and_pushes_are_counted() {
    run(Limits::default(), async |server| {
        let mut client = server.usual().await;
        for first_seq in [1, 3] {
            client.request(Command::DTKV_SYNC_WATCH, b"").await;
            let notify = client.next().await.expect("a request of the server");
            assert_eq!((notify.packet_type, notify.seq), (1, first_seq));
            assert_eq!((notify.command, &notify.body[..]), (Command(78), &[8, 9][..]));
            let lock = client.next().await.expect("a one-way packet of the server");
            assert_eq!((lock.packet_type, lock.seq, lock.command), (3, first_seq + 1, Command(85)));
            let mut out = Vec::new();
            encode_response(&mut out, &ResponseHead::success(notify.command, notify.seq), |_| {});
            encode_response(&mut out, &ResponseHead::success(Command(999), 4711), |_| {});
            client.send(&out).await;
        }
        client.ping(b"fence").await;
        let answers =
            [(Command(78), 1), (Command(999), 4711), (Command(78), 3), (Command(999), 4711)];
        assert_eq!(*server.handler.responses.borrow(), answers);
    });
}

#[test]
fn a_request_that_is_not_understood_closes_after_the_answers_before_it() {
    run(Limits::default(), async |server| {
        let mut good = server.usual().await;
        let mut bad = server.usual().await;
        let mut bytes = request(Command::DTKV_PUT, 2, b"before");
        bytes.extend(request(Command::DTKV_REMOVE, 3, b"not understood"));
        bytes.extend(request(Command::DTKV_PUT, 4, b"behind"));
        bad.send(&bytes).await;
        assert_eq!(bad.next().await.map(|answer| answer.seq), Some(2));
        assert_eq!(bad.next().await, None);
        good.ping(b"goes on").await;
        assert_eq!(server.handler.requests.borrow().len(), 2);
    });
}
