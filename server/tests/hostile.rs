//! Clients that send what no client should, against the real binary: they get the documented answer
//! or lose their connection, others are served meanwhile, and memory stays within bounds.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::expect_used, reason = "the same, with a word about it")]

#[path = "support/process.rs"]
mod process;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/served.rs"]
mod served;

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use client::blocking::Client;
use kv_api::KvRequest;
use wire::{Command, Packet, ProcessId, RespCode, Writer};

use crate::process::{DEADLINE, NodeProcess, Ports, directory};
use crate::raw::{Answer, RawConnection, budget, handshake, request};
use crate::served::{replicate, serve};

/// Time for an introduction, so short that a test can wait for its end.
const HANDSHAKE_TIMEOUT: &str = "1500ms";
/// A packet may be this long, and as many bytes of answers may be unread.
const PACKET_BYTES_MAX: usize = 2 << 20;

/// A node that is attacked, and an honest client that is served all the time.
struct Attacked {
    node: NodeProcess,
    ports: Ports,
    honest: Honest,
    _directory: tempfile::TempDir,
}

impl Attacked {
    fn start(shards: usize) -> Attacked {
        let (directory, ports) = (directory(), Ports::choose());
        let groups: String = (0..shards).map(|id| format!("[[groups]]\nid = {id}\n")).collect();
        let settings = format!(
            "shards = {shards}\n{groups}[log]\nsegment_bytes = \"8MiB\"\n\
             [rpc]\nhandshake_timeout = \"{HANDSHAKE_TIMEOUT}\"\n\
             packet_bytes_max = \"2MiB\"\nout_buffer_bytes_max = \"2MiB\"\n"
        );
        let mut node = serve(&directory.path().join("data"), ports, &settings);
        node.wait_ready();
        Attacked { node, ports, honest: Honest::start(ports), _directory: directory }
    }

    /// Bytes of memory that the node really uses.
    fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.node.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// Ends everything and checks that all was well to the end.
    fn end(self) {
        self.honest.end();
        let ended = self.node.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(!ended.said.contains("panicked"), "{}", ended.said);
    }
}

