//! Sessions: a write that comes again is answered and not done; what is remembered is bounded, and is
//! in snapshots.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

mod history;

use core::num::NonZeroU64;

use history::{Draw, Random, payload};
use kv_api::{
    OpenSession, OperationKind, Owner, Payload, SessionLimits, SessionOpened, SessionStamp,
    WatchEvent,
};
use kv_machine::{Loader, Machine, MachineOptions, Malformed, Outcome, SnapshotPiece, Stamp};
use wire::{BizCode, Writer};

const LIMITS: SessionLimits = SessionLimits { sessions_max: 3, results_max: 4, bytes_max: 1 << 20 };
const CLIENT: Owner = Owner { high: 1, low: 1 };

struct Group {
    machine: Machine,
    stamp: Stamp,
}

impl Group {
    fn new() -> Group {
        let machine = Machine::new(MachineOptions { hash_seed: 5 });
        Group { machine, stamp: Stamp { index: 0, time_ms: 1_000 } }
    }

    fn apply(&mut self, kind: OperationKind, owner: Owner, body: &[u8]) -> Outcome {
        self.stamp.index += 1;
        let (head, length) = Payload::new(kind, owner, body).head();
        self.machine.apply(self.stamp, &[&head[..length], body].concat())
    }

    fn open_with(&mut self, limits: SessionLimits) -> u64 {
        let body = encoded(|writer| OpenSession { group_id: 0, limits }.encode(writer));
        let outcome = self.apply(OperationKind::OpenSession, CLIENT, &body);
        assert_eq!(outcome, Outcome::Opened(limits.results_max));
        let opened = SessionOpened::decode(&answer(&outcome, self.stamp.index));
        assert_eq!(opened.map(|opened| opened.session), Ok(self.stamp.index));
        self.stamp.index
    }

    fn open(&mut self) -> u64 {
        self.open_with(LIMITS)
    }

    /// A write in a session; `open` is the lowest number that the client waits for.
    fn write(&mut self, draw: &Draw, session: u64, sequence: u64, open: u64) -> Outcome {
        let body = body_in_session(draw, stamp(session, sequence, open));
        self.apply(draw.kind, draw.owner, &body)
    }

    fn put(&mut self, key: &str, session: u64, sequence: u64, open: u64) -> Outcome {
        self.write(&put(key), session, sequence, open)
    }
}

fn put(key: &str) -> Draw {
    Draw { kind: OperationKind::Put, key: key.into(), value: b"v".to_vec(), ..draw(1) }
}

fn draw(seed: u64) -> Draw {
    Draw { owner: CLIENT, ..Draw::new(&mut Random(seed), &[]) }
}

fn stamp(session: u64, sequence: u64, open: u64) -> SessionStamp {
    SessionStamp {
        session,
        sequence: NonZeroU64::new(sequence).expect("numbers begin with 1"),
        span: (sequence - open) as u32,
        check: SessionStamp::check_of(CLIENT.low),
    }
}

fn encoded(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut Writer::new(&mut out));
    out
}

fn body_in_session(draw: &Draw, stamp: SessionStamp) -> Vec<u8> {
    let mut body = match &draw.parts {
        Some(parts) => parts.with_request(|request| encoded(|writer| request.encode(writer))),
        None => draw.with_request(|request| encoded(|writer| request.encode(writer))),
    };
    stamp.encode(&mut Writer::new(&mut body));
    body
}

/// What the client would be told.
fn answer(outcome: &Outcome, index: u64) -> Vec<u8> {
    encoded(|writer| outcome.encode(writer, index, usize::MAX))
}

fn load(stream: &[u8], cut: usize) -> Result<Machine, Malformed> {
    let mut loader = Loader::new(MachineOptions { hash_seed: 77 });
    for piece in stream.chunks(cut) {
        loader.feed(piece)?;
    }
    while !loader.link(100)? {}
    Ok(loader.finish())
}

/// Pitfall 26: whatever the write is, the second time it changes nothing and gets the answer of the
/// first, byte for byte.
#[test]
fn pitfall_26_a_write_that_comes_again_is_answered_and_not_done() {
    let mut kinds = Vec::new();
    for seed in 1..=400 {
        let mut group = Group::new();
        for filler in 1..=30 {
            let draw = draw(seed << 32 | filler);
            group.stamp.index += 1;
            group.machine.apply(group.stamp, &payload(&draw));
        }
        let session = group.open();
        let draw = draw(seed);
        let first = group.write(&draw, session, 1, 1);
        let told = (first.packet_code(), answer(&first, group.stamp.index));
        // What it did may be undone by others; it is not done again.
        let other = group.machine.state_hash();
        for time in 0..3 {
            let again = group.write(&draw, session, 1, 1);
            assert!(matches!(again, Outcome::Repeated(_)), "{:?}: {again:?}", draw.kind);
            assert_eq!((again.packet_code(), answer(&again, 0)), told, "{:?} {time}", draw.kind);
            let body = body_in_session(&draw, stamp(session, 1, 1));
            let (head, length) = Payload::new(draw.kind, CLIENT, &body).head();
            let bytes = [&head[..length], &body].concat();
            let kind = draw.kind;
            group.machine.changes_of(group.stamp.index, &bytes, &mut |event: WatchEvent<'_>| {
                panic!("{kind:?} changes nothing: {event:?}");
            });
        }
        assert_ne!(group.machine.state_hash(), other, "when the session was used is part of it");
        kinds.push(draw.kind.number());
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), OperationKind::ALL.len() - 1, "every kind was there");
}

