//! A connection of a client that knows only packets: for what servers send on their own, and for
//! answers that no proper client would give.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use kv_api::{KvRequest, KvResponse, Repeated, WatchEvent, WatchNotifyRequest, WatchRequest};
use moment::Moment;
use runtime::{ReadHalf, Shard, WriteHalf};
use wire::{
    BizCode, Command, ConnectionLimits, Handshake, Packet, PacketKind, ProcessId, RequestHead,
    RespCode, ResponseHead, Splitter, StatusFlag, encode_request, encode_response,
};

/// A connection after its handshake.
pub(crate) struct Session {
    shard: Shard,
    reader: ReadHalf,
    writer: WriteHalf,
    received: Vec<u8>,
    seq: i32,
    answers: BTreeMap<i32, Received>,
    pushes: VecDeque<Received>,
    order: u64,
}

/// A packet that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Received {
    pub(crate) kind: PacketKind,
    pub(crate) command: Command,
    pub(crate) seq: i32,
    pub(crate) resp_code: i32,
    pub(crate) biz_code: i32,
    pub(crate) body: Vec<u8>,
    /// Packets of a connection are counted as they come.
    pub(crate) order: u64,
}

/// What a write came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) code: BizCode,
    pub(crate) index: u64,
    pub(crate) token: u64,
}

/// An event of a notification: key, index, value or `None` for what is not there.
pub(crate) type Told = (Vec<u8>, u64, Option<Vec<u8>>);

const BUDGET: Duration = Duration::from_secs(5);
const PACKET_BYTES_MAX: usize = 5 << 20;

impl Session {
    /// Connects as this process, as soon as somebody listens and serves.
    pub(crate) async fn open(shard: &Shard, address: SocketAddr, process: u64) -> Session {
        let stream = loop {
            match shard.network().connect(address).await {
                Ok(stream) => break stream,
                Err(_) => shard.clock().sleep(Duration::from_millis(1)).await,
            }
        };
        let (reader, writer) = stream.split();
        let mut session = Session {
            shard: shard.clone(),
            reader,
            writer,
            received: Vec::new(),
            seq: 0,
            answers: BTreeMap::new(),
            pushes: VecDeque::new(),
            order: 0,
        };
        let process = ProcessId { high: process, low: process };
        let hello = Handshake::request(process, ConnectionLimits::default());
        let mut body = Vec::new();
        hello.encode(&mut wire::Writer::new(&mut body));
        assert_eq!(session.call(Command::HANDSHAKE, &body).await.resp_code, 0);
        let mut group = 0;
        while session.has(group).await {
            group += 1;
        }
        session
    }

    /// Waits until a group serves; false when there is no such group.
    async fn has(&mut self, group: i32) -> bool {
        loop {
            let answer = self.status(group).await;
            if answer.resp_code == RespCode::RaftGroupNotFound.number() {
                return false;
            }
            let status = wire::KvStatusResp::decode(&answer.body).unwrap_or_default();
            let flag = status.raft_server_status.map_or(0, |status| status.flag);
            if answer.resp_code == 0 && flag & StatusFlag::GROUP_READY != 0 {
                return true;
            }
            self.shard.clock().sleep(Duration::from_millis(1)).await;
        }
    }

    /// Sends a request and does not wait for the answer.
    pub(crate) async fn send(&mut self, command: Command, body: &[u8]) -> i32 {
        self.seq += 1;
        let timeout_nanos = BUDGET.as_nanos() as i64;
        let head = RequestHead { command, seq: self.seq, timeout_nanos, one_way: false };
        let mut out = Vec::new();
        encode_request(&mut out, &head, |writer| writer.raw(body));
        self.writer.write_all(&out).await.unwrap();
        self.seq
    }

