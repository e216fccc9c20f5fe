//! Golden scripts: a command, a line of dashes, and everything that the client did because of it.
//!
//! `GOLDEN=1 cargo test -p client-core` writes what happens into the scripts.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use client_core::operations::{CompareAndSet, Get, Ping, Put, QueryStatus};
use client_core::{
    Action, Completion, Core, Error, Event, LinkId, LockEvent, LockId, LockOptions, NodeId,
    Operation, Options, RequestId, Retries, Server, WatchId, WatchUpdate,
};
use kv_api::{
    KvRequest, Repeated, SessionOpened, WatchEvent, WatchNotifyRequest, WatchRequest, WatchState,
    encode_grant, encode_response_body,
};
use moment::Moment;
use wire::{
    BizCode, Command, ConnectionLimits, Handshake, KvStatusResp, Packet, PacketKind, ProcessId,
    QueryStatusResp, Splitter, Writer,
};

#[test]
fn scripts_do_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of scripts")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let script = std::fs::read_to_string(&path).expect("a script");
        let result = run(&script);
        if std::env::var_os("GOLDEN").is_some() {
            std::fs::write(&path, result).expect("a script that can be written");
        } else {
            assert_eq!(result, script, "{}", path.display());
        }
    }
}

/// The script with the trace of this version.
fn run(script: &str) -> String {
    let mut world: Option<World> = None;
    let mut result = String::new();
    for block in script.split("\n\n") {
        if !result.is_empty() {
            result.push('\n');
        }
        let mut commands = Vec::new();
        for line in block.lines().take_while(|line| *line != "----") {
            result.push_str(line);
            result.push('\n');
            if !line.starts_with('#') {
                commands.push(line);
            }
        }
        if commands.is_empty() {
            continue;
        }
        result.push_str("----\n");
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["client", settings @ ..] => world = Some(World::new(settings)),
                words => world.as_mut().expect("a client first").step(words),
            }
            let world = world.as_mut().expect("a client first");
            world.drain();
            result.push_str(&std::mem::take(&mut world.trace));
        }
    }
    result
}

struct World {
    core: Core,
    now: Moment,
    start: Moment,
    /// Submitted operations in order, with the function that prints their reply.
    requests: Vec<(RequestId, Show)>,
    /// Lock objects and watches in order.
    locks: Vec<LockId>,
    watches: Vec<WatchId>,
    trace: String,
}