#[test]
fn numbers_come_in_any_order_within_the_window() {
    let mut group = Group::new();
    let session = group.open();
    assert_eq!(group.put("c", session, 3, 1), Outcome::One(BizCode::Success));
    assert_eq!(group.put("a", session, 1, 1), Outcome::One(BizCode::Success));
    assert_eq!(group.put("b", session, 2, 1), Outcome::One(BizCode::Success));
    assert!(matches!(group.put("c", session, 3, 1), Outcome::Repeated(_)));
    // The client has the answers to 1 and 2.
    assert_eq!(group.put("f", session, 6, 3), Outcome::One(BizCode::Success));
    assert!(matches!(group.put("c", session, 3, 3), Outcome::Repeated(_)));
    let stale = Outcome::Refused(BizCode::SessionStale);
    assert_eq!(group.put("x", session, 2, 1), stale, "what the client said before still counts");
    let full = Outcome::Refused(BizCode::SessionFull);
    assert_eq!(group.put("x", session, 7, 3), full);
    assert_eq!(
        group.put("g", session, 7, 4),
        Outcome::One(BizCode::Success),
        "a refusal is no use"
    );
    assert_eq!(group.put("y", session, u64::MAX, u64::MAX), Outcome::One(BizCode::Success));
    assert_eq!(group.put("x", session, 8, 8), stale);
    assert!(group.machine.get(b"x").is_err());
}

/// Pitfall 26: the table is bounded, and its expiry is an explicit error.
#[test]
fn pitfall_26_the_session_used_least_recently_ends_and_says_so() {
    let mut group = Group::new();
    let sessions = [group.open(), group.open(), group.open()];
    let [first, second, third] = sessions;
    group.put("a", first, 1, 1);
    let fourth = group.open();
    assert_eq!(group.machine.session_count(), 3);
    let expired = Outcome::Refused(BizCode::SessionExpired);
    assert_eq!(group.put("x", second, 1, 1), expired);
    assert!(matches!(group.put("a", first, 1, 1), Outcome::Repeated(_)));
    assert_eq!(group.put("b", third, 1, 1), Outcome::One(BizCode::Success));
    assert_eq!(group.put("c", fourth, 1, 1), Outcome::One(BizCode::Success));
    assert_eq!(group.put("x", 99, 1, 1), expired, "one that there never was");
    let foreign = SessionStamp { check: 9, ..stamp(first, 2, 2) };
    let body = body_in_session(&put("x"), foreign);
    assert_eq!(group.apply(OperationKind::Put, CLIENT, &body), expired, "somebody else's");
    assert!(group.machine.get(b"x").is_err());
    // Fewer are allowed: the next opening ends the others.
    group.open_with(SessionLimits { sessions_max: 1, ..LIMITS });
    assert_eq!(group.machine.session_count(), 1);
}

#[test]
fn sessions_end_when_their_answers_are_too_long() {
    let mut group = Group::new();
    let bytes_max = 4_000;
    let limits = SessionLimits { sessions_max: 100, results_max: 100, bytes_max };
    let before = group.machine.memory_bytes();
    let sessions: Vec<u64> = (0..10).map(|_| group.open_with(limits)).collect();
    let keys: Vec<Vec<u8>> = (0..200).map(|number| format!("k{number}").into()).collect();
    let batch = Draw { kind: OperationKind::BatchRemove, keys, ..put("") };
    for session in sessions {
        group.write(&batch, session, 1, 1);
        let remembered = group.machine.memory_bytes() - before;
        assert!(remembered <= bytes_max as usize + 2_000, "{remembered}, shortfalls included");
    }
    assert!((1..10).contains(&group.machine.session_count()), "some stay");
    // One that takes more than all may have ends with its own write.
    let keys: Vec<Vec<u8>> = (0..2_000).map(|number| format!("k{number}").into()).collect();
    let batch = Draw { keys, ..batch };
    let last = group.open_with(limits);
    assert!(matches!(group.write(&batch, last, 1, 1), Outcome::Many(_)));
    let expired = Outcome::Refused(BizCode::SessionExpired);
    assert_eq!(group.write(&batch, last, 1, 1), expired);
    assert_eq!(group.machine.session_count(), 0);
}

