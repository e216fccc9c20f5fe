//! Snapshots: of every state that random histories lead to, taken while entries go on changing it,
//! whole or cut, intact or damaged.

mod history;

use history::{Draw, Random, payload};
use kv_machine::{Loader, Machine, MachineOptions, Malformed, SnapshotPiece, Stamp};

const KEPT_MAX: usize = 64 << 20;

struct Run {
    random: Random,
    machine: Machine,
    stamp: Stamp,
}

impl Run {
    fn new(seed: u64) -> Run {
        let machine = Machine::new(MachineOptions { hash_seed: seed });
        Run { random: Random(seed), machine, stamp: Stamp { index: 0, time_ms: 1_000 } }
    }

    /// One random operation, on the other machine as well.
    fn step(&mut self, other: Option<&mut Machine>) {
        self.stamp.index += 1;
        self.stamp.time_ms += self.random.below(20);
        let due = self.machine.due(self.stamp.time_ms);
        let due: Vec<_> = due.map(|due| (due.key.to_vec(), due.ttl_index)).collect();
        let draw = Draw::new(&mut self.random, &due);
        let payload = payload(&draw);
        let outcome = self.machine.apply(self.stamp, &payload);
        if let Some(other) = other {
            assert_eq!(other.apply(self.stamp, &payload), outcome);
        }
    }

    /// A snapshot of the state as it is now, with `steps` operations between two pieces.
    fn save(&mut self, bytes: usize, steps: u64) -> Vec<u8> {
        let mut stream = Vec::new();
        self.machine.begin_snapshot(KEPT_MAX, &mut stream);
        loop {
            for _ in 0..steps {
                self.step(None);
            }
            match self.machine.snapshot_piece(bytes, &mut stream) {
                SnapshotPiece::More => {}
                SnapshotPiece::Last => return stream,
                SnapshotPiece::Overrun => panic!("little changes"),
            }
        }
    }
}

fn load(stream: &[u8], cut: usize) -> Result<Machine, Malformed> {
    let mut loader = Loader::new(MachineOptions { hash_seed: 77 });
    for piece in stream.chunks(cut.max(1)) {
        loader.feed(piece)?;
    }
    while !loader.link(100)? {}
    Ok(loader.finish())
}

fn assert_same(loaded: &Machine, hash: u64, index: u64, expiry: Option<u64>, length: usize) {
    assert_eq!((loaded.state_hash(), loaded.applied_index()), (hash, index));
    assert_eq!((loaded.next_expiry(), loaded.len()), (expiry, length));
}

/// Pitfall 21: values, directories, countdowns, queues of locks with their owners and places: all
/// inside, as of one index, while other entries are applied between the pieces. What follows does
/// the same to the loaded machine as to the first.
#[test]
fn pitfall_21_a_snapshot_holds_everything_of_one_index_while_entries_go_on() {
    for seed in 1..=40 {
        let mut run = Run::new(seed);
        for round in 0..12 {
            for _ in 0..seed * 10 {
                run.step(None);
            }
            let machine = &run.machine;
            let (hash, index) = (machine.state_hash(), machine.applied_index());
            let (expiry, length) = (machine.next_expiry(), machine.len());
            let stream = run.save([1, 200, 5_000][round % 3], round as u64 % 4);
            let mut loaded = load(&stream, [usize::MAX, 1, 7, 4_096][round % 4]).expect("intact");
            assert_same(&loaded, hash, index, expiry, length);
            if run.machine.applied_index() == index {
                for _ in 0..200 {
                    run.step(Some(&mut loaded));
                }
                assert_eq!(run.machine.state_hash(), loaded.state_hash());
                assert_eq!(run.machine.next_expiry(), loaded.next_expiry());
            }
        }
    }
}

