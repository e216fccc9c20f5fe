//! A copy that is made from changes alone is the tree, whatever its entries do.

mod history;

use std::collections::BTreeMap;

use history::{Draw, Random, payload};
use kv_api::{NodeFlags, WatchEvent, WatchState};
use kv_machine::{Machine, MachineOptions, Stamp};

const SEEDS: u64 = 16;
const OPERATIONS: u64 = 6_000;
const LOCK_DIRECTORY: i32 = 3;

/// Keys with their values; directories have none.
type Copy = BTreeMap<Vec<u8>, Vec<u8>>;

fn take(copy: &mut Copy, event: &WatchEvent<'_>) {
    let below = [event.key, b"."].concat();
    match event.state {
        WatchState::Missing => {
            copy.retain(|key, _| key != event.key && !key.starts_with(&below));
        }
        WatchState::Value | WatchState::Directory => {
            copy.insert(event.key.to_vec(), event.value.to_vec());
        }
    }
}

fn whole(machine: &Machine) -> Copy {
    let nodes = machine.walk(b"").filter(|(key, node)| {
        let NodeFlags(flags) = node.flags;
        !key.is_empty() && flags & LOCK_DIRECTORY != LOCK_DIRECTORY
    });
    nodes.map(|(key, node)| (key.to_vec(), node.value.to_vec())).collect()
}

#[test]
fn changes_make_the_same_tree() {
    for seed in 1..=SEEDS {
        let mut random = Random(seed);
        let mut machine = Machine::new(MachineOptions { hash_seed: seed });
        let mut stamp = Stamp { index: 0, time_ms: 1_000 };
        let mut entries = Vec::new();
        let (mut copy, mut told) = (Copy::new(), 0);
        for number in 0..OPERATIONS {
            stamp.index += 1 + random.below(2);
            stamp.time_ms += random.below(20);
            let due: Vec<_> = machine
                .due(stamp.time_ms)
                .map(|expired| (expired.key.to_vec(), expired.ttl_index))
                .collect();
            let bytes = payload(&Draw::new(&mut random, &due));
            machine.apply(stamp, &bytes);
            drop(machine.take_granted());
            entries.push((stamp.index, bytes));
            // They are told later, as they would be from the log.
            if number % 50 == 49 {
                for (index, bytes) in entries.drain(..) {
                    machine.changes_of(index, &bytes, &mut |event| {
                        assert_eq!(event.raft_index, index);
                        take(&mut copy, &event);
                        told += 1;
                    });
                }
                assert_eq!(copy, whole(&machine), "seed {seed} at {number}");
            }
        }
        assert!(told > OPERATIONS / 10, "seed {seed} told {told}");
        assert_eq!(machine.changes_known_from(), 1);
    }
}

#[test]
fn a_change_is_told_only_where_there_was_one() {
    let mut random = Random(3);
    let mut machine = Machine::new(MachineOptions { hash_seed: 3 });
    let mut stamp = Stamp { index: 0, time_ms: 1_000 };
    for _ in 0..OPERATIONS {
        stamp.index += 1;
        let bytes = payload(&Draw::new(&mut random, &[]));
        let before = whole(&machine);
        machine.apply(stamp, &bytes);
        let mut told = 0;
        machine.changes_of(stamp.index, &bytes, &mut |_| told += 1);
        assert!(told > 0 || before == whole(&machine), "a change was not told");
        let root = machine.get(b"").expect("the root");
        assert!(told == 0 || root.update_index == stamp.index, "told of what did not happen");
    }
}

#[test]
fn what_refused_entries_left_out_is_forgotten_with_all_before() {
    let mut machine = Machine::new(MachineOptions { hash_seed: 1 });
    let refused = [0, 0, 0x12, 3, b'x', b'.', b'y', 0x1a, 1, b'v'];
    for index in 1..=200_000 {
        machine.apply(Stamp { index, time_ms: 1 }, &refused);
    }
    let known = machine.changes_known_from();
    assert!((100_000..200_000).contains(&known), "{known}");
    assert!(machine.memory_bytes() < 2 << 20);
    machine.changes_of(known, &refused, &mut |_| panic!("it was refused"));
}

#[test]
fn a_walk_goes_on_wherever_it_was_left() {
    for seed in 1..=SEEDS {
        let mut random = Random(seed);
        let mut machine = Machine::new(MachineOptions { hash_seed: seed });
        let mut stamp = Stamp { index: 0, time_ms: 1 };
        let mut step = |machine: &mut Machine, random: &mut Random| {
            stamp.index += 1;
            let bytes = payload(&Draw::new(random, &[]));
            machine.apply(stamp, &bytes);
            drop(machine.take_granted());
            (stamp.index, bytes)
        };
        for _ in 0..2_000 {
            step(&mut machine, &mut random);
        }
        // Parts of the state, and meanwhile changes, make a state as well.
        for _ in 0..100 {
            let (mut copy, mut entries) = (Copy::new(), Vec::new());
            let mut place = machine.walk(b"").place();
            while let Some(from) = place {
                let mut walk = machine.walk_from(b"", &from);
                for (key, node) in walk.by_ref().take(1 + random.below(4) as usize) {
                    let lock = node.flags.0 & LOCK_DIRECTORY == LOCK_DIRECTORY;
                    if !key.is_empty() && !lock {
                        copy.insert(key.to_vec(), node.value.to_vec());
                    }
                }
                place = walk.place();
                for _ in 0..random.below(4) {
                    entries.push(step(&mut machine, &mut random));
                }
            }
            for (index, bytes) in &entries {
                machine.changes_of(*index, bytes, &mut |event| take(&mut copy, &event));
            }
            assert_eq!(copy, whole(&machine), "seed {seed}");
        }
    }
}

#[test]
fn no_bytes_make_a_walk_panic() {
    let mut random = Random(9);
    let mut machine = Machine::new(MachineOptions { hash_seed: 9 });
    for index in 1..500 {
        machine.apply(Stamp { index, time_ms: 1 }, &payload(&Draw::new(&mut random, &[])));
    }
    let mut walk = machine.walk(b"");
    assert!(walk.nth(5).is_some());
    let place = walk.place().expect("more nodes");
    for bit in 0..8 * place.len() {
        let mut bytes = place.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = machine.walk_from(b"", &bytes).count();
        let _ = machine.walk_from(b"a", &bytes[..bit / 8]).count();
    }
}
