//! Random histories, applied to two machines with different hash seeds and to the model.

#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

mod model;

use kv_api::{ByteStrings, KvNode, KvRequest, NodeFlags, OperationKind, Owner, Payload};
use kv_machine::{Machine, MachineOptions, Outcome, Stamp, WatchId};
use model::{Call, DIRECTORY, Model};
use wire::{BizCode, Writer};

const SEEDS: u64 = 24;
const OPERATIONS: u64 = 10_000;

#[test]
fn random_histories_do_what_the_model_does() {
    for seed in 1..=SEEDS {
        let mut run = Run::new(seed);
        for number in 0..OPERATIONS {
            run.step();
            if number % 250 == 0 {
                run.compare_everything();
            }
        }
        run.compare_everything();
        assert!(run.codes_seen.count_ones() >= 20, "seed {seed} saw {:b}", run.codes_seen);
    }
}

/// A watched key and what was there before the last operation: update index and flags.
#[derive(Clone)]
struct Watch {
    id: WatchId,
    key: Vec<u8>,
    before: Option<(u64, i32)>,
}

struct Run {
    random: Random,
    machines: [Machine; 2],
    model: Model,
    stamp: Stamp,
    watches: Vec<Watch>,
    codes_seen: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let machine = |hash_seed| Machine::new(MachineOptions { hash_seed });
        let mut machines = [machine(seed), machine(!seed)];
        let keys = [&b"a"[..], b"b.c", b"c.a.b", b"a.a"];
        let watches =
            keys.map(|key| Watch { id: machines[0].watch(key), key: key.to_vec(), before: None });
        Run {
            random: Random(seed),
            machines,
            model: Model::new(),
            stamp: Stamp { index: 0, time_ms: 1_000 },
            watches: watches.to_vec(),
            codes_seen: 0,
        }
    }

    /// One operation on all three.
    fn step(&mut self) {
        self.stamp.index += 1 + self.random.below(2);
        self.stamp.time_ms += self.random.below(20);
        let draw = Draw::new(&mut self.random, &self.model, self.stamp.time_ms);
        let keys: Vec<&[u8]> = draw.keys.iter().map(Vec::as_slice).collect();
        let values: Vec<&[u8]> = draw.values.iter().map(Vec::as_slice).collect();
        let request = KvRequest {
            key: &draw.key,
            value: &draw.value,
            expect_value: &draw.expect,
            ttl_millis: draw.ttl_millis,
            keys: ByteStrings::new(&keys),
            values: ByteStrings::new(&values),
            ..Default::default()
        };
        let payload = payload(draw.kind, draw.owner, &request);
        let call =
            Call { stamp: self.stamp, owner: draw.owner, kind: draw.kind, request: &request };
        let expected = self.model.apply(call);
        for machine in &mut self.machines {
            let outcome = machine.apply(self.stamp, &payload);
            let found = match &outcome {
                Outcome::One(code) => Ok(vec![*code]),
                Outcome::Many(codes) => Ok(codes.clone()),
                Outcome::Refused(code) => Err(*code),
                Outcome::Malformed => panic!("a valid payload"),
            };
            assert_eq!(found, expected, "{:?} {request:?}", draw.kind);
            let granted = machine.take_granted();
            let granted: Vec<_> = granted
                .map(|lock| (lock.key.into(), lock.owner, lock.value.into(), lock.waited_ms))
                .collect();
            assert_eq!(granted, self.model.granted);
        }
        self.model.granted.clear();
        for code in expected.iter().flatten() {
            self.codes_seen |= 1 << code.number();
        }
        self.compare_watches();
    }

    /// A watch is told of a change if and only if something has changed.
    fn compare_watches(&mut self) {
        let mut changes = Vec::new();
        self.machines[0].take_changes(&mut changes);
        for Watch { id, key, before } in &mut self.watches {
            let now = self.model.nodes.get(key).map(|node| (node.update.index, node.flags));
            let expected = now != *before;
            // A node that was created and removed by one entry has changed, too.
            let found = changes.contains(id);
            assert!(found || !expected, "{} changed", key.escape_ascii());
            assert!(changes.iter().filter(|&other| other == id).count() <= 1);
            *before = now;
            let state = self.machines[0].watched_state(*id);
            assert_eq!(state.key, &key[..]);
            match now {
                Some((index, flags)) => {
                    assert_eq!(state.raft_index, index);
                    assert_eq!(state.state as i32, 1 + (flags & DIRECTORY));
                }
                None if found => {
                    assert_eq!((state.state as i32, state.raft_index), { (0, self.stamp.index) })
                }
                None => assert_eq!(state.state as i32, 0),
            }
        }
    }

    fn compare_everything(&mut self) {
        let [machine, other] = &self.machines;
        assert_eq!(machine.state_hash(), other.state_hash());
        assert_eq!(machine.len(), self.model.nodes.len());
        assert_eq!(machine.applied_index(), self.stamp.index);
        let root = machine.get(b"").expect("the root");
        assert_eq!((root.flags, root.create_index, root.create_time), (NodeFlags(1), 0, 0));
        let update = self.model.root_update;
        assert_eq!((root.update_index, root.update_time), (update.index, update.time_ms));
        let mut directories = vec![Vec::new()];
        for (key, node) in &self.model.nodes {
            let expected = KvNode {
                create_index: node.create.index,
                create_time: node.create.time_ms,
                update_index: node.update.index,
                update_time: node.update.time_ms,
                flags: NodeFlags(node.flags),
                value: &node.value,
            };
            assert_eq!(machine.get(key), Ok(expected), "{}", key.escape_ascii());
            assert_eq!(machine.get_in_batch(key), Ok(expected));
            if node.flags & DIRECTORY != 0 {
                directories.push(key.clone());
            } else {
                assert_eq!(machine.list(key).err(), Some(BizCode::ParentNotDir));
            }
        }
        for directory in &directories {
            self.compare_list(directory);
        }
        self.compare_deadlines();
    }

    fn compare_list(&self, directory: &[u8]) {
        let children = self.machines[0].list(directory).expect("a directory");
        let expected = self.model.children(directory);
        assert_eq!(children.len(), expected.len());
        for ((name, node), key) in children.zip(expected) {
            let start = key.len() - name.len();
            assert_eq!(name, &key[start..]);
            assert_eq!(self.machines[0].get(key), Ok(node));
        }
    }

    fn compare_deadlines(&self) {
        let [machine, other] = &self.machines;
        let all = self.model.due(u64::MAX);
        assert_eq!(machine.next_expiry(), all.first().map(|&(deadline_ms, ..)| deadline_ms));
        for now_ms in [0, self.stamp.time_ms, self.stamp.time_ms + 50, u64::MAX] {
            let due = machine.due(now_ms).map(|due| (due.deadline_ms, due.ttl_index, due.key));
            let due: Vec<_> = due.map(|(ms, index, key)| (ms, index, key.to_vec())).collect();
            assert_eq!(due, self.model.due(now_ms));
            assert_eq!(machine.due(now_ms).count(), other.due(now_ms).count());
        }
    }
}