#[test]
fn a_snapshot_of_nothing_and_one_begun_anew_are_whole() {
    let mut machine = Machine::new(MachineOptions::default());
    let mut stream = Vec::new();
    machine.begin_snapshot(KEPT_MAX, &mut stream);
    stream.clear();
    machine.begin_snapshot(KEPT_MAX, &mut stream);
    assert_eq!(machine.snapshot_piece(1 << 20, &mut stream), SnapshotPiece::Last);
    let loaded = load(&stream, usize::MAX).expect("intact");
    assert_same(&loaded, machine.state_hash(), 0, None, 0);
}

#[test]
fn memory_for_what_changes_while_saving_is_bounded() {
    let mut run = Run::new(3);
    for _ in 0..2_000 {
        run.step(None);
    }
    let (before, mut stream) = (run.machine.memory_bytes(), Vec::new());
    run.machine.begin_snapshot(100, &mut stream);
    for _ in 0..2_000 {
        run.step(None);
    }
    assert!(run.machine.memory_bytes() < before + 100_000);
    assert_eq!(run.machine.snapshot_piece(1, &mut stream), SnapshotPiece::Overrun);
    assert!(run.save(1 << 20, 0).len() > 100, "the next one begins anew");
}

#[test]
fn every_cut_is_noticed() {
    let mut run = Run::new(5);
    for _ in 0..300 {
        run.step(None);
    }
    let stream = run.save(1 << 20, 0);
    for length in 0..stream.len() {
        assert!(load(&stream[..length], 1 << 20).is_err(), "cut at {length}");
    }
    let longer = [&stream[..], &[0]].concat();
    assert_eq!(load(&longer, 1 << 20).err(), Some(Malformed::Length));
}

/// A flipped bit is found by the sum, or it is of no meaning: then the machine is the same. Files
/// and transfers have checksums of their own in front of this.
#[test]
fn no_flipped_bit_panics_or_changes_what_is_loaded() {
    let mut run = Run::new(6);
    for _ in 0..300 {
        run.step(None);
    }
    let (hash, stream) = (run.machine.state_hash(), run.save(1 << 20, 0));
    assert!(stream.len() < 20_000, "small enough for every bit");
    for bit in 0..stream.len() * 8 {
        let mut damaged = stream.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(loaded) = load(&damaged, 1 << 20) {
            let is_index = (8..16).contains(&(bit / 8));
            assert!(is_index || loaded.state_hash() == hash, "bit {bit}");
        }
    }
}

#[test]
fn a_newer_version_is_named() {
    let mut stream = Run::new(1).save(1, 0);
    stream[0] = 3;
    assert_eq!(load(&stream, 1).err(), Some(Malformed::Version(3)));
}

/// Pitfall 29: whoever watches a machine that is replaced by a snapshot hears of every key.
#[test]
fn pitfall_29_watches_go_over_to_the_machine_of_a_snapshot() {
    let mut run = Run::new(9);
    for _ in 0..500 {
        run.step(None);
    }
    let loaded = load(&run.save(1 << 20, 0), 1 << 20).expect("intact");
    let mut old = Machine::new(MachineOptions::default());
    let keys = [&b"a"[..], b"no.such.key", b"a.b"];
    let ids = keys.map(|key| old.watch(key));
    let gone = old.watch(b"gone");
    old.unwatch(gone);
    let mut shed = loaded.replace(&mut old);
    while shed.step() {}
    assert_eq!(old.state_hash(), run.machine.state_hash());
    let mut changes = Vec::new();
    old.take_changes(&mut changes);
    changes.sort();
    assert_eq!(changes, ids);
    for (id, key) in ids.into_iter().zip(keys) {
        let state = old.watched_state(id);
        assert_eq!(state.key, key);
        let node = run.machine.get(key);
        if let Ok(node) = node {
            assert_eq!((state.raft_index, state.value), (node.update_index, node.value));
        } else {
            assert!(state.raft_index > 0, "the parent knows when it may have changed");
        }
    }
    run.machine = old;
    for _ in 0..100 {
        run.step(None);
    }
    assert!(run.machine.has_changes());
}