/// A client that writes and reads all the time, and fails when it is not served.
struct Honest {
    calls: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Honest {
    fn start(ports: Ports) -> Honest {
        let (calls, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (done, stopped) = (calls.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut client = Client::new(ports.client()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                let value = done.load(Ordering::Relaxed).to_le_bytes();
                client.put(b"honest", &value).unwrap();
                assert_eq!(client.get(b"honest").unwrap().unwrap().value, value);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        Honest { calls, stop, thread }
    }

    /// Waits until it was served several times more.
    fn expect_served(&self) {
        let goal = self.calls.load(Ordering::Relaxed) + 5;
        let deadline = Instant::now() + DEADLINE;
        while self.calls.load(Ordering::Relaxed) < goal {
            assert!(Instant::now() < deadline && !self.thread.is_finished(), "it is not served");
            thread::yield_now();
        }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn get(group: i32, key: &'static [u8]) -> impl FnOnce(&mut Writer<'_>) {
    move |writer| {
        KvRequest { group_id: group, key, ..KvRequest::default() }.encode(writer);
    }
}

/// A sound request, and the number of its answer.
fn sound(seq: i32) -> Vec<u8> {
    request(Command::DTKV_GET, seq, budget(), get(0, b"honest"))
}

/// A frame of these bytes.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = (bytes.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

/// Bytes without any meaning, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(step).collect()
}

#[test]
fn bytes_that_are_no_packet_close_their_connection() {
    let attacked = Attacked::start(1);
    let nested = [0x0b, 0x0c];
    let after_body = [0x10, 1, 0x7a, 0, 0x10, 1];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("the longest length", 0x7fff_ffff_u32.to_be_bytes().to_vec()),
        ("a length above the limit", (4 * PACKET_BYTES_MAX as u32).to_be_bytes().to_vec()),
        ("a length below zero", (-1_i32).to_be_bytes().to_vec()),
        ("the lowest length", i32::MIN.to_be_bytes().to_vec()),
        ("no packet at all", framed(b"")),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("noise", noise(5000)),
        ("noise in a frame", framed(&noise(5000))),
        ("a group", framed(&nested)),
        ("field number zero", framed(&[0x02, 0])),
        (
            "a number that does not end",
            framed(&[0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ),
        ("a field behind the body", framed(&after_body)),
        ("a body longer than its frame", framed(&[0x10, 1, 0x7a, 200])),
        ("no command", framed(&[0x08, 1])),
        ("a command below zero", request(Command(-5), 2, budget(), |_| {})),
        (
            "a request without sense",
            request(Command::DTKV_GET, 2, budget(), |writer| writer.raw(&[0x0a, 200])),
        ),
        (
            "a request with more keys than values",
            request(Command::DTKV_BATCH_PUT, 2, budget(), |writer| {
                writer.raw(&[0x4a, 1, b'a', 0x4a, 1, b'b', 0x52, 1, b'v']);
            }),
        ),
    ];
    for (name, bytes) in &cases {
        // Before the handshake and behind it, alone and behind a sound request.
        let mut first = RawConnection::connect(attacked.ports.service);
        first.send(bytes);
        first.expect_close(name);
        for address in [attacked.ports.service, replicate(attacked.ports)] {
            if address != attacked.ports.service && name.starts_with("a request") {
                // Refused before it is looked into: that port does not serve it.
                continue;
            }
            let mut connection = RawConnection::introduced(address);
            let ping = request(Command::PING, 5, budget(), |writer| writer.raw(b"x"));
            connection.send(&[&ping, &bytes[..]].concat());
            assert_eq!(connection.answer().seq, 5, "{name}");
            connection.expect_close(name);
        }
    }
    attacked.honest.expect_served();
    attacked.end();
}

#[test]
fn a_connection_begins_with_a_proper_introduction() {
    let attacked = Attacked::start(1);
    let wrong_magic = {
        let mut bytes = handshake(Some(ProcessId { high: 1, low: 1 }));
        let at =
            bytes.windows(8).position(|window| window == 0xae10_9045_1c22_da13_u64.to_le_bytes());
        bytes[at.unwrap()] ^= 1;
        bytes
    };
    for (name, bytes) in [
        ("a request without introduction", sound(1)),
        ("a ping without introduction", request(Command::PING, 1, budget(), |_| {})),
        ("a handshake of nobody", handshake(None)),
        ("a handshake of zero", handshake(Some(ProcessId::default()))),
        ("wrong magic", wrong_magic),
    ] {
        let mut connection = RawConnection::connect(attacked.ports.service);
        connection.send(&bytes);
        connection.expect_close(name);
    }
    // A second one is passed over.
    let mut connection = RawConnection::introduced(attacked.ports.service);
    connection.send(&handshake(Some(ProcessId { high: 2, low: 2 })));
    connection.send(&sound(9));
    assert_eq!(connection.answer().seq, 9);
    attacked.end();
}

#[test]
fn requests_that_cannot_be_served_are_refused_and_the_connection_goes_on() {
    let attacked = Attacked::start(1);
    let (service, replicate) = (attacked.ports.service, replicate(attacked.ports));
    let cases = [
        (service, Command(9999), 0, RespCode::CommandNotSupport, "command 9999 not support"),
        (service, Command::HEARTBEAT, 0, RespCode::CommandNotSupport, "command 3 not support"),
        (
            service,
            Command::DTKV_LOCK_PUSH,
            0,
            RespCode::CommandNotSupport,
            "command 85 not support",
        ),
        (
            service,
            Command::RAFT_ADMIN_LIST_NODES,
            0,
            RespCode::CommandNotSupport,
            "command not supported on this port",
        ),
        (
            replicate,
            Command::DTKV_GET,
            0,
            RespCode::CommandNotSupport,
            "command not supported on this port",
        ),
        (
            service,
            Command::DTKV_GET,
            7,
            RespCode::RaftGroupNotFound,
            "this node has no raft group 7",
        ),
        (
            service,
            Command::DTKV_PUT,
            -1,
            RespCode::RaftGroupNotFound,
            "this node has no raft group -1",
        ),
    ];
    for (address, command, group, code, message) in cases {
        let mut connection = RawConnection::introduced(address);
        connection.send(&request(command, 3, budget(), get(group, b"honest")));
        let (resp_code, message) = (code.number(), message.to_owned());
        assert_eq!(connection.answer(), Answer { seq: 3, resp_code, message });
        connection.send(&request(Command::PING, 4, budget(), |_| {}));
        assert_eq!(connection.answer().seq, 4);
    }
    attacked.end();
}

#[test]
fn requests_whose_time_is_over_get_no_answer() {
    let attacked = Attacked::start(1);
    let mut connection = RawConnection::introduced(attacked.ports.service);
    for (seq, nanos) in [(2, 0), (3, -1), (4, i64::MIN), (5, 1)] {
        connection.send(&request(Command::DTKV_PUT, seq, nanos, |writer| {
            KvRequest { key: b"expired", value: b"value", ..KvRequest::default() }.encode(writer);
        }));
    }
    // A packet with a budget of none at all, which the writer would leave out.
    let mut bytes = Vec::new();
    let packet = Packet { packet_type: 1, command: Command::DTKV_GET, seq: 6, ..Packet::default() };
    packet.encode(&mut bytes);
    connection.send(&bytes);
    connection.send(&sound(7));
    assert_eq!(connection.answer().seq, 7, "only the last one");
    let mut client = Client::new(attacked.ports.client()).unwrap();
    assert_eq!(client.get(b"expired").unwrap(), None, "and none was carried out");
    attacked.end();
}

#[test]
fn half_a_packet_waits_for_its_rest_and_disturbs_nobody() {
    let attacked = Attacked::start(1);
    let whole = sound(11);
    let mut connections: Vec<_> =
        (1..whole.len()).map(|_| RawConnection::introduced(attacked.ports.service)).collect();
    for (cut, connection) in (1..).zip(&mut connections) {
        connection.send(&whole[..cut]);
    }
    attacked.honest.expect_served();
    for (cut, connection) in (1..).zip(&mut connections) {
        connection.send(&whole[cut..]);
        assert_eq!(connection.answer().seq, 11, "cut at {cut}");
    }
    // Half an introduction has its time limit.
    let mut half = RawConnection::connect(attacked.ports.service);
    half.send(&handshake(Some(ProcessId { high: 1, low: 1 }))[..20]);
    half.expect_close("half a handshake");
    attacked.end();
}

#[test]
fn a_thousand_half_open_connections_are_closed_in_time() {
    let attacked = Attacked::start(1);
    let before = attacked.resident_bytes();
    let mut connections: Vec<_> =
        (0..1000).map(|_| RawConnection::connect(attacked.ports.service)).collect();
    attacked.honest.expect_served();
    // A new connection is served beside them.
    let mut connection = RawConnection::introduced(attacked.ports.service);
    connection.send(&sound(2));
    assert_eq!(connection.answer().seq, 2);
    let grown = attacked.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for connections that say nothing");
    connections.iter_mut().for_each(|connection| connection.expect_close("silence"));
    attacked.honest.expect_served();
    attacked.end();
}

/// Asks again and again for a large value and reads no answer, until the node reads no more or has
/// been asked for 2 GiB. Returns how much memory the node has used on top, at most.
fn flood(attacked: &Attacked, group: i32) -> u64 {
    const VALUE_BYTES: usize = 1 << 20;
    let options = client::Options { group: client::GroupId(group), ..attacked.ports.client() };
    let mut client = Client::new(options).unwrap();
    client.put(b"large", &vec![7; VALUE_BYTES]).unwrap();
    let before = attacked.resident_bytes();
    let mut most = 0;
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut connection = RawConnection::introduced(attacked.ports.service);
        connection.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let get = request(Command::DTKV_GET, 2, budget(), get(group, b"large"));
        for _ in 0..2048 {
            if connection.stream.write_all(&get).is_err() {
                // It waits until its answers are read.
                break;
            }
            most = most.max(attacked.resident_bytes());
        }
        connections.push(connection);
    }
    for _ in 0..10 {
        attacked.honest.expect_served();
        most = most.max(attacked.resident_bytes());
    }
    most.saturating_sub(before)
}

#[test]
fn a_client_that_reads_no_answers_makes_nobody_else_wait() {
    let attacked = Attacked::start(1);
    let grown = flood(&attacked, 0);
    assert!(grown < 128 << 20, "{} MiB", grown >> 20);
    attacked.end();
}

#[test]
fn a_client_that_reads_no_answers_from_another_shard_is_bounded_too() {
    if thread::available_parallelism().is_ok_and(|count| count.get() < 2) {
        // A node cannot have a second shard here.
        return;
    }
    let attacked = Attacked::start(2);
    for group in 0..2 {
        let grown = flood(&attacked, group);
        // Besides what has been written, each connection is owed so many answers at most.
        assert!(grown < 256 << 20, "group {group}: {} MiB", grown >> 20);
    }
    attacked.end();
}