type Show = fn(&Completion<'_>) -> String;

impl World {
    /// A client of three servers, or with other settings.
    fn new(settings: &[&str]) -> World {
        let setting = |name: &str| {
            let value = settings.iter().find_map(|text| text.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.parse::<usize>().expect("a number"))
        };
        let server = |node| Server {
            node: NodeId(node),
            address: SocketAddr::from(([10, 0, 0, node as u8], 9332)),
        };
        let servers = (1..=setting("servers").unwrap_or(3) as i32).map(server).collect();
        let mut options = Options::new(servers, ProcessId { high: 1, low: 2 });
        options.connections_per_server = setting("lanes").unwrap_or(1);
        options.calls_max = setting("calls").unwrap_or(options.calls_max);
        options.call_bytes_max = setting("bytes").unwrap_or(options.call_bytes_max);
        if setting("sessions").is_some() {
            options.retries = Retries::InSession;
        }
        // Not 0, so that a forgotten time would show.
        let start = Moment::from_nanos(1_000_000_000);
        let core = Core::new(options).expect("valid options");
        let (requests, locks, watches) = (Vec::new(), Vec::new(), Vec::new());
        World { core, now: start, start, requests, locks, watches, trace: String::new() }
    }

    fn step(&mut self, words: &[&str]) {
        match words {
            ["put", key, value] => {
                self.submit(&Put { key: key.as_bytes(), value: value.as_bytes() });
            }
            ["get", key] => self.submit(&Get { key: key.as_bytes() }),
            ["cas", key, new] => self.submit(&CompareAndSet {
                key: key.as_bytes(),
                expected: None,
                new: Some(new.as_bytes()),
            }),
            ["ping", node, payload] => {
                self.submit(&Ping { node: NodeId(number(node)), payload: payload.as_bytes() })
            }
            ["query", node] => self.submit(&QueryStatus { node: NodeId(number(node)) }),
            ["abandon", request] => {
                self.core.abandon(self.requests[number(request) as usize].0);
            }
            ["up", links @ ..] => self.each_link(links, Core::link_up),
            ["down", links @ ..] => self.each_link(links, Core::link_down),
            ["wait", ms] => self.wait(Duration::from_millis(number(ms) as u64)),
            ["leader"] => writeln!(self.trace, "{:?}", self.core.leader()).expect("a string"),
            ["greet", links @ ..] => links.iter().for_each(|name| {
                let limits = Some(ConnectionLimits::default());
                self.greet(name, Handshake { config: limits, ..Handshake::default() });
            }),
            ["greet_limited", name, calls] => {
                let limits = ConnectionLimits {
                    out_pending_max: number(calls),
                    ..ConnectionLimits::default()
                };
                self.greet(name, Handshake::response(limits));
            }
            ["greet_without_config", name] => self.greet(name, Handshake::default()),
            ["status", name, seq, leader, term] => {
                let status = QueryStatusResp {
                    leader_id: number(leader),
                    term: number(term),
                    ..QueryStatusResp::default()
                };
                let packet = packet(Command::RAFT_QUERY_STATUS, seq);
                self.receive_body(name, packet, |writer| status.encode(writer));
            }
            ["done", name, seq, command, index, code] => {
                let code = BizCode::from_number(number(code)).expect("a code");
                let packet =
                    Packet { biz_code: code.number(), ..packet(Command(number(command)), seq) };
                let index = number(index) as u64;
                self.receive_body(name, packet, |w| encode_response_body(w, index, &[code]));
            }
            ["code", name, seq, command, code, extra @ ..] => {
                let extra = extra.first().copied().unwrap_or_default().as_bytes();
                let packet = packet(Command(number(command)), seq);
                let resp_code = number(code);
                self.receive(name, Packet { resp_code, extra, msg: b"because", ..packet });
            }
            ["push", name, seq, command, kind] => {
                let packet_type = number(kind);
                let packet = Packet { packet_type, ..packet(Command(number(command)), seq) };
                self.receive(name, Packet { body: Some(b"pushed"), ..packet });
            }
            ["bytes", name, numbers @ ..] => {
                let bytes: Vec<u8> = numbers.iter().map(|byte| number(byte) as u8).collect();
                self.core.received(link(name), &bytes, self.now);
            }
            _ => self.step_lock(words),
        }
    }

    /// Commands about locks.
    fn step_lock(&mut self, words: &[&str]) {
        let now = self.now;
        match words {
            ["lock", key, lease, wait, renewals @ ..] => {
                let options = LockOptions {
                    lease: Duration::from_millis(number(lease) as u64),
                    wait: Duration::from_millis(number(wait) as u64),
                    renew: renewals.is_empty(),
                };
                match self.core.lock(key.as_bytes(), options, now) {
                    Ok(lock) => self.locks.push(lock),
                    Err(error) => self.say(&format!("not taken: {}", show(&error))),
                }
            }
            ["unlock", lock] => self.core.unlock(self.locks[number(lock) as usize], now),
            ["renew", lock] => self.core.renew_lock(self.locks[number(lock) as usize], now),
            ["held", lock] => {
                let until = self.core.lock_held_until(self.locks[number(lock) as usize], now);
                let until = until.map(|until| until.since(self.start));
                self.say(&format!("held until {until:?}"));
            }
            ["grant", name, seq, command, index, code, token] => {
                let code = BizCode::from_number(number(code)).expect("a code");
                let packet =
                    Packet { biz_code: code.number(), ..packet(Command(number(command)), seq) };
                let (index, token) = (number(index) as u64, number(token) as u64);
                self.receive_body(name, packet, |w| encode_grant(w, index, code, token));
            }
            ["lock_push", name, key, lock, attempt, nanos, token] => {
                let tag = (number(lock) as u64 + 1) << 32 | number(attempt) as u64;
                let value = [[0; 8], tag.to_be_bytes()].concat();
                let push = KvRequest {
                    key: key.as_bytes(),
                    value: &value,
                    ttl_millis: number(nanos).into(),
                    fencing_token: number(token) as u64,
                    ..KvRequest::default()
                };
                let packet_type = PacketKind::OneWay.number();
                let packet = Packet { packet_type, ..packet(Command::DTKV_LOCK_PUSH, "9") };
                self.receive_body(name, packet, |writer| push.encode(writer));
            }
            _ => self.step_watch(words),
        }
    }

    /// Commands about watches.
    fn step_watch(&mut self, words: &[&str]) {
        let now = self.now;
        match words {
            ["watch", key, known @ ..] => {
                let known = known.first().map_or(0, |known| number(known) as u64);
                match self.core.watch(key.as_bytes(), known, now) {
                    Ok(watch) => self.watches.push(watch),
                    Err(error) => self.say(&format!("not taken: {}", show(&error))),
                }
            }
            ["unwatch", watch] => self.core.unwatch(self.watches[number(watch) as usize], now),
            ["opened", name, seq, session, results_max] => {
                let session = number(session) as u64;
                let opened = SessionOpened { session, results_max: number(results_max) as u32 };
                let packet = packet(Command::SESSION_OPEN, seq);
                self.receive_body(name, packet, |writer| opened.encode(writer));
            }
            ["biz", name, seq, command, code] => {
                let packet = packet(Command(number(command)), seq);
                self.receive(name, Packet { biz_code: number(code), ..packet });
            }
            ["notify", name, seq, events @ ..] => {
                let events: Vec<_> = events.iter().map(|event| watch_event(event)).collect();
                let push = WatchNotifyRequest { group_id: 0, events: Repeated::new(&events) };
                let packet_type = PacketKind::Request.number();
                let packet = packet(Command::DTKV_WATCH_NOTIFY_PUSH, seq);
                self.receive_body(name, Packet { packet_type, ..packet }, |w| push.encode(w));
            }
            ["alive", name, seq, leader, term, count] => {
                let status = QueryStatusResp {
                    leader_id: number(leader),
                    term: number(term),
                    ..QueryStatusResp::default()
                };
                let watch_count = number(count);
                let status = KvStatusResp { raft_server_status: Some(status), watch_count };
                let packet = packet(Command::DTKV_QUERY_STATUS, seq);
                self.receive_body(name, packet, |writer| status.encode(writer));
            }
            _ => panic!("unknown command {words:?}"),
        }
    }

    fn say(&mut self, text: &str) {
        writeln!(self.trace, "{text}").expect("a string");
    }

    fn each_link(&mut self, names: &[&str], change: fn(&mut Core, LinkId, Moment)) {
        for name in names {
            change(&mut self.core, link(name), self.now);
        }
    }

    fn submit<O: Operation>(&mut self, operation: &O)
    where
        O::Reply: std::fmt::Debug,
    {
        match self.core.submit(operation, self.now) {
            Ok(request) => {
                self.requests.push((request, |completion| match completion.reply::<O>() {
                    Ok(reply) => format!("{reply:?}"),
                    Err(error) => show(&error),
                }))
            }
            Err(error) => writeln!(self.trace, "not taken: {}", show(&error)).expect("a string"),
        }
    }

    /// Lets time pass the way a driver does: stopping wherever the client wants to be woken.
    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..1_000 {
            let next = self.core.next_deadline();
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.core.tick(self.now);
            self.drain();
        }
        panic!("the client wants to be woken again and again at {:?}", self.now);
    }

    fn greet(&mut self, name: &str, handshake: Handshake) {
        self.receive_body(name, packet(Command::HANDSHAKE, "1"), |w| handshake.encode(w));
    }

    fn receive_body(&mut self, name: &str, packet: Packet<'_>, body: impl FnOnce(&mut Writer<'_>)) {
        let mut bytes = Vec::new();
        body(&mut Writer::new(&mut bytes));
        self.receive(name, Packet { body: Some(&bytes), ..packet });
    }

    /// Delivers the packet in pieces, because cuts must not matter.
    fn receive(&mut self, name: &str, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        for piece in bytes.chunks(3) {
            self.core.received(link(name), piece, self.now);
        }
    }

    fn drain(&mut self) {
        let before = self.trace.len();
        while let Some(action) = self.core.next_action() {
            match action {
                Action::Connect { link, address } => {
                    writeln!(self.trace, "connect {} to {address}", link.0)
                }
                Action::Disconnect { link } => writeln!(self.trace, "disconnect {}", link.0),
            }
            .expect("a string");
        }
        for link in 0..self.core.link_count() as u32 {
            let bytes = std::mem::take(self.core.outgoing(LinkId(link)));
            self.trace_packets(link, &bytes);
        }
        while let Some(request) = self.core.next_finished() {
            let index = self.requests.iter().position(|(known, _)| *known == request);
            let index = index.expect("a known request");
            let text = self.core.take(request, |c| self.requests[index].1(&c)).expect("finished");
            writeln!(self.trace, "operation {index} finished: {text}").expect("a string");
        }
        while let Some(event) = self.core.next_event() {
            self.trace_event(&event);
        }
        if self.trace.len() > before {
            let ms = self.now.since(self.start).as_millis();
            self.trace.insert_str(before, &format!("[{ms} ms]\n"));
        }
    }

    fn trace_event(&mut self, event: &Event) {
        let text = match event {
            Event::Lock(lock, event) => {
                let index = self.locks.iter().position(|known| known == lock);
                let text = match event {
                    LockEvent::Failed(error) => format!("failed: {}", show(error)),
                    LockEvent::NotReleased(error) => format!("not released: {}", show(error)),
                    other => format!("{other:?}"),
                };
                format!("lock {} {text}", index.unwrap_or(self.locks.len()))
            }
            Event::Watch(watch, update) => {
                let index = self.watches.iter().position(|known| known == watch);
                let text = match update {
                    WatchUpdate::State { raft_index, state } => {
                        format!("{state:?} at {raft_index}")
                    }
                    WatchUpdate::Ended(error) => format!("ended: {}", show(error)),
                };
                format!("watch {} {text}", index.unwrap_or(self.watches.len()))
            }
        };
        self.say(&text);
    }

    fn trace_packets(&mut self, link: u32, mut bytes: &[u8]) {
        let splitter = Splitter::new(1 << 20);
        while let Some((frame, length)) = splitter.split(bytes).expect("a frame") {
            let packet = Packet::decode(frame).expect("a packet");
            write!(self.trace, "{link} < {} #{}", packet.command, packet.seq).expect("a string");
            match packet.kind() {
                PacketKind::Response => {
                    write!(self.trace, " answer code {} biz {}", packet.resp_code, packet.biz_code)
                }
                _ => write!(self.trace, " within {} ms", packet.timeout_nanos / 1_000_000),
            }
            .expect("a string");
            self.trace.push_str(&show_body(&packet));
            if packet.command == Command::PING {
                let body = String::from_utf8_lossy(packet.body_bytes()).into_owned();
                write!(self.trace, " {body:?}").expect("a string");
            }
            self.trace.push('\n');
            bytes = &bytes[length..];
        }
        assert!(bytes.is_empty(), "only whole packets leave");
    }
}