/// One random operation.
struct Draw {
    kind: OperationKind,
    owner: Owner,
    key: Vec<u8>,
    value: Vec<u8>,
    expect: Vec<u8>,
    ttl_millis: i64,
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

impl Draw {
    fn new(random: &mut Random, model: &Model, now_ms: u64) -> Draw {
        let kind = OperationKind::ALL[random.below(OperationKind::ALL.len() as u64) as usize];
        let owner = Owner { high: 1, low: 1 + random.below(3) };
        let mut draw = Draw {
            kind,
            owner,
            key: random.key(),
            value: random.value(),
            expect: random.value(),
            ttl_millis: random.below(60) as i64 - 1,
            keys: Vec::new(),
            values: Vec::new(),
        };
        match kind {
            OperationKind::BatchPut | OperationKind::BatchRemove => {
                draw.keys = (0..random.below(5)).map(|_| random.key()).collect();
                if kind == OperationKind::BatchPut && random.below(10) > 0 {
                    draw.values = draw.keys.iter().map(|_| random.value()).collect();
                }
            }
            OperationKind::TryLock => {
                draw.value = random.lock_value();
                draw.ttl_millis = draw.ttl_millis.max(0) / 2;
            }
            OperationKind::Expire => draw.expire_something(random, model, now_ms),
            _ => {}
        }
        // Operations inside of a lock would hardly ever be drawn.
        if random.below(12) == 0 {
            draw.key = [&draw.key[..], b".", &owner.name()].concat();
        }
        draw
    }

    fn expire_something(&mut self, random: &mut Random, model: &Model, now_ms: u64) {
        let due = model.due(now_ms);
        if due.is_empty() {
            return;
        }
        let (_, ttl_index, key) = &due[random.below(due.len() as u64) as usize];
        self.key = key.clone();
        self.ttl_millis = (*ttl_index + random.below(8) / 7) as i64;
    }
}

/// A small generator of numbers: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One to four names of three, seldom something that is no key.
    fn key(&mut self) -> Vec<u8> {
        match self.below(60) {
            0 => return Vec::new(),
            1 => return b".a".to_vec(),
            2 => return b"a.".to_vec(),
            3 => return vec![b'k'; 8193],
            4 => return b"a..b".to_vec(),
            _ => {}
        }
        let names = (0..1 + self.below(4)).map(|_| ["a", "b", "c"][self.below(3) as usize]);
        names.collect::<Vec<_>>().join(".").into_bytes()
    }

    /// Seldom empty, seldom too long, and often the same as another.
    fn value(&mut self) -> Vec<u8> {
        match self.below(2_000) {
            0 => vec![7; (1 << 20) + 1],
            1..200 => Vec::new(),
            number => vec![b'v'; 1 + number as usize % 3],
        }
    }

    fn lock_value(&mut self) -> Vec<u8> {
        let mut value = (self.below(80) as i64 - 1).to_be_bytes().to_vec();
        value.extend_from_slice(&self.next().to_le_bytes());
        value.truncate(if self.below(20) == 0 { 7 } else { 16 });
        value
    }
}

fn payload(kind: OperationKind, owner: Owner, request: &KvRequest<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    request.encode(&mut Writer::new(&mut body));
    let (head, length) = Payload::new(kind, owner, &body).head();
    [&head[..length], &body].concat()
}
