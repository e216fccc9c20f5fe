//! Connections as a whole: ids, later answers, slow readers, limits, the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use rpc::{Connection, Limits, Port};
use runtime::ListenOptions;
use wire::{Command, PortKind, ProcessId, ResponseHead};

use crate::backend::{run, run_in_turns, run_on_both};
use crate::serving::{PROCESS, handshake, request};

#[test]
fn answers_may_come_later_by_id() {
    run_on_both(Limits::default(), async |server| {
        let mut client = server.usual().await;
        let seqs = [
            client.request(Command::DTKV_LIST, b"").await,
            client.request(Command::DTKV_LIST, b"").await,
        ];
        client.ping(b"not held up").await;
        let later = server.handler.later.take();
        assert_eq!(later.iter().map(|later| later.1).collect::<Vec<_>>(), seqs);
        for &(id, seq) in later.iter().rev() {
            let connection = server.connections.get(id).expect("the connection is open");
            connection.respond(&ResponseHead::success(Command::DTKV_LIST, seq), |_| {});
        }
        assert_eq!(client.next().await.map(|answer| answer.seq), Some(seqs[1]));
        assert_eq!(client.next().await.map(|answer| answer.seq), Some(seqs[0]));
        client.shutdown();
        server.until(|server| server.connections.is_empty()).await;
        assert!(server.connections.get(later[0].0).is_none());
        // The slot is used again, under another id.
        let mut other = server.usual().await;
        other.request(Command::DTKV_LIST, b"").await;
        other.ping(b"").await;
        let (id, _) = server.handler.later.borrow()[0];
        assert_ne!(id, later[0].0);
        assert!(server.connections.get(id).is_some());
        assert!(server.connections.get(later[0].0).is_none());
    });
}

#[test]
fn a_process_is_found_at_its_latest_connection() {
    run(Limits::default(), async |server| {
        let find = |port, process| {
            let connection = server.connections.of_process(port, process);
            connection.map(|connection: Rc<Connection>| connection.id())
        };
        let first = server.usual().await;
        let first_id = find(PortKind::Service, PROCESS).expect("known");
        let second = server.usual().await;
        let second_id = find(PortKind::Service, PROCESS).expect("known");
        let _other = server.client(PortKind::Service, ProcessId { high: 7, low: 10 }).await;
        let _peer = server.client(PortKind::Replicate, PROCESS).await;
        assert_ne!(first_id, second_id);
        assert_eq!(find(PortKind::Service, PROCESS), Some(second_id));
        second.shutdown();
        server.until(|server| server.connections.len() == 3).await;
        assert_eq!(find(PortKind::Service, PROCESS), Some(first_id));
        first.shutdown();
        server.until(|server| server.connections.len() == 2).await;
        assert_eq!(find(PortKind::Service, PROCESS), None);
        assert!(find(PortKind::Replicate, PROCESS).is_some());
    });
}

/// A client that asks for 64 MiB and reads nothing must not make the server hold them.
#[test]
fn a_slow_reader_is_bounded() {
    let limits = Limits { out_buffer_bytes: 1 << 20, ..Limits::default() };
    run_on_both(limits, async |server| {
        let mut client = server.usual().await;
        let answer_bytes: u32 = 64 << 10;
        let count = 1024;
        let mut bytes = Vec::new();
        for seq in 0..count {
            bytes.extend(request(Command::DTKV_GET, seq, &answer_bytes.to_le_bytes()));
        }
        client.send(&bytes).await;
        let mut other = server.usual().await;
        for _ in 0..20 {
            other.ping(b"not held up").await;
        }
        let handled = server.handler.requests.borrow().len();
        assert!(
            handled < count as usize,
            "all requests were taken from a reader that reads nothing"
        );
        for seq in 0..count {
            let answer = client.next().await.expect("an answer");
            assert_eq!((answer.seq, answer.body.len()), (seq, answer_bytes as usize));
        }
        let bound = (1 << 20) + 2 * answer_bytes as usize;
        let waiting = server.handler.waiting_max.get();
        assert!(waiting <= bound, "{waiting} bytes were waiting");
    });
}