/// What is of interest in requests about locks and watches, and in answers to notifications.
fn show_body(packet: &Packet<'_>) -> String {
    let body = packet.body_bytes();
    match packet.command {
        Command::DTKV_TRY_LOCK => {
            let request = KvRequest::decode(body).expect("a request");
            let (lease, attempt) = (request.value[6..8].to_vec(), request.value[15]);
            let lease = u16::from_be_bytes([lease[0], lease[1]]);
            format!(" lease {lease} wait {} attempt {attempt}", request.ttl_millis)
        }
        Command::DTKV_SYNC_WATCH => {
            let request = WatchRequest::decode(body).expect("a request");
            let entries: Vec<_> = request
                .entries()
                .map(|(key, known)| format!("{}={known}", key.escape_ascii()))
                .collect();
            let all = if request.sync_all { " all" } else { "" };
            format!("{all} [{}]", entries.join(" "))
        }
        Command::DTKV_WATCH_NOTIFY_PUSH => format!(" {body:?}"),
        Command::DTKV_PUT | Command::DTKV_CAS => {
            let session = KvRequest::decode(body).expect("a request").session;
            session.map_or_else(String::new, |stamp| {
                let (session, open) = (stamp.session, stamp.lowest_open());
                format!(" session {session} number {} of those from {open}", stamp.sequence)
            })
        }
        _ => String::new(),
    }
}

/// `key=index` of what is missing, `key=index=` of a directory, `key=index=value`.
fn watch_event(text: &str) -> WatchEvent<'_> {
    let mut parts = text.split('=');
    let key = parts.next().expect("a key").as_bytes();
    let raft_index = number(parts.next().expect("an index")) as u64;
    let value = parts.next();
    let state = match value {
        None => WatchState::Missing,
        Some("") => WatchState::Directory,
        Some(_) => WatchState::Value,
    };
    WatchEvent { raft_index, state, key, value: value.unwrap_or_default().as_bytes() }
}

fn packet(command: Command, seq: &str) -> Packet<'static> {
    let packet_type = PacketKind::Response.number();
    Packet { packet_type, command, seq: number(seq), ..Packet::default() }
}

fn show(error: &Error) -> String {
    let retry = if error.is_safe_to_retry() { " (safe to retry)" } else { "" };
    format!("{error}{retry}")
}

fn link(name: &str) -> LinkId {
    LinkId(name.parse().expect("a link"))
}

fn number(text: &str) -> i32 {
    text.parse().expect("a number")
}