    /// Waits for the answer to a request.
    pub(crate) async fn answer_to(&mut self, seq: i32) -> Received {
        loop {
            if let Some(answer) = self.answers.remove(&seq) {
                return answer;
            }
            let came = self.receive(self.shard.clock().now() + BUDGET).await;
            assert!(came, "an answer within the budget");
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call(&mut self, command: Command, body: &[u8]) -> Received {
        let seq = self.send(command, body).await;
        self.answer_to(seq).await
    }

    /// Sends a write and does not wait for the answer.
    pub(crate) async fn send_kv(&mut self, command: Command, request: KvRequest<'_>) -> i32 {
        let mut body = Vec::new();
        request.encode(&mut wire::Writer::new(&mut body));
        self.send(command, &body).await
    }

    /// Carries out a write.
    pub(crate) async fn kv(&mut self, command: Command, request: KvRequest<'_>) -> Written {
        let seq = self.send_kv(command, request).await;
        written(&self.answer_to(seq).await)
    }

    /// Whether there is a node with this key.
    pub(crate) async fn exists(&mut self, group_id: i32, key: &[u8]) -> bool {
        let request = KvRequest { group_id, key, ..KvRequest::default() };
        self.kv(Command::DTKV_GET, request).await.code == BizCode::Success
    }

    /// Asks for the state of a group and of this connection's watches.
    pub(crate) async fn status(&mut self, group: i32) -> Received {
        let mut body = Vec::new();
        wire::Writer::new(&mut body).fixed32(1, group as u32);
        self.call(Command::DTKV_QUERY_STATUS, &body).await
    }

    /// How many keys of a group this connection watches.
    pub(crate) async fn watch_count(&mut self, group: i32) -> i32 {
        let answer = self.status(group).await;
        wire::KvStatusResp::decode(&answer.body).unwrap().watch_count
    }

    /// Changes which keys are watched.
    pub(crate) async fn watch(&mut self, group: i32, all: bool, keys: &[(&[u8], i64)]) -> BizCode {
        let known: Vec<_> = keys.iter().map(|(_, known)| *known).collect();
        let names: Vec<_> = keys.iter().map(|(key, _)| *key).collect();
        let mut body = Vec::new();
        let request = WatchRequest::new(group, all, &known, &names);
        request.encode(&mut wire::Writer::new(&mut body));
        let answer = self.call(Command::DTKV_SYNC_WATCH, &body).await;
        assert_eq!(answer.resp_code, 0);
        BizCode::from_number(answer.biz_code).unwrap()
    }

    /// The next packet that the server sends on its own; `None` when none comes in time.
    pub(crate) async fn push_within(&mut self, time: Duration) -> Option<Received> {
        let until = self.shard.clock().now() + time;
        while self.pushes.is_empty() {
            if !self.receive(until).await {
                return None;
            }
        }
        self.pushes.pop_front()
    }

    /// The next packet that the server sends on its own.
    pub(crate) async fn push(&mut self) -> Received {
        self.push_within(BUDGET).await.unwrap()
    }

    /// Answers a push with a code and the results for its events.
    pub(crate) async fn respond(&mut self, push: &Received, biz_code: BizCode, results: &[i32]) {
        let head = ResponseHead::success(push.command, push.seq).with_biz_code(biz_code);
        let results = kv_api::WatchNotifyResponse { results: Repeated::new(results) };
        let mut out = Vec::new();
        encode_response(&mut out, &head, |writer| results.encode(writer));
        self.writer.write_all(&out).await.unwrap();
    }

    /// Takes the next notification of a group and answers it.
    pub(crate) async fn notification(&mut self, group: i32) -> Vec<Told> {
        let push = self.push().await;
        let told = events(&push, group);
        self.respond(&push, BizCode::Success, &vec![0; told.len()]).await;
        told
    }

    /// Takes notifications until one tells of `key` with at least this index.
    pub(crate) async fn told(&mut self, group: i32, key: &[u8], index: u64) -> Told {
        loop {
            let told = self.notification(group).await;
            let found = |(name, at, _): &Told| name == key && *at >= index;
            if let Some(told) = told.into_iter().find(found) {
                return told;
            }
        }
    }

    /// Ends the connection.
    pub(crate) fn close(self) {
        self.writer.shutdown();
    }

    /// Takes what comes next, if it comes in time.
    async fn receive(&mut self, until: Moment) -> bool {
        let mut chunk = vec![0; 64 << 10];
        let left = until.since(self.shard.clock().now());
        let read = self.shard.clock().timeout(left, self.reader.read(&mut chunk)).await;
        let Some(read) = read else { return false };
        let read = read.unwrap();
        assert!(read > 0, "the server has closed the connection");
        self.received.extend_from_slice(&chunk[..read]);
        let splitter = Splitter::new(PACKET_BYTES_MAX);
        while let Some((frame, consumed)) = splitter.split(&self.received).unwrap() {
            let packet = Packet::decode(frame).unwrap();
            self.order += 1;
            let received = Received {
                kind: packet.kind(),
                command: packet.command,
                seq: packet.seq,
                resp_code: packet.resp_code,
                biz_code: packet.biz_code,
                body: packet.body_bytes().to_vec(),
                order: self.order,
            };
            match received.kind {
                PacketKind::Response => drop(self.answers.insert(received.seq, received)),
                _ => self.pushes.push_back(received),
            }
            self.received.drain(..consumed);
        }
        true
    }
}

/// The result of a write from its answer.
pub(crate) fn written(answer: &Received) -> Written {
    assert_eq!(answer.resp_code, 0);
    let body = KvResponse::decode(&answer.body).unwrap();
    let code = BizCode::from_number(answer.biz_code).unwrap();
    Written { code, index: body.raft_index, token: body.fencing_token }
}

/// The events of a notification.
pub(crate) fn events(push: &Received, group: i32) -> Vec<Told> {
    assert_eq!((push.kind, push.command), (PacketKind::Request, Command::DTKV_WATCH_NOTIFY_PUSH));
    let request = WatchNotifyRequest::decode(&push.body).unwrap();
    assert_eq!(request.group_id, group);
    let told = |event: WatchEvent<'_>| {
        let exists = event.state != kv_api::WatchState::Missing;
        (event.key.to_vec(), event.raft_index, exists.then(|| event.value.to_vec()))
    };
    request.events.iter().map(told).collect()
}
