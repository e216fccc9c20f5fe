//! Random histories, applied to two machines with different hash seeds and to the model.

#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

mod history;
mod model;

use history::{Draw, Random, payload};
use kv_api::{KvNode, KvRequest, NodeFlags, TransactionRequest};
use kv_machine::{Machine, MachineOptions, Outcome, Stamp, WatchId};
use model::{Call, DIRECTORY, Model};
use wire::BizCode;

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
        let all_kinds = run.transactions.iter().flatten().all(|count| *count > 50);
        assert!(all_kinds, "seed {seed} saw {:?}", run.transactions);
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
    /// By whether the conditions held and whether the list was done.
    transactions: [[u32; 2]; 2],
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
            transactions: [[0; 2]; 2],
        }
    }

    /// One operation on all three.
    fn step(&mut self) {
        self.stamp.index += 1 + self.random.below(2);
        self.stamp.time_ms += self.random.below(20);
        let due = self.model.due(self.stamp.time_ms);
        let due: Vec<_> = due.into_iter().map(|(_, index, key)| (key, index)).collect();
        let draw = Draw::new(&mut self.random, &due);
        match &draw.parts {
            Some(parts) => parts.with_request(|request| self.transact(&draw, request)),
            None => draw.with_request(|request| self.apply(&draw, request)),
        }
        self.compare_watches();
    }

    fn apply(&mut self, draw: &Draw, request: &KvRequest<'_>) {
        let payload = payload(draw);
        let call = Call { stamp: self.stamp, owner: draw.owner, kind: draw.kind, request };
        let expected = self.model.apply(call);
        for machine in &mut self.machines {
            let outcome = machine.apply(self.stamp, &payload);
            let found = match &outcome {
                Outcome::One(code) => Ok(vec![*code]),
                Outcome::Holding { code, fencing_token } => {
                    let holder = self.model.children(request.key)[0];
                    let created = self.model.nodes[holder].create.index;
                    assert_eq!(*fencing_token, created, "the holder's place in the queue");
                    Ok(vec![*code])
                }
                Outcome::Many(codes) => Ok(codes.clone()),
                Outcome::Refused(code) => Err(*code),
                Outcome::Malformed | Outcome::Transaction(_) => panic!("a valid payload"),
                Outcome::Opened(_) | Outcome::Repeated(_) => panic!("no session"),
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
    }

    fn transact(&mut self, draw: &Draw, request: &TransactionRequest<'_>) {
        let payload = payload(draw);
        let (held, done, expected) = self.model.transact(self.stamp, draw.owner, request);
        for machine in &mut self.machines {
            let Outcome::Transaction(outcome) = machine.apply(self.stamp, &payload) else {
                panic!("a transaction");
            };
            assert_eq!((outcome.held, outcome.done), (held, done), "{request:?}");
            let found: Vec<_> = outcome
                .results
                .iter()
                .map(|result| {
                    let node = result.node.as_ref();
                    (result.code, node.map(|(node, value)| (node.update_index, value.to_vec())))
                })
                .collect();
            assert_eq!(found, expected, "{request:?}");
            self.transactions[usize::from(held)][usize::from(done)] += 1;
        }
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
            assert!(due.is_sorted_by_key(|(ms, index, _)| (*ms, *index)));
            // A transaction may start several countdowns that end at the same time.
            let due = sorted(due);
            assert_eq!(due, sorted(self.model.due(now_ms)));
            assert_eq!(machine.due(now_ms).count(), other.due(now_ms).count());
        }
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}