/// Answers that are made elsewhere count before anybody knows their bytes.
#[test]
fn owed_answers_hold_the_requests_behind_them() {
    let limits = Limits { owed_answers_max: 3, ..Limits::default() };
    run_on_both(limits, async |server| {
        let mut client = server.usual().await;
        let mut bytes = Vec::new();
        for seq in 0..10 {
            bytes.extend(request(Command::DTKV_BATCH_GET, seq, &[]));
        }
        client.send(&bytes).await;
        for answered in 0..10 {
            let owed = 3.min(10 - answered);
            server.until(|server| server.handler.later.borrow().len() == owed).await;
            // Long enough for more requests, if they were read.
            server.usual().await.ping(b"meanwhile").await;
            let (id, seq) = server.handler.later.borrow_mut().remove(0);
            assert_eq!(seq as usize, answered);
            assert_eq!(server.handler.later.borrow().len(), owed - 1);
            let connection = server.connections.get(id).expect("it is open");
            connection.respond(&ResponseHead::success(Command::DTKV_BATCH_GET, seq), |_| {});
            connection.settle_answers(1);
            assert_eq!(client.next().await.map(|answer| answer.seq), Some(seq));
        }
    });
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_the_end() {
    let limits = Limits { flush_timeout: Duration::from_millis(50), ..Limits::default() };
    run_on_both(limits, async |server| {
        let mut client = server.usual().await;
        for seq in 0..10 {
            client.send(&request(Command::DTKV_GET, seq, &(4_u32 << 20).to_le_bytes())).await;
        }
        server.until(|server| server.handler.waiting_max.get() > 4 << 20).await;
        server.stop().await;
        assert!(server.connections.is_empty());
    });
}

#[test]
fn stopping_sends_what_was_answered() {
    run_on_both(Limits::default(), async |server| {
        let mut client = server.usual().await;
        client.request(Command::DTKV_GET, &(1_u32 << 20).to_le_bytes()).await;
        server.until(|server| server.handler.waiting_max.get() > 0).await;
        server.fibers.stop();
        assert_eq!(client.next().await.map(|answer| answer.body.len()), Some(1 << 20));
        assert_eq!(client.next().await, None);
        server.fibers.join().await;
        let again = server.shard.network().connect(server.address(PortKind::Service)).await;
        assert!(again.is_err(), "nobody listens any more");
    });
}

/// As when another shard has accepted it, and its mail comes after this shard closed all that it had.
#[test]
fn a_stream_that_comes_during_a_stop_is_closed() {
    run(Limits::default(), async |server| {
        let network = server.shard.network();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = network.listen(any, ListenOptions::default()).await.expect("a free port");
        let client = network.connect(listener.local_addr()).await.expect("a connection");
        let (mut read, mut write) = client.split();
        write.write_all(&handshake(PROCESS)).await.expect("a handshake");
        let accepted = listener.accept().await.expect("the connection");
        let port = Port::new(
            server.shard.clone(),
            PortKind::Service,
            Limits::default(),
            Rc::clone(&server.connections),
            Rc::clone(&server.handler),
            server.fibers.clone(),
        );
        server.stop().await;
        port.adopt(accepted);
        server.fibers.join().await;
        let end = read.read(&mut [0]).await;
        assert!(end.is_err() || end.is_ok_and(|length| length == 0), "nothing is said any more");
    });
}

#[test]
fn closing_by_id_ends_one_connection() {
    run(Limits::default(), async |server| {
        let mut first = server.usual().await;
        let id = server.connections.of_process(PortKind::Service, PROCESS).expect("known").id();
        let mut second = server.usual().await;
        let connection = server.connections.get(id).expect("open");
        connection.close();
        connection.write(|_| panic!("nothing is written after the end"));
        assert_eq!(first.next().await, None);
        second.ping(b"goes on").await;
    });
}

#[test]
fn connections_above_the_limit_are_closed_at_once() {
    let limits = Limits { connections_max: 3, ..Limits::default() };
    run(limits, async |server| {
        let first = server.usual().await;
        let mut rest = [server.usual().await, server.usual().await];
        assert_eq!(server.connect(PortKind::Service).await.next().await, None);
        assert_eq!(server.connections.counts().refused, 1);
        server.client(PortKind::Replicate, PROCESS).await.ping(b"another port").await;
        for client in &mut rest {
            client.ping(b"goes on").await;
        }
        server.until(|server| server.connections.len() == 3).await;
        first.shutdown();
        server.until(|server| server.connections.len() == 2).await;
        server.usual().await.ping(b"room again").await;
    });
}

#[test]
fn a_thousand_connections_leave_nothing() {
    run_on_both(Limits::default(), async |server| {
        let mut clients = Vec::new();
        for number in 0..1_000 {
            let process = ProcessId { high: number, low: 1 };
            clients.push(server.client(PortKind::Service, process).await);
            if number % 3 == 0 {
                clients.remove(number as usize / 7 % clients.len());
            }
        }
        for client in &mut clients {
            client.ping(b"here").await;
        }
        drop(clients);
        server.until(|server| server.connections.is_empty()).await;
        let counts = server.connections.counts();
        assert_eq!((counts.accepted, counts.open, counts.broken), (1_000, 0, 0));
        assert_eq!((server.handler.opened.get(), server.handler.closed.get()), (1_000, 1_000));
        for number in 0..1_000 {
            let process = ProcessId { high: number, low: 1 };
            assert!(server.connections.of_process(PortKind::Service, process).is_none());
        }
    });
}

/// A connection that always has more to read gives way after as many bytes as its shard allows.
#[test]
fn a_busy_connection_lets_others_work() {
    let bytes = 16 << 10;
    let limits = Limits { read_buffer_bytes: bytes, work_bytes: bytes, ..Limits::default() };
    run_in_turns(limits, async move |server| {
        let (shard, handler) = (server.shard.clone(), Rc::clone(&server.handler));
        shard.clone().fibers().spawn_daemon("turns", async move {
            loop {
                handler.turn.set(handler.turn.get() + 1);
                shard.pass().await;
            }
        });
        let mut busy = server.usual().await;
        let packet = request(Command::DTKV_LIST, 1, &[1; 256]);
        let count = 20_000;
        busy.send(&packet.repeat(count)).await;
        server.until(|server| server.handler.turns.borrow().len() == count).await;
        let turns = server.handler.turns.borrow();
        let longest = turns.chunk_by(|left, right| left == right).map(<[usize]>::len).max();
        let longest = longest.unwrap_or_default() * packet.len();
        assert!(longest <= 3 * bytes, "{longest} bytes were handled in one turn");
    });
}