/// Draws clients that open sessions, write, repeat, and give up.
struct Clients {
    random: Random,
    sessions: Vec<(u64, u64, u64)>,
}

impl Clients {
    fn new(seed: u64) -> Clients {
        Clients { random: Random(seed), sessions: Vec::new() }
    }

    /// One entry for both machines, which do the same.
    fn step(&mut self, group: &mut Group, other: Option<&mut Group>) {
        let open = OpenSession { group_id: 0, limits: LIMITS };
        let (kind, body) = match self.random.below(10) {
            0 => (OperationKind::OpenSession, encoded(|writer| open.encode(writer))),
            _ if self.sessions.is_empty() => (OperationKind::Mkdir, Vec::new()),
            _ => {
                let newest = self.random.below(self.sessions.len().min(6) as u64) as usize;
                let place = self.sessions.len() - 1 - newest;
                let (session, next, lowest) = &mut self.sessions[place];
                *lowest = (*next).min(*lowest + self.random.below(2));
                let sequence = *lowest + self.random.below(3);
                *next = (*next).max(sequence + 1);
                let draw = Draw::new(&mut self.random, &[]);
                (draw.kind, body_in_session(&draw, stamp(*session, sequence, *lowest)))
            }
        };
        let outcome = group.apply(kind, CLIENT, &body);
        if let Outcome::Opened(_) = outcome {
            self.sessions.push((group.stamp.index, 1, 1));
        }
        if let Some(other) = other {
            assert_eq!(other.apply(kind, CLIENT, &body), outcome);
        }
    }

    fn save(&mut self, group: &mut Group, bytes: usize, steps: u64) -> Vec<u8> {
        let mut stream = Vec::new();
        group.machine.begin_snapshot(64 << 20, &mut stream);
        loop {
            (0..steps).for_each(|_| self.step(group, None));
            match group.machine.snapshot_piece(bytes, &mut stream) {
                SnapshotPiece::More => {}
                SnapshotPiece::Last => return stream,
                SnapshotPiece::Overrun => panic!("little changes"),
            }
        }
    }
}

/// Pitfall 21: the sessions are in snapshots as of the same index as the tree, while entries go on.
/// I15: a number is done at most once, also behind a snapshot.
#[test]
fn pitfall_21_sessions_are_in_snapshots_of_one_index() {
    for seed in 1..=60 {
        let (mut clients, mut group) = (Clients::new(seed), Group::new());
        for round in 0..6 {
            (0..seed * 5).for_each(|_| clients.step(&mut group, None));
            let (hash, at) = (group.machine.state_hash(), group.stamp.index);
            let count = group.machine.session_count();
            let stream = clients.save(&mut group, [1, 100, 5_000][round % 3], round as u64 % 3);
            let loaded = load(&stream, [usize::MAX, 1, 7][round % 3]).expect("intact");
            assert_eq!((loaded.state_hash(), loaded.session_count()), (hash, count));
            if group.stamp.index == at {
                let mut twin = Group { machine: loaded, stamp: group.stamp };
                (0..100).for_each(|_| clients.step(&mut group, Some(&mut twin)));
                assert_eq!(group.machine.state_hash(), twin.machine.state_hash());
            }
        }
    }
}

#[test]
fn every_cut_and_flip_of_a_stream_with_sessions_is_noticed_or_harmless() {
    let (mut clients, mut group) = (Clients::new(4), Group::new());
    (0..150).for_each(|_| clients.step(&mut group, None));
    assert!(group.machine.session_count() > 1);
    let (hash, stream) = (group.machine.state_hash(), clients.save(&mut group, 1 << 20, 0));
    for length in 0..stream.len() {
        assert!(load(&stream[..length], 1 << 20).is_err(), "cut at {length}");
    }
    for bit in 0..stream.len() * 8 {
        let mut damaged = stream.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(loaded) = load(&damaged, 1 << 20) {
            // Limits and indexes of the heads are guarded by the checksums of files alone.
            let is_head = (8..32).contains(&(bit / 8));
            assert!(is_head || loaded.state_hash() == hash, "bit {bit}");
        }
    }
}

/// A group without sessions writes what a program that knows none can read, and loads its streams.
#[test]
fn without_sessions_a_stream_has_the_version_before() {
    let mut group = Group::new();
    group.stamp.index += 1;
    group.machine.apply(group.stamp, &payload(&put("a")));
    let stream = Clients::new(1).save(&mut group, 1 << 20, 0);
    assert_eq!(stream[..4], 1_u32.to_le_bytes());
    assert_eq!(
        load(&stream, 9).map(|machine| machine.state_hash()),
        Ok(group.machine.state_hash())
    );
    group.open();
    let stream = Clients::new(1).save(&mut group, 1 << 20, 0);
    assert_eq!(stream[..4], 2_u32.to_le_bytes());
}
